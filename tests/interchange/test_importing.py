"""Importing: every way through a chat is a session, a second import adds what is new, and nothing else."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store, tree

from coda_fs_session import (
    ImportReport,
    Redact,
    Session,
    SessionInfo,
    SessionManager,
    SessionStorage,
    StoreReadOnlyError,
)
from coda_fs_session.manager import importing

from .chats import chatgpt, claude_code, put
from .sessions import counts, main, said

FORKED = {"u1": None, "a1": "u1", "a2": "u1", "u2": "a2", "a3": "u2"}


class Four(SessionStorage):
    """A storage with the four methods that one must have."""

    def __init__(self) -> None:
        self.kept: dict[str, Session] = {}

    def save(self, session: Session) -> None:
        times = {"created_at": session.created, "updated_at": session.updated}
        self.kept[session.name] = Session(session.name, session.get_messages(), session.metadata, **times)

    def load(self, name: str) -> Session | None:
        kept = self.kept.get(name)
        if kept is None:
            return None
        times = {"created_at": kept.created, "updated_at": kept.updated}
        return Session(name, kept.get_messages(), kept.metadata, **times)

    def delete(self, name: str) -> None:
        del self.kept[name]

    def list_all(self) -> list[SessionInfo]:
        return [
            SessionInfo(each.name, len(each), each.created_at, each.updated_at, each.metadata, 0)
            for each in self.kept.values()
        ]


def _managers(kind: str, folder: Path) -> SessionManager:
    if kind == "own storage":
        return SessionManager(storage=Four())
    return open_store(folder / "store", backend=kind)


@pytest.fixture
def manager(tmp_path: Path) -> SessionManager:
    return open_store(tmp_path / "store")


@pytest.mark.parametrize("kind", ["files", "sqlite", "memory", "own storage"])
def test_an_import(kind: str, tmp_path: Path) -> None:
    """Every way through a chat is a session of its own, with title and time of the source, whatever keeps them."""
    path = put(tmp_path, "conversations.json", chatgpt(FORKED, {"u1": None}))
    manager = _managers(kind, tmp_path)
    report = manager.import_sessions(path)
    assert counts(report) == (2, 2, 0, 6, 1, 0, 0)
    assert said(manager) == {("u1", "a1"), ("u1", "a2", "u2", "a3"), ("u1",)}
    infos = {info.name: info for info in manager.list_sessions()}
    assert all(name.startswith("chatgpt/Trip #") for name in infos)
    assert {info.created.year for info in infos.values()} == {2023}
    assert {info.metadata["title"] for info in infos.values()} == {"Trip"}
    (branch,) = [info for info in infos.values() if info.parent]
    assert (branch.forked_at, infos[branch.parent or ""].message_count) == (1, 2)
    assert counts(manager.import_sessions(path)) == (2, 0, 0, 0, 0, 2, 0)
    put(tmp_path, "conversations.json", chatgpt(FORKED | {"u4": "a1"}, {"u1": None}))
    assert counts(manager.import_sessions(path)) == (2, 0, 1, 1, 0, 1, 0)
    assert said(manager) == {("u1", "a1", "u4"), ("u1", "a2", "u2", "a3"), ("u1",)}


@pytest.mark.parametrize("remembered", ["all", "the chats", "nothing"])
def test_a_second_import_writes_nothing(remembered: str, tmp_path: Path) -> None:
    """Not a byte of the store, be the file untouched, written anew with the same content, or all notes lost."""
    path = put(tmp_path, "conversations.json", chatgpt(FORKED))
    with open_store(tmp_path / "store") as manager:
        manager.import_sessions(path)
    before = tree(tmp_path / "store")
    if remembered != "all":
        path.write_bytes(chatgpt(FORKED))
    if remembered == "nothing":
        shutil.rmtree(tmp_path / "store.state" / next((tmp_path / "store.state").iterdir()).name / "imports", True)
        for note in (tmp_path / "store.state").rglob("imports*"):
            note.unlink()
    with open_store(tmp_path / "store") as manager:
        assert counts(manager.import_sessions(path)) == (1, 0, 0, 0, 0, 1, 0)
    assert tree(tmp_path / "store") == before


def test_files_that_did_not_change_are_not_read(
    manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second import looks at their sizes and times; `again` reads them."""
    put(tmp_path, "in/conversations.json", chatgpt(FORKED))
    put(tmp_path, "in/s1.jsonl", claude_code(("u1", None), ("a1", "u1")))
    manager.import_sessions(tmp_path / "in")
    monkeypatch.setattr(importing, "format_of", lambda *_: pytest.fail("it was read"))
    monkeypatch.setattr(importing, "identities", lambda *_: pytest.fail("the store was listed"))
    assert counts(manager.import_sessions(tmp_path / "in")) == (2, 0, 0, 0, 0, 2, 0)
    monkeypatch.undo()
    assert counts(manager.import_sessions(tmp_path / "in", again=True)) == (2, 0, 0, 0, 0, 2, 0)


def test_names_and_ids_that_are_no_text(
    manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a file, and ids in it, may have lone surrogates: with one of these an import ended in an error."""
    odd = claude_code(("u1", None), ("a1", "u1"), ("a2", "u1"))
    put(tmp_path, "in/s1.jsonl", odd.replace(b'"u1"', b'"\\ud800u1"').replace(b'"a2"', b'"\\ud800a2"'))
    try:
        put(tmp_path, "in/\udcff.jsonl", claude_code(("u2", None)))
    except (OSError, UnicodeError):
        put(tmp_path, "in/s2.jsonl", claude_code(("u2", None)))
    assert counts(manager.import_sessions(tmp_path / "in")) == (2, 2, 0, 4, 1, 0, 0)
    assert said(manager) == {("u1", "a1"), ("u1", "a2"), ("u2",)}
    assert manager.import_sessions(tmp_path / "in", again=True).unchanged == 2
    monkeypatch.setattr(importing, "format_of", lambda *_: pytest.fail("it was read"))
    monkeypatch.setattr(importing, "identities", lambda *_: pytest.fail("the store was listed"))
    assert counts(manager.import_sessions(tmp_path / "in")) == (2, 0, 0, 0, 0, 2, 0)


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_file_that_grows(cut: int, manager: SessionManager, tmp_path: Path) -> None:
    """Imported after any line, then whole, it is what one import of the whole makes; a rewind is a branch."""
    lines = claude_code(
        *(("u1", None), ("a1", "u1"), ("u2", "a1"), ("a2", "u2"), ("u3", "a1"), ("a3", "u3"), ("u4", "a3"))
    ).splitlines(keepends=True)
    for data in (b"".join(lines[:cut]), b"".join(lines[:cut]) + lines[-1][:40], b"".join(lines)):
        manager.import_sessions(put(tmp_path, "s1.jsonl", data))
    assert said(manager) == {("u1", "a1", "u2", "a2"), ("u1", "a1", "u3", "a3", "u4")}
    assert len(manager.list_sessions()) == 2


def test_an_answer_that_grows(manager: SessionManager, tmp_path: Path) -> None:
    """Read while it was written, an answer is completed in its place."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None, "a1": "u1"}, texts={"a1": "Half"}))
    manager.import_sessions(path)
    path.write_bytes(chatgpt({"u1": None, "a1": "u1", "u2": "a1"}, texts={"a1": "Half and whole"}))
    assert counts(manager.import_sessions(path)) == (1, 0, 1, 1, 0, 0, 0)
    assert said(manager) == {("u1", "Half and whole", "u2")}


CHANGES: dict[str, Callable[[Session], object]] = {
    "added": lambda session: session.add_message({"role": "user", "content": "mine"}),
    "edited": lambda session: session.messages[1].update(content="mine"),
    "the first edited": lambda session: session.messages[0].update(content="mine"),
    "truncated": lambda session: session.keep_first(1),
    "cleared": lambda session: session.clear_messages(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_here_stays(change: str, manager: SessionManager, tmp_path: Path) -> None:
    """What is new goes into a branch, once; nothing that was done here is lost, and nothing happens without news."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None, "a1": "u1"}))
    manager.import_sessions(path)
    session = main(manager)
    CHANGES[change](session)
    manager.save_session(session)
    here = [message["content"].removeprefix("text of ") for message in session.messages]
    path.write_bytes(chatgpt({"u1": None, "a1": "u1"}) + b" ")
    assert counts(manager.import_sessions(path, again=True)) == (1, 0, 0, 0, 0, 1, 0)
    assert said(manager) == {tuple(here)}
    path.write_bytes(chatgpt({"u1": None, "a1": "u1", "u2": "a1"}))
    report = manager.import_sessions(path)
    assert report.branches == 1
    assert any("changed here" in note for note in report.notes)
    assert said(manager) == {tuple(here), ("u1", "a1", "u2")}
    path.write_bytes(chatgpt({"u1": None, "a1": "u1", "u2": "a1", "a2": "u2"}))
    assert manager.import_sessions(path).branches == 0
    assert said(manager) == {tuple(here), ("u1", "a1", "u2", "a2")}
    assert manager.import_sessions(path, again=True).messages == 0


def test_what_was_deleted_stays_so(tmp_path: Path) -> None:
    """Not when the source grows, nor under another name, nor with all notes lost; `again` brings it back."""
    path = put(tmp_path, "c.json", chatgpt(FORKED))
    manager = open_store(tmp_path / "store")
    manager.import_sessions(path)
    for info in manager.list_sessions():
        manager.rename_session(info.name, f"mine {info.name}")
        manager.delete_session(f"mine {info.name}")
    path.write_bytes(chatgpt(FORKED | {"u9": "a1"}))
    manager.import_sessions(path)
    assert manager.list_sessions() == []
    manager.import_sessions(path, again=True)
    assert said(manager) == {("u1", "a1", "u9"), ("u1", "a2", "u2", "a3")}
    for info in manager.list_sessions():
        manager.delete_session(info.name)
    manager.close()
    shutil.rmtree(tmp_path / "store.state")
    with open_store(tmp_path / "store") as manager:
        path.write_bytes(chatgpt(FORKED))
        manager.import_sessions(path)
        assert manager.list_sessions() == []


def test_a_branch_of_a_deleted_session(manager: SessionManager, tmp_path: Path) -> None:
    """A new branch of what was deleted here is there whole."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None, "a1": "u1"}))
    manager.import_sessions(path)
    manager.delete_session(main(manager).name)
    path.write_bytes(chatgpt({"u1": None, "a1": "u1", "a2": "u1"}))
    manager.import_sessions(path)
    assert said(manager) == {("u1", "a2")}


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0), (1, 1)])
def test_two_machines(order: tuple[int, int], tmp_path: Path) -> None:
    """Both import, even exports of different age, and after a sync there is one session each."""
    ages = [chatgpt({"u1": None, "a1": "u1"}), chatgpt(FORKED | {"u4": "a1"})]
    stores = [open_store(tmp_path / name) for name in ("one", "two")]
    for manager, age in zip(stores, order, strict=True):
        manager.import_sessions(put(tmp_path, f"{age}.json", ages[age]))
    stores[0].sync(stores[1])
    expected = {("u1", "a1", "u4"), ("u1", "a2", "u2", "a3")} if 1 in order else {("u1", "a1")}
    for manager in stores:
        assert said(manager) == expected
        assert len(manager.list_sessions()) == len(expected)
        manager.close()


def test_with_redaction(tmp_path: Path) -> None:
    """A secret never reaches the store, and a second import compares with what hooks left: it writes nothing."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None}, texts={"u1": "my key sk-12345678"}))
    stores = []
    for added in (1, 0):
        with open_store(tmp_path / "store") as manager:
            manager.use(Redact("sk-[0-9]+"))
            assert manager.import_sessions(path, again=True).messages == added
            assert "sk-1" not in json.dumps(main(manager).messages)
        stores.append(tree(tmp_path / "store"))
    assert stores[0] == stores[1]


def test_a_document_that_is_cut(manager: SessionManager, tmp_path: Path) -> None:
    """It is told, and nothing of it is stored; the other files are read."""
    put(tmp_path, "in/a/conversations.json", chatgpt(FORKED)[:-9])
    put(tmp_path, "in/b/conversations.json", chatgpt({"u1": None}))
    report = manager.import_sessions(tmp_path / "in")
    assert len(report.unreadable) == 1
    assert "a/conversations.json" in report.unreadable[0]
    assert said(manager) == {("u1",)}


@pytest.mark.parametrize("kind", ["zip", "folder", "file"])
def test_files_of_one_name(kind: str, manager: SessionManager, tmp_path: Path) -> None:
    """Exports call their files alike: of two that were given together, only the last one was read once."""
    given = []
    for number, chat in enumerate([{"u1": None}, {"u2": None}]):
        path = put(tmp_path, f"{number}/conversations.json", chatgpt(chat, title=f"Trip {number}"))
        if kind == "zip":
            with zipfile.ZipFile(path.with_suffix(".zip"), "w") as zipped:
                zipped.write(path, path.name)
        given.append({"zip": path.with_suffix(".zip"), "folder": path.parent, "file": path}[kind])
    assert manager.import_sessions(*given).conversations == 2


def test_a_damaged_file_of_the_same_name(manager: SessionManager, tmp_path: Path) -> None:
    """Files that have nothing to do with each other are read each alone: one is damaged, the other one is there."""
    chat = {"uuid": "c1", "name": "Trip", "chat_messages": [{"uuid": "u1", "sender": "human", "text": "text of u1"}]}
    bad = put(tmp_path, "a/conversations.json", json.dumps([chat]).encode()[:-1])
    report = manager.import_sessions(bad, put(tmp_path, "b/conversations.json", json.dumps([chat]).encode()))
    assert (len(report.unreadable), said(manager)) == (1, {("u1",)})


def test_interrupted_and_run_again(manager: SessionManager, tmp_path: Path) -> None:
    """After an error in between what is there is whole, and another import makes it what one would have made."""
    path = put(tmp_path, "c.json", chatgpt(*[FORKED] * 5))

    def stop(report: ImportReport) -> None:
        if report.conversations == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.import_sessions(path, progress=stop)
    assert len(manager.list_sessions()) == 6
    assert said(manager) == {("u1", "a1"), ("u1", "a2", "u2", "a3")}
    assert counts(manager.import_sessions(path)) == (5, 2, 0, 10, 2, 3, 0)
    assert len(manager.list_sessions()) == 10


def test_a_dry_run(manager: SessionManager, tmp_path: Path) -> None:
    """It counts what an import would do, and changes nothing; a read-only manager may make one."""
    path = put(tmp_path, "c.json", chatgpt(FORKED))
    manager.create_session("other")
    before = tree(tmp_path / "store")
    assert counts(manager.import_sessions(path, dry_run=True)) == (1, 1, 0, 5, 1, 0, 0)
    assert tree(tmp_path / "store") == before
    with open_store(tmp_path / "store", read_only=True) as reader:
        assert counts(reader.import_sessions(path, dry_run=True)) == (1, 1, 0, 5, 1, 0, 0)
        with pytest.raises(StoreReadOnlyError):
            reader.import_sessions(path)
    manager.import_sessions(path)
    path.write_bytes(chatgpt(FORKED | {"u9": "a1", "u8": "a1"}))
    assert counts(manager.import_sessions(path, dry_run=True)) == (1, 0, 1, 2, 1, 0, 0)
    assert counts(manager.import_sessions(path)) == (1, 0, 1, 2, 1, 0, 0)


def test_names_and_titles(manager: SessionManager, tmp_path: Path) -> None:
    """A name stays as it was at first; a new title of the source counts, unless somebody chose one here."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None}, title="A\tlong\nwalk" + "!" * 300))
    manager.import_sessions(path)
    session = main(manager)
    assert session.name.startswith("chatgpt/A long walk!!!")
    assert len(session.name) < 150
    manager.rename_session(session.name, "walk")
    path.write_bytes(chatgpt({"u1": None}, title="Short"))
    manager.import_sessions(path)
    assert (main(manager).name, main(manager).metadata["title"]) == ("walk", "Short")
    main(manager).metadata["title"] = "Mine"
    manager.save_all()
    path.write_bytes(chatgpt({"u1": None, "a1": "u1"}, title="Shorter"))
    manager.import_sessions(path)
    assert (main(manager).metadata["title"], len(main(manager))) == ("Mine", 2)


@pytest.mark.parametrize(
    ("names", "first"),
    [("{title}", "Trip"), ("old/{format}-{id}", "old/chatgpt-3d6cf5"), ("{format}/{project}/{title}", "chatgpt/Trip")],
)
def test_a_pattern_for_names(names: str, first: str, manager: SessionManager, tmp_path: Path) -> None:
    """It has the fields of the default one; where a name is taken by another session, the id is added."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None}, {"u1": None, "a1": "u1"}))
    manager.import_sessions(path, names=names)
    found = sorted(info.name for info in manager.list_sessions())
    assert len(found) == 2
    assert found[0].rpartition("-")[0] == first.rpartition("-")[0]
    if "{id}" not in names:
        assert found[0] == first
        assert found[1].startswith(f"{first} #")


def test_arguments(manager: SessionManager, tmp_path: Path) -> None:
    """What is not possible is an error at once, before any file is looked at."""
    path = put(tmp_path, "c.json", chatgpt({"u1": None}))
    bad: list[dict[str, Any]] = [
        *({"format": "nothing"}, {"keep": "some"}, {"names": "{date}"}, {"names": "{format}"}, {"names": "{"}),
    ]
    for options in bad:
        with pytest.raises(ValueError):
            manager.import_sessions(path, **options)
    with pytest.raises(ValueError):
        manager.import_sessions()
    with pytest.raises(FileNotFoundError):
        manager.import_sessions(tmp_path / "nothing.json")
    assert manager.list_sessions() == []
    assert manager.import_sessions(put(tmp_path, "x.txt", b"Hello")).unreadable != []


def test_sources_stay_untouched(manager: SessionManager, tmp_path: Path) -> None:
    """The folder is the same before and after, and links in it are notes; the path that is given may be one."""
    put(tmp_path, "real/conversations.json", chatgpt(FORKED))
    put(tmp_path, "elsewhere/conversations.json", chatgpt({"u1": None}))
    (tmp_path / "real" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "given").symlink_to(tmp_path / "real")
    before = tree(tmp_path / "real")
    report = manager.import_sessions(tmp_path / "given")
    assert tree(tmp_path / "real") == before
    assert report.conversations == 1
    assert any("is a link" in note for note in report.notes)


def test_within_a_block(manager: SessionManager, tmp_path: Path) -> None:
    """An import may be part of a block of the program's.

    Then nothing is noted of it: what a crash takes back would count as deleted.
    """
    path = put(tmp_path, "c.json", chatgpt(FORKED))
    with manager.bulk():
        manager.create_session("mine")
        manager.import_sessions(path)
    assert len(manager.list_sessions()) == 3
    assert not list((tmp_path / "store.state").rglob("imports*"))
    assert counts(manager.import_sessions(path)) == (1, 0, 0, 0, 0, 1, 0)
    assert list((tmp_path / "store.state").rglob("imports*"))
