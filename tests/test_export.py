"""Sessions as files to hand on: whole or not at all, exact, and forgiving about where they come from."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from storekit import message, open_store, say, within

from coda_fs_session import (
    InvalidMessageError,
    InvalidNameError,
    Session,
    SessionError,
    SessionExistsError,
    SessionManager,
    SessionNotFoundError,
    SessionTooLargeError,
)
from coda_fs_session.backends.disk.files import Files


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager({"session": {"backend": "memory", "autosave_interval": 0, "max_session_size": 0.01}})


def test_a_round_trip(manager: SessionManager, tmp_path: Path) -> None:
    """What is exported, unsaved changes included, comes back equal in every part, under the same or another name."""
    session = manager.create_session("chat/one")
    session.add_message({"z": 1, "a": [0.0, -0.0, 1e300, 2**64 - 1, "\u2028\U0001f600\\"]})
    manager.save_session(session)
    session.add_message(message(2))
    session.update_metadata({"topic": {"deep": [None]}})
    path = manager.export_session("chat/one", tmp_path / "chat.json")
    assert path == tmp_path / "chat.json"
    assert session.has_unsaved_changes
    other = SessionManager({"session": {"backend": "memory"}})
    for name in (None, "under another name"):
        imported = other.import_session(str(path), name=name)
        assert imported.name == name or name is None
        assert repr(imported.get_messages()) == repr(session.get_messages())
        assert imported.metadata == session.metadata
        assert (imported.created_at, imported.updated_at) == (session.created_at, session.updated_at)
        assert not imported.has_unsaved_changes


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_bare_name(manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool) -> None:
    """A file in the working directory is written there alone: the root may be another disk, or not this user's."""
    written = []
    create = Files.create

    def noted(files: Files, path: str) -> int:
        written.append(os.path.abspath(path))
        return create(files, path)

    monkeypatch.setattr(Files, "create", noted)
    monkeypatch.chdir(tmp_path)
    manager.create_session("chat").add_message(message(1))
    assert manager.export_session("chat", "chat.json", overwrite=overwrite) == Path("chat.json")
    assert [os.path.dirname(each) for each in written] == [str(tmp_path)]
    assert os.listdir() == ["chat.json"]


def test_any_json_library_reads_it(manager: SessionManager, tmp_path: Path) -> None:
    """The file is one JSON object with the five fields of the API page's example, times with their offset."""
    session = manager.create_session("chat")
    session.add_message(message(1))
    document = json.loads(manager.export_session("chat", tmp_path / "chat.json").read_bytes())
    assert list(document) == ["name", "messages", "metadata", "created_at", "updated_at"]
    assert document["messages"] == [message(1)]
    assert datetime.fromisoformat(document["created_at"]).utcoffset() == timedelta(0)
    assert json.loads(manager.export_session("chat", tmp_path / "b.json").read_text(encoding="utf-8")) == document


def test_an_existing_file_is_kept(manager: SessionManager, tmp_path: Path) -> None:
    """Without `overwrite` a file in the way stays, be it a broken link; with it, it is replaced. No scraps stay."""
    manager.create_session("chat")
    path = tmp_path / "chat.json"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        manager.export_session("chat", path)
    assert path.read_text() == "mine"
    manager.export_session("chat", path, overwrite=True)
    assert json.loads(path.read_text())["name"] == "chat"
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        manager.export_session("chat", tmp_path / "link.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chat.json", "link.json"]


def test_a_failed_export_leaves_nothing(manager: SessionManager, tmp_path: Path) -> None:
    """A bad value, met half-way, is an error with its place: the old file stays and no part of a new one."""
    session = manager.create_session("chat")
    path = manager.export_session("chat", tmp_path / "chat.json")
    before = path.read_bytes()
    session.messages.append({"a": float("nan")})
    with pytest.raises(InvalidMessageError, match=r"messages\[0\]\.a"):
        manager.export_session("chat", path, overwrite=True)
    session.messages.clear()
    session.metadata["b"] = float("inf")
    with pytest.raises(InvalidMessageError, match=r"metadata\.b"):
        manager.export_session("chat", path, overwrite=True)
    with pytest.raises(FileNotFoundError):
        manager.export_session("chat", tmp_path / "missing" / "chat.json")
    with pytest.raises(SessionNotFoundError):
        manager.export_session("nobody", tmp_path / "nobody.json")
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["chat.json"]


def test_a_long_file_name(manager: SessionManager, tmp_path: Path) -> None:
    """A name as long as the disk takes is not too long for the temporary file beside it."""
    manager.create_session("chat")
    assert manager.export_session("chat", tmp_path / ("x" * 250 + ".json")).exists()


def test_without_hard_links(manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk without hard links an export works, and still replaces nothing."""

    def no_links(source: object, target: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    manager.create_session("chat")
    path = manager.export_session("chat", tmp_path / "chat.json")
    assert json.loads(path.read_text())["name"] == "chat"
    with pytest.raises(FileExistsError):
        manager.export_session("chat", path)
    assert [path.name for path in tmp_path.iterdir()] == ["chat.json"]


def test_two_threads_export_to_one_path(manager: SessionManager, tmp_path: Path) -> None:
    """Bug: two exports at once shared a temporary file, and one removed the other's."""
    for name in ("a", "b"):
        manager.save_session(Session(name, [message(number) for number in range(50)]))
    problems: list[BaseException] = []

    def export(name: str) -> None:
        try:
            for _ in range(20):
                manager.export_session(name, tmp_path / "out.json", overwrite=True)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=export, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(json.loads((tmp_path / "out.json").read_text())["messages"]) == 50
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_on_exists(manager: SessionManager, tmp_path: Path) -> None:
    """A taken name is an error, replaced, or left alone, as asked; replacing works on the open object."""
    session = manager.create_session("chat")
    say(manager, session, 1)
    path = manager.export_session("chat", tmp_path / "chat.json")
    session.add_message(message(2))
    session.update_metadata({"later": True})
    manager.save_session(session)
    with pytest.raises(SessionExistsError):
        manager.import_session(path)
    assert manager.import_session(path, on_exists="skip") is session
    assert len(session) == 2
    assert manager.import_session(path, on_exists="replace") is session
    assert (session.get_messages(), session.metadata) == ([message(1)], {})
    assert not session.has_unsaved_changes
    with pytest.raises(ValueError, match='"raise", "replace" or "skip"'):
        manager.import_session(path, on_exists="merge")  # type: ignore[arg-type]


def test_replacing_saves_first_what_was_not_saved(tmp_path: Path) -> None:
    """What the open session held and had not saved is stored before the import takes its place."""
    manager = open_store(tmp_path / "store")
    session = manager.create_session("chat")
    say(manager, session, 1)
    path = manager.export_session("chat", tmp_path / "chat.json")
    session.add_message(message(2))
    manager.import_session(path, on_exists="replace")
    files = [file.read_text() for file in (tmp_path / "store").rglob("*.jsonl")]
    assert any(json.dumps(message(2)["content"]) in text for text in files)
    assert session.get_messages() == [message(1)]


def test_a_replacement_that_cannot_be_saved_changes_nothing(manager: SessionManager, tmp_path: Path) -> None:
    """What is too large, or no valid conversation, leaves the open session as it was."""
    session = manager.create_session("chat")
    say(manager, session, 1)
    path = tmp_path / "in.json"
    for messages, error in (([message(2, 20_000)], SessionTooLargeError), ([{"n": 2**70}], InvalidMessageError)):
        path.write_text(json.dumps({"name": "chat", "messages": messages}))
        with pytest.raises(error):
            manager.import_session(path, on_exists="replace")
        with pytest.raises(error):
            manager.import_session(path, name="new")
        assert session.get_messages() == [message(1)]
        assert not session.has_unsaved_changes
        assert "new" not in manager


def test_naive_times_are_local(manager: SessionManager, tmp_path: Path) -> None:
    """Files of the API page's example hold naive local times; others an offset; others none at all."""
    naive = datetime(2024, 5, 17, 12, 30)
    path = tmp_path / "in.json"
    path.write_text(json.dumps({"messages": [], "created_at": naive.isoformat(), "updated_at": naive.isoformat()}))
    assert manager.import_session(path, name="naive").created_at == naive
    aware = datetime(2024, 5, 17, 12, 30, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    path.write_text(json.dumps({"messages": [], "created_at": aware.isoformat()}))
    imported = manager.import_session(path, name="aware")
    assert imported.created_at.astimezone(UTC) == aware
    path.write_text(json.dumps({"name": "none", "messages": []}))
    before = datetime.now()
    assert before <= manager.import_session(path).created_at <= datetime.now()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe\xfd",
        b"[]",
        b'{"name": "x"}',
        b'{"name": "x", "messages": {}}',
        b'{"name": 5, "messages": []}',
        b'{"messages": []}',
        b'{"name": "x", "messages": ["hello"]}',
        b'{"name": "x", "messages": [], "metadata": []}'.replace(b"[]}", b"[1]}"),
        b'{"name": "x", "messages": [], "created_at": "yesterday"}',
        b'{"name": "x", "messages": [], "created_at": 5}',
        b'{"name": "x", "messages": [], "updated_at": "0001-01-01T00:00:00"}',
        b'{"name": "x", "messages": [{"n": 12345678901234567890123}]}',
        b'{"name": "x", "messages": [{"n": NaN}]}',
        b'{"name": "x", "messages": [{"n": "\\ud800"}]}',
        b'{"name": "x", "messages": [' + b"[" * 100_000,
        b'{"name": "x", "messages": [{"n": ' + b"[" * 250 + b"]" * 250 + b"}]}",
        b'{"name": "", "messages": []}',
    ],
    ids=lambda content: content[:60].decode("latin-1"),
)
def test_a_file_that_is_no_session(manager: SessionManager, tmp_path: Path, content: bytes) -> None:
    """Anything else is a SessionError, never a session with something missing or changed."""
    path = tmp_path / "in.json"
    path.write_bytes(content)
    with pytest.raises(SessionError):
        manager.import_session(path)
    assert manager.list_sessions() == []


def test_a_file_that_is_not_there(manager: SessionManager, tmp_path: Path) -> None:
    """A missing file is the error of the standard library; a bad name is refused as anywhere."""
    with pytest.raises(FileNotFoundError):
        manager.import_session(tmp_path / "missing.json")
    (tmp_path / "in.json").write_text('{"messages": []}')
    with pytest.raises(InvalidNameError):
        manager.import_session(tmp_path / "in.json", name="")


def test_a_byte_order_mark_is_no_obstacle(manager: SessionManager, tmp_path: Path) -> None:
    """Files that went through an editor which writes a mark at the beginning are read."""
    (tmp_path / "in.json").write_text('{"name": "x", "messages": [{"a": "\u00e9"}]}', encoding="utf-8-sig")
    assert manager.import_session(tmp_path / "in.json").get_messages() == [{"a": "\u00e9"}]


@pytest.mark.parametrize("overwrite", [False, True])
def test_only_this_user_may_read_it(manager: SessionManager, tmp_path: Path, overwrite: bool) -> None:
    """As the store; also where a file that others may read was there. Whoever is to have it is given it."""
    manager.create_session("chat")
    path = tmp_path / "chat.json"
    if overwrite:
        path.write_text("older")
        path.chmod(0o644)
    before = os.umask(0)
    try:
        manager.export_session("chat", path, overwrite=overwrite)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_replaced_messages_stay_in_the_history(tmp_path: Path) -> None:
    """Replacing is a step forward: nothing of what was there is removed from the disk."""
    manager = open_store(tmp_path / "store")
    manager.save_session(Session("chat", [message(1, 70_000)]))
    before = set((tmp_path / "store").glob("objects/*/*"))
    (tmp_path / "in.json").write_text('{"name": "chat", "messages": []}')
    manager.import_session(tmp_path / "in.json", on_exists="replace")
    assert before < set((tmp_path / "store").glob("objects/*/*"))


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_has_no_end_is_not_imported(manager: SessionManager, tmp_path: Path, kind: str) -> None:
    """A pipe is not waited for, and a device not read until memory is full: it is refused by name, and at once."""
    path = tmp_path / "chat.json" if kind != "device" else Path("/dev/zero")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with within(10), pytest.raises(OSError if kind == "folder" else SessionError, match=str(path)):
        manager.import_session(path)
    assert manager.list_sessions() == []
