"""Names of every kind: they work on disk, never collide, and never reach outside of the store."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from storekit import lose_record, message, open_store, run_python, say, tree, untouched

from coda_fs_session import CorruptionError, InvalidNameError, Session, SessionExistsError, SessionManager
from coda_fs_session.format.names import identity_of, session_key

NAMES = [
    *("../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "..", ".", ".hidden", "~", "~root", "-rf", "--help"),
    *("CON", "con", "nul.txt", "COM1", "lpt9", "prn", "aux.jsonl"),
    *("chat", "Chat", "CHAT", "chat ", " chat", "chat.", "chat.jsonl", "chat.2", "chat.2.jsonl", "chat~"),
    *(
        "caf\u00e9",
        "CAF\u00c9",
        "cafe",
        "\ufb01le",
        "file",
        "\u212b",
        "stra\u00dfe",
        "strasse",
        "\u0130",
        "i",
        "I",
        "\u0131",
    ),
    *(
        "\U0001f600",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u65e5\u672c\u8a9e",
        "\u0645\u0631\u062d\u0628\u0627",
        "\u200b",
    ),
    *("a" * 255, "b" * 63, "b" * 64, "\U0001f600" * 255, "\u00e9" * 255, "c" * 246 + "~1234abcd"),
    *(
        "conflict",
        "chat (conflicted copy)",
        "FORMAT",
        "README.txt",
        "refs",
        "objects",
        "%s%n",
        "$HOME",
        "`ls`",
        '"',
        "'",
        "*",
    ),
    *("null", "x", "x.0123456789abcdef", "?", ":", "a:b", "|", "<>", "a b", "\u2028", "\ufeff"),
]


def test_the_names_are_all_different() -> None:
    """Otherwise the tests below would prove little: no two are one name, in NFC."""
    assert len({unicodedata.normalize("NFC", name) for name in NAMES}) == len(NAMES)


def test_every_name_lives_its_life_beside_all_others(tmp_path: Path) -> None:
    """Create, save, reopen, list and delete under all the names at once: each keeps its own messages."""
    (tmp_path / "bystander").write_text("here")
    store = tmp_path / "inner" / "store"
    manager = open_store(store, state_path=str(tmp_path / "inner" / "state"))
    for number, name in enumerate(NAMES):
        session = manager.create_session(name)
        assert len(session) == 0, name
        session.add_message(message(number))
        session.update_metadata({"number": number})
        manager.save_session(session)
    manager.close()

    manager = open_store(store, state_path=str(tmp_path / "inner" / "state"))
    expected = {unicodedata.normalize("NFC", name): number for number, name in enumerate(NAMES)}
    infos = manager.list_sessions()
    assert {info.name: info.metadata["number"] for info in infos} == expected
    assert len(infos) == len(NAMES)
    for number, name in enumerate(NAMES):
        assert name in manager
        assert manager.load_session(name).get_messages() == [message(number)]
        info = manager.get_session_info(name)
        assert info is not None
        assert info.message_count == 1
    for number, name in enumerate(NAMES):
        manager.delete_session(name)
        assert name not in manager
        if number % 10 == 0:
            assert len(manager.list_sessions()) == len(NAMES) - number - 1
    assert manager.list_sessions() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bystander", "inner"]
    assert sorted(path.name for path in (tmp_path / "inner").iterdir()) == ["state", "store"]


def test_file_names_are_plain_everywhere(tmp_path: Path) -> None:
    """Whatever the name, its file name is short, of letters, marks and numbers, differs from all others in every form
    that a disk may give it, and is no device."""
    store = tmp_path / "store"
    manager = open_store(store)
    for name in NAMES:
        manager.create_session(name)
    names = [path.name for path in store.glob("refs/*/*")]
    assert len({unicodedata.normalize("NFD", name).casefold() for name in names}) == len(NAMES)
    assert any("\u65e5\u672c\u8a9e" in name for name in names)
    for name in names:
        assert name == unicodedata.normalize("NFC", name)
        assert name == name.lower()
        assert len(name.encode()) < 143
        assert all(unicodedata.category(each)[0] in "LMN" or each in "._-" for each in name)
        assert name[0] not in ".-"
        assert "conflict" not in name
        assert name.partition(".")[0] not in {"con", "prn", "aux", "nul", "com1", "lpt9"}, "a device on Windows"


FORMS = {
    "as early versions wrote it": lambda key: f"x{identity_of(key)}",
    "decomposed, as some disks do": lambda key: unicodedata.normalize("NFD", key),
    "in capitals": lambda key: key[: key.rindex(".")].upper() + identity_of(key),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damaged", [False, True])
def test_the_digits_alone_tell_whose_a_file_is(tmp_path: Path, form: str, damaged: bool) -> None:
    """A ref whose slug has another form is found and gone on with: no other one is made. Damaged, it is known to be of
    its name, and what a process still has goes into a file beside it, which takes its place."""
    store, name = tmp_path / "store", "\u97f3\u697d Größe"
    manager = open_store(store)
    say(manager, manager.create_session(name), 0)
    (path,) = store.glob("refs/*/*.jsonl")
    key = session_key(name)
    assert path.name == f"{key}.jsonl"
    path = path.rename(path.with_name(f"{FORMS[form](key)}.jsonl"))
    lose_record(store)
    manager = open_store(store)
    session = manager.load_session(name)
    if damaged:
        path.write_bytes(b"x" + path.read_bytes()[1:])
        lose_record(store)
        with pytest.raises(CorruptionError):
            open_store(store).load_session(name)
        say(manager, session, 1)
        assert len(list(store.glob("refs/*/*"))) == 2
    else:
        say(manager, session, 1)
        assert list(store.glob("refs/*/*")) == [path]
    manager = open_store(store)
    assert [(info.name, info.error) for info in manager.list_sessions()] == [(name, None)]
    assert manager.load_session(name).get_messages() == [message(0), message(1)]


def test_a_system_whose_file_names_are_no_unicode(tmp_path: Path) -> None:
    """Where file names have an encoding that lacks letters, a new ref has a name without them."""
    key = session_key("\u97f3\u697d")
    done = run_python(
        """
        import sys
        from storekit import open_store, say
        assert sys.getfilesystemencoding() == "ascii"
        with open_store(sys.argv[1]) as manager:
            say(manager, manager.create_session("\\u97f3\\u697d"), 0)
            manager.rename_session("\\u97f3\\u697d", "\\xe9")
        """,
        tmp_path / "store",
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("store/refs/*/*")
    assert path.name == f"x{identity_of(key)}.jsonl"
    manager = open_store(tmp_path / "store")
    say(manager, manager.load_session("\xe9"), 1)
    assert len(list(tmp_path.glob("store/refs/*/*"))) == 1


def test_unicode_forms_of_one_name_are_one_session(tmp_path: Path) -> None:
    """Composed and decomposed text looks the same, and is the same session; compatibility forms are not."""
    manager = open_store(tmp_path / "store")
    composed = manager.create_session("caf\u00e9")
    assert manager.create_session("cafe\u0301") is composed
    assert composed.name == "caf\u00e9"
    assert manager.create_session("\ufb01le") is not manager.create_session("file")
    assert len(manager.list_sessions()) == 3


def test_case_makes_a_difference(tmp_path: Path) -> None:
    """Names differ by case, also for a branch and a rename onto the other case."""
    manager = open_store(tmp_path / "store")
    session = manager.create_session("chat")
    session.add_message(message(1))
    manager.create_session("Chat", branch_from="chat")
    assert "CHAT" not in manager
    manager.rename_session("chat", "CHAT")
    assert sorted(info.name for info in manager.list_sessions()) == ["CHAT", "Chat"]
    assert manager.load_session("CHAT") is session


@pytest.mark.parametrize("name", ["chat~1234abcd", "x" * 255 + "~1234abcd"])
def test_derived_names(tmp_path: Path, name: str) -> None:
    """A derived name, which may pass the limit, can be asked for; one that a person chooses has to keep to it."""
    manager = open_store(tmp_path / "store")
    assert name not in manager
    assert manager.get_session_info(name) is None
    if len(name) <= 255:
        manager.create_session(name)
        assert name in manager
        return
    manager.create_session("short")
    for attempt in (
        lambda: manager.create_session(name),
        lambda: manager.create_session(name, branch_from="short"),
        lambda: manager.rename_session("short", name),
    ):
        with pytest.raises(InvalidNameError, match="255"):
            attempt()
    assert [info.name for info in manager.list_sessions()] == ["short"]


BAD_NAMES: list[Any] = [
    *("", "a" * 256, "\U0001f600" * 256, "a\0b", "a\nb", "\t", "a\x7f", "a\x85b", "\x1b[31m", "a\ud800", "\udfff"),
    *(None, 5, b"chat", ["chat"], ("a",), 1.5, True, Path("chat")),
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_an_impossible_name_is_refused_before_anything_is_written(tmp_path: Path, name: Any) -> None:
    """Empty, too long, control characters, lone surrogates, no text: every method refuses it, and the disk stays."""
    store = tmp_path / "store"
    manager = open_store(store)
    with pytest.raises(InvalidNameError) as caught:
        manager.create_session(name)
    assert str(caught.value).isprintable(), "an error must not carry the control character to a terminal"
    str(caught.value).encode()
    assert not store.exists()

    manager.create_session("chat")
    export = manager.export_session("chat", tmp_path / "chat.json")
    attempts = [
        lambda: manager.load_session(name),
        lambda: manager.delete_session(name),
        lambda: manager.delete_session(name, missing_ok=True),
        lambda: manager.get_session_info(name),
        lambda: manager.rename_session("chat", name),
        lambda: manager.rename_session(name, "other"),
        lambda: manager.create_session(name, branch_from="chat"),
        lambda: manager.export_session(name, tmp_path / "other.json"),
        lambda: Session(name),
    ]
    if name is not None:
        attempts.append(lambda: manager.create_session("other", branch_from=name))
        attempts.append(lambda: manager.import_session(export, name=name))
    with untouched(store):
        for attempt in attempts:
            with pytest.raises(InvalidNameError):
                attempt()
        assert name not in manager
    assert not (tmp_path / "other.json").exists()


def test_the_limit_is_in_characters_of_the_composed_form(tmp_path: Path) -> None:
    """255 characters that were typed decomposed, twice as many, are within the limit."""
    manager = open_store(tmp_path / "store")
    assert len(manager.create_session("e\u0301" * 255).name) == 255
    with pytest.raises(InvalidNameError):
        manager.create_session("e\u0301" * 256)


def test_branch_and_rename_between_hostile_names(tmp_path: Path) -> None:
    """Names that need a hashed key branch and rename like any other, and take no name that is there."""
    store = tmp_path / "store"
    manager = open_store(store)
    session = manager.create_session("../../etc/passwd")
    session.add_message(message(1))
    branch = manager.create_session("CON", branch_from="../../etc/passwd")
    assert branch.get_messages() == [message(1)]
    assert branch.parent == "../../etc/passwd"
    manager.rename_session("CON", ".hidden")
    assert manager.load_session(".hidden") is branch
    with pytest.raises(SessionExistsError):
        manager.rename_session(".hidden", "../../etc/passwd")
    again: SessionManager = open_store(store)
    assert sorted(info.name for info in again.list_sessions()) == ["../../etc/passwd", ".hidden"]
    assert all(".." not in path for path in tree(store))
