"""A database: which folder and which file it is, also where another one takes its place."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import fill, message, open_store, run_python, say, tree, within

from coda_fs_session import (
    StoreError,
    StoreFormatError,
    StoreGoneError,
)
from coda_fs_session.backends.base import RefChangedError, RefKey
from coda_fs_session.backends.sqlite.backend import SqliteBackend
from coda_fs_session.backends.sqlite.schema import STEPS
from coda_fs_session.backends.sqlite.waiting import Queue
from coda_fs_session.testing.kit.case import KEY

from .databases import opened, rows


def test_a_store_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    """Neither backend writes into the other's folder, and the error says which one to use."""
    files, db = tmp_path / "files", tmp_path / "db"
    with open_store(files) as manager:
        fill(manager, "chat")
    with opened(db) as manager:
        fill(manager, "chat")
    before = tree(tmp_path)
    with pytest.raises(StoreFormatError, match=r'backend = "files"'):
        opened(files)
    with pytest.raises(StoreFormatError, match=r'backend = "sqlite"'):
        open_store(db)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "said"), [("notes.txt", "is not empty"), ("sessions.db-wal", "sessions.db is missing")]
)
def test_a_folder_of_something_else_is_refused(name: str, said: str, store: Path) -> None:
    """It is never filled; dotfiles do not count."""
    store.mkdir()
    (store / name).write_text("mine")
    with pytest.raises(StoreFormatError, match=said):
        opened(store)
    (store / name).rename(store / ".hidden")
    opened(store).create_session("chat")


def test_looking_makes_nothing(store: Path) -> None:
    """Until the first write there is no folder and no file."""
    with opened(store) as manager:
        assert manager.list_sessions() == []
        assert "chat" not in manager
    assert not store.exists()


def test_modes_do_not_depend_on_the_umask(store: Path) -> None:
    """Conversations are for their owner alone, in the database and in its log."""
    before = os.umask(0)
    try:
        manager = opened(store)
        fill(manager, "chat")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (store, *store.iterdir())}
        manager.close()
    finally:
        os.umask(before)
    assert modes == {"store": 0o700, "sessions.db": 0o600, "sessions.db-wal": 0o600, "sessions.db-shm": 0o600}


def test_how_it_is_set_up(store: Path) -> None:
    """The header tells whose database it is, the log is a WAL, and commits are synced, unless asked not to be."""
    for durability, synchronous in (("full", 2), ("none", 0)):
        with opened(store, durability=durability) as manager:
            fill(manager, f"chat {durability}")
            backend = manager._storage.repo.backend  # type: ignore[attr-defined]
            with backend._database.reading() as connection:
                assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    query = (
        "SELECT a.application_id, v.user_version, j.journal_mode FROM pragma_application_id a, pragma_user_version v"
    )
    assert rows(store, f"{query}, pragma_journal_mode j") == [(0x436F6461, len(STEPS), "wal")]
    assert (store / "sessions.db").read_bytes()[68:72] == b"Coda"


def test_another_database_at_the_same_place(store: Path) -> None:
    """Where another database comes to stand at the path, an open manager says so, and writes nothing into it.

    Nor into the one that is gone. A new manager goes on with the one that is there.
    """
    with opened(store) as manager:
        fill(manager, "first", 2)
    manager = opened(store)
    session = manager.load_session("first")
    store.rename(store.with_name("away"))
    with opened(store) as other:
        fill(other, "second", 3)
    session.add_message(message(2))
    for call in (manager.list_sessions, lambda: manager.save_session(session), lambda: manager.create_session("new")):
        with pytest.raises(StoreGoneError, match=r"another database .* open a new manager"):
            call()
    with opened(store) as other:
        assert [info.name for info in other.list_sessions()] == ["second"]
    shutil.rmtree(store)
    store.with_name("away").rename(store)
    manager.save_session(session)
    manager.close()
    with opened(store) as manager:
        assert manager.load_session("first").get_messages() == [message(number) for number in range(3)]


def test_the_database_is_removed(store: Path) -> None:
    """Nothing is acknowledged, and no other one begun in its place; once it is back, what was not saved is.

    A new one used to be made, in which a session may lack what only the old one held.
    """
    with opened(store) as manager:
        fill(manager, "chat", 2)
    manager = opened(store)
    session = manager.load_session("chat")
    kept = store.with_name("kept")
    (store / "sessions.db").rename(kept)
    for path in store.iterdir():
        path.unlink()
    session.add_message(message(2))
    for call in (manager.list_sessions, manager.close, lambda: manager.load_session("other")):
        with pytest.raises(StoreGoneError, match="is gone: mount its disk or put the folder back"):
            call()
    assert list(store.iterdir()) == []
    kept.rename(store / "sessions.db")
    manager.close()
    with opened(store) as manager:
        assert manager.load_session("chat").get_messages() == [message(number) for number in range(3)]


def test_a_ref_that_is_gone_is_not_held(tmp_path: Path) -> None:
    """As where it is a file; and others can write.

    Two processes whose database was removed used to wait for each other for ever: one held the database and wanted
    to make its replica known, the other the other way round.
    """
    backend = SqliteBackend(tmp_path)
    backend.prepare()
    with pytest.raises(RefChangedError), backend.hold(KEY):
        pass
    other = SqliteBackend(tmp_path, patience=0.1)
    other.create_ref(KEY, b"one\n")
    with backend.hold(KEY):
        pass
    for each in (backend, other):
        each.close()


def test_the_database_is_removed_while_it_is_written(tmp_path: Path) -> None:
    """Who is in the middle of it is told so, as is whoever writes next.

    To make a new one, a writer used to wait for a lock that it held itself.
    """
    backend = SqliteBackend(tmp_path)
    backend.create_ref(KEY, b"one\n")
    with within(30), contextlib.ExitStack() as stack:
        stack.enter_context(backend.hold(KEY))
        for path in tmp_path.iterdir():
            path.unlink()
        with pytest.raises(StoreGoneError):
            backend.create_ref(KEY, b"lost\n")
        with pytest.raises(StoreError, match="or removed, while it was written"):
            stack.close()
    with pytest.raises(StoreGoneError):
        backend.create_ref(KEY, b"two\n")
    backend.close()
    assert not (tmp_path / "sessions.db").exists()


def test_a_restored_backup(store: Path, tmp_path: Path) -> None:
    """What an open session saved and a backup does not have is written again with its next save."""
    with opened(store) as manager:
        fill(manager, "chat", 2)
    backup = shutil.copy(store / "sessions.db", tmp_path / "backup")
    with opened(store) as manager:
        session = manager.load_session("chat")
        say(manager, session, 10)
        manager._storage.close()
        shutil.copy(backup, store / "sessions.db.new")
        (store / "sessions.db.new").replace(store / "sessions.db")
        say(manager, session, 11)
    with opened(store) as manager:
        expected = [message(number) for number in (0, 1, 10, 11)]
        assert manager.load_session("chat").get_messages() == expected


@pytest.fixture
def while_waiting(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What is put into this list happens while the next writer waits in the queue."""
    events: list[Callable[[], object]] = []
    enter = Queue.enter

    def wait(queue: Queue) -> None:
        enter(queue)
        if events:
            events.pop()()

    monkeypatch.setattr(Queue, "enter", wait)
    return events


def test_a_backup_restored_while_a_save_waits(
    store: Path, tmp_path: Path, while_waiting: list[Callable[[], object]]
) -> None:
    """What is acknowledged then is in the database that is there, not in the one that has no name any more."""
    with opened(store) as manager:
        fill(manager, "chat", 2)
    backup = Path(shutil.copy(store / "sessions.db", tmp_path / "backup"))
    with opened(store) as manager:
        session = manager.load_session("chat")

        def restore() -> None:
            for log in ("sessions.db-wal", "sessions.db-shm"):
                (store / log).unlink()
            backup.replace(store / "sessions.db")

        while_waiting.append(restore)
        say(manager, session, 2)
        assert not while_waiting
    with opened(store) as manager:
        assert manager.load_session("chat").get_messages() == [message(number) for number in range(3)]


def test_removed_while_a_save_waits(store: Path, while_waiting: list[Callable[[], object]]) -> None:
    """It is an error that says so; saving again works once the database is back."""
    with opened(store) as manager:
        fill(manager, "chat", 2)
        session = manager.load_session("chat")
        away = store.with_name("away")
        while_waiting.append(lambda: store.rename(away))
        session.add_message(message(2))
        with pytest.raises(StoreGoneError) as caught:
            manager.save_session(session)
        assert caught.value.path == store / "sessions.db"
        away.rename(store)
        manager.save_session(session)
    with opened(store) as manager:
        assert manager.load_session("chat").get_messages() == [message(number) for number in range(3)]


def test_others_do_not_pay_for_it() -> None:
    """A program that uses another backend does not import sqlite3."""
    script = """
    import sys
    from coda_fs_session import SessionManager
    SessionManager({"session": {"backend": "memory"}}).create_session("chat")
    print(*{"sqlite3"} & set(sys.modules))
    """
    done = run_python(script)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_what_is_let_go_of_is_closed(store: Path) -> None:
    """A manager that nobody closed keeps no file open."""
    # What other tests have let go of must not be counted.
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    manager = opened(store)
    fill(manager, "chat")
    assert len(os.listdir("/dev/fd")) > before
    del manager
    gc.collect()
    assert len(os.listdir("/dev/fd")) <= before


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    """A ref whose file name was made of other bytes cannot be kept, which is an error about this one alone."""
    backend = SqliteBackend(tmp_path)
    key = RefKey("there-00000002/\udcff.jsonl")
    with pytest.raises(StoreError, match="only text"):
        backend.create_ref(key, b"one\n")
    with pytest.raises(KeyError):
        backend.read_ref(key)
    backend.create_ref(KEY, b"one\n")
    backend.close()
