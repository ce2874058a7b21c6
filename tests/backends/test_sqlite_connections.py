"""How a database is opened: by whatever path, and where its folder cannot be written."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from storekit import fill, open_store

from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.sqlite import database as databases
from coda_fs_session.backends.sqlite.connections import Connections
from coda_fs_session.backends.sqlite.database import Database

REFUSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
EVERY = (*REFUSED, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR)


class Refusing:
    """A connection at which the first statement fails."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.closed = False

    def execute(self, statement: str) -> None:
        error = sqlite3.OperationalError("refused")
        # With details of the kind, as SQLite gives them.
        error.sqlite_errorcode = self.code | 1 << 8
        raise error

    def close(self) -> None:
        self.closed = True


def test_a_path_with_two_slashes_in_front(tmp_path: Path) -> None:
    """It is a path like any other; SQLite once took its first folder for a host."""
    with open_store(Path(f"/{tmp_path}/store"), backend="sqlite") as manager:
        fill(manager, "chat")
    with open_store(tmp_path / "store", backend="sqlite") as manager:
        assert len(manager.load_session("chat")) == 3


@pytest.mark.parametrize("code", EVERY)
@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("log", [False, True])
def test_a_database_is_taken_for_unchanging_only_where_nothing_else_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, writable: bool, log: bool
) -> None:
    """That is where SQLite cannot make the files it needs, nobody here could, and no log has newer pages.

    Everything else is an error: as unchanging, a database that others write is read wrongly, without a word.
    """
    path = tmp_path / "sessions.db"
    if log:
        (tmp_path / "sessions.db-wal").touch()
    first, modes = Refusing(code), []

    def open_file(self: Connections, mode: str) -> Any:
        modes.append(mode)
        return first if len(modes) == 1 else "unchanging"

    monkeypatch.setattr(Connections, "_open_file", open_file)
    monkeypatch.setattr(os, "access", lambda folder, mode: writable and folder == str(tmp_path) and mode == os.W_OK)
    connections = Connections(str(path), most=1, patience=1, durable=False)
    if code in REFUSED and not writable and not log:
        assert connections._open_for_use() == "unchanging"
        assert modes == ["rw", "ro&immutable=1"]
    else:
        with pytest.raises(sqlite3.OperationalError):
            connections._open_for_use()
        assert modes == ["rw"]
    assert first.closed


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_committed_lasts(tmp_path: Path, durable: bool) -> None:
    """Unless the store is not to be durable, each commit is synced, and so is what goes from the log to the database.

    Also on macOS, where that takes a setting each.
    """
    database = Database(str(tmp_path), Files(durable=durable), connections=1, patience=1)
    database.prepare()
    with database.reading() as connection:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "fullfsync", "checkpoint_fullfsync")
        ]
    assert found == [2 if durable else 0, 1, 1]


@pytest.mark.parametrize("verb", ["reading", "hold"])
def test_a_fork_waits_for_connections_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """What another thread is in the middle of is not taken from it; only once it is done are all connections closed."""
    monkeypatch.setattr(databases, "_FORK_SECONDS", 0.0)
    database = Database(str(tmp_path), Files(durable=False), connections=2, patience=1)
    database.prepare()
    closed: list[bool] = []
    monkeypatch.setattr(database, "_dispose", lambda: closed.append(True))
    inside, leave = threading.Event(), threading.Event()

    def use() -> None:
        with database.reading() if verb == "reading" else database.hold("write"):
            inside.set()
            assert leave.wait(30)

    def fork() -> None:
        database.before_fork()
        database.after_fork_in_parent()

    thread = threading.Thread(target=use)
    thread.start()
    assert inside.wait(30)
    fork()
    found = closed.copy()
    leave.set()
    thread.join()
    assert found == []
    fork()
    assert closed == [True]
