"""HTML files to keep: whole, harmless, each message once, and with links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from storekit import message, open_store

from coda_fs_session import Session, SessionManager
from coda_fs_session.viewer.document import Document

from .hostile import NAME, TITLE, messages
from .markup import Tags, assert_harmless


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    return open_store(tmp_path / "store")


def add(manager: SessionManager, name: str, *numbers: int, parent: str | None = None, at: int | None = None) -> None:
    session = manager.create_session(name, branch_from=parent, at=at)
    for number in numbers:
        session.add_message({"role": "user", "content": f"say {number}."})
    manager.save_session(session)


def assert_links_lead(files: dict[str, str], folder: str) -> int:
    """Every link within the files leads to an id that is there; return how many there are."""
    ids = {name: set(Tags(page).attributes("id")) for name, page in files.items()}
    count = 0
    for name, page in files.items():
        found = Tags(page).attributes("id")
        assert len(found) == len(set(found))
        for address in Tags(page).attributes("href"):
            if address.startswith(("http", "mailto")) or address == "#main":
                continue
            path, _, anchor = address.partition("#")
            target = unquote(path) or name
            target = target.removeprefix("../") if name != "index" else target.removeprefix(f"{folder}/")
            target = "index" if target == f"{folder.removesuffix('_files')}.html" else target
            assert not anchor or anchor in ids[target], address
            count += 1
    return count


def files_of(document: Document) -> dict[str, str]:
    return {name: "".join(texts) for name, texts in document.parts()} | {"index": "".join(document.index())}


def test_nothing_hostile_is_markup(manager: SessionManager, tmp_path: Path) -> None:
    """Whatever a session says, the file has its own tags alone, and a policy by which nothing else runs or loads."""
    session = manager.create_session(NAME)
    for each in messages():
        session.add_message(each)
    session.update_metadata({"title": TITLE})
    manager.save_session(session)
    add(manager, f"{NAME} 2", 1, parent=NAME, at=4)
    (path,) = manager.export_sessions([NAME], tmp_path / "a.html", format="html", branches=True)
    text = path.read_text(encoding="utf-8")
    assert_harmless(text)
    policy = Tags(text).found[3][1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert "default-src 'none'; script-src 'sha256-" in str(policy["content"])
    assert "connect-src 'none'" in str(policy["content"])
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<script>")


def test_a_family(manager: SessionManager, tmp_path: Path) -> None:
    """Each message is there once; cards at the forks lead to what follows, and a branch leads back."""
    add(manager, "trip", *range(6))
    add(manager, "ship", 70, parent="trip", at=3)
    add(manager, "train", 80, 81, parent="trip", at=3)
    add(manager, "night", 90, parent="train", at=4)
    add(manager, "same", parent="trip", at=6)
    (path,) = manager.export_sessions(["trip"], tmp_path / "a.html", format="html", branches=True)
    page = path.read_text(encoding="utf-8")
    for number in (*range(6), 70, 80, 81, 90):
        assert page.count(f"<p>say {number}.</p>") == 1
    assert "3 ways on from here" in page.partition('id="f3"')[2].partition("</section>")[0]
    assert assert_links_lead({"index": page}, "") > 12
    names = [session.name for session in map(manager.load_session, ("trip", "ship", "train", "night", "same"))]
    assert all(f">{name}</h2>" in page for name in names)


def test_one_session_names_no_other(manager: SessionManager, tmp_path: Path) -> None:
    """What is not exported is not told of: neither the name of a branch nor what it says."""
    add(manager, "trip", 1, 2)
    add(manager, "secret", 3, parent="trip", at=1)
    page = manager.export_session("trip", tmp_path / "a.html", format="html").read_text(encoding="utf-8")
    assert "secret" not in page
    assert "secret" in manager.export_session("secret", tmp_path / "b.html", format="html").read_text(encoding="utf-8")


def test_redaction(manager: SessionManager, tmp_path: Path) -> None:
    """Patterns take out of a page what they take out of other forms."""
    add(manager, "trip", 1234)
    page = manager.export_session("trip", tmp_path / "a.html", format="html", redact=[r"\d{4}"])
    assert "1234" not in re.sub("<(style|script)>.*?</", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_much_is_in_parts(manager: SessionManager, tmp_path: Path) -> None:
    """No file has more messages than it may; every link between the parts and the index leads to its message."""
    sessions = []
    add(manager, "a & b", *range(40))
    for number in range(6):
        add(manager, f"way {number}", *range(100 * number + 100, 100 * number + 110), parent="a & b", at=5 * number)
        sessions.append(f"way {number}")
    loaded = [manager.load_session(name) for name in ("a & b", *sessions)]
    document = Document(loaded, "odd #1", most=500)
    files = files_of(document)
    assert len(files) > 8
    assert document.folder == "odd #1_files"
    assert assert_links_lead(files, document.folder) > 40
    for page in files.values():
        assert page.count("<article") * len('{"role":"user","content":"say 10."}') <= 500
        assert_harmless(page)
    for number in range(40):
        assert "".join(files.values()).count(f"<p>say {number}.</p>") == 1


def test_only_what_is_its_own_counts(manager: SessionManager) -> None:
    """Many small branches of something large are one file with it, as what they share is there once."""
    add(manager, "large", *range(20))
    for number in range(5):
        add(manager, f"way {number}", 100 + number, parent="large", at=20)
    add(manager, "same", parent="large", at=20)
    names = ("large", *(f"way {number}" for number in range(5)), "same")
    document = Document([manager.load_session(name) for name in names], "a", most=1000)
    assert document.folder == ""
    files = files_of(document)
    assert "7 ways on from here" in files["index"]
    assert assert_links_lead(files, "") > 12


def test_parts_are_files(manager: SessionManager, tmp_path: Path) -> None:
    """An index and its folder are written, or nothing where either is taken; a large message is whole."""
    session = manager.create_session("large")
    for number in range(3):
        session.add_message(message(number, 2_000_000))
    manager.save_session(session)
    path = manager.export_session("large", tmp_path / "large.html", format="html")
    parts = sorted((tmp_path / "large_files").iterdir())
    assert [part.name for part in parts] == ["1.html", "2.html"]
    assert sum(part.stat().st_size for part in parts) > 6_000_000 > path.stat().st_size * 10
    assert all(part.stat().st_mode & 0o077 == 0 for part in (path, *parts))
    path.unlink()
    with pytest.raises(FileExistsError):
        manager.export_session("large", path, format="html")
    assert not path.exists()
    assert manager.export_session("large", path, format="html", overwrite=True) == path


def test_an_empty_session() -> None:
    """There is a page for it, too."""
    assert_harmless("".join(Document([Session("empty")], "a").index()))
