"""Databases that are only read: in whatever state they are, no file beside them is made or changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from storekit import fill, message, run_python, say, untouched

from coda_fs_session import SessionManager, StoreError
from coda_fs_session.backends.sqlite import unchanged

from .databases import database, opened

LEAVE = """
    import os, sys
    from storekit import *
    manager = open_store(Path(sys.argv[1]), backend="sqlite")
    fill(manager, "chat")
    os._exit(0)
"""


def read(store: Path, **options: Any) -> list[int]:
    with opened(store, read_only=True, **options) as manager:
        return [len(manager.load_session(info.name).get_messages()) for info in manager.list_sessions()]


@pytest.fixture
def left(store: Path) -> Path:
    """A database whose last writer was killed: what it saved is in the log alone."""
    run_python(LEAVE, store)
    assert {path.name for path in store.iterdir()} == {"sessions.db", "sessions.db-wal", "sessions.db-shm"}
    return store


def test_one_that_was_closed(store: Path) -> None:
    """Nothing is made beside it."""
    with opened(store) as manager:
        fill(manager, "chat")
    with untouched(store):
        assert read(store) == [3]
    assert [path.name for path in store.iterdir()] == ["sessions.db"]


def test_one_whose_writer_was_killed(left: Path) -> None:
    """What is in its log is read, and stays there."""
    with untouched(left):
        assert read(left) == [3]


def test_one_with_an_empty_log(store: Path) -> None:
    """As some program has left it."""
    with opened(store) as manager:
        fill(manager, "chat")
    Path(store, "sessions.db-wal").touch()
    with untouched(store):
        assert read(store) == [3]


def test_one_whose_log_came_alone(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read it a file would have to be made: an error says so, and how to go on."""
    monkeypatch.setattr(unchanged, "_CLOSING_SECONDS", 0.01)
    Path(left, "sessions.db-shm").unlink()
    with untouched(left), pytest.raises(StoreError, match="open the store once with a manager that is not read_only"):
        opened(left, read_only=True)
    with opened(left) as manager:
        assert len(manager.load_session("chat")) == 3
    with untouched(left):
        assert read(left) == [3]


def test_one_that_another_program_changes_without_a_log(store: Path) -> None:
    """The locks of that program are heeded: what it has not committed is not seen."""
    with opened(store) as manager:
        fill(manager, "chat")
    with database(store) as connection:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
        with untouched(store):
            assert read(store) == [3]
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE store SET changed = 1")
        assert Path(store, "sessions.db-journal").stat().st_size
        with untouched(store):
            assert read(store) == [3]
        connection.execute("ROLLBACK")


def test_one_whose_changes_without_a_log_were_cut_short(store: Path) -> None:
    """It holds half of a change, which only somebody who writes can take back: an error, and never half."""
    with opened(store) as manager:
        fill(manager, "chat", 200)
    script = """
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        for setting in ("journal_mode = DELETE", "cache_size = 1", "cache_spill = 1"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("BEGIN")
        connection.execute("UPDATE ref_lines SET data = zeroblob(1000)")
        os._exit(0)
    """
    run_python(script, store / "sessions.db")
    with untouched(store), pytest.raises(StoreError, match=r"sessions\.db-journal"):
        read(store)
    with opened(store) as manager:
        assert len(manager.load_session("chat").get_messages()) == 200


def test_one_that_is_changed_while_it_is_taken_for_unchanging(store: Path) -> None:
    """What was read of it is read again, an error too."""
    with opened(store) as manager:
        fill(manager, "chat")
    manager = opened(store, read_only=True)
    look = manager._storage.repo.backend.inner._database.read  # type: ignore[attr-defined]
    looks = []

    def meanwhile(connection: sqlite3.Connection) -> list[tuple[int]]:
        looks.append(1)
        if len(looks) < 3:
            with opened(store) as writer:
                fill(writer, f"another {len(looks)}")
        if len(looks) == 2:
            raise sqlite3.DatabaseError("torn")
        return connection.execute("SELECT count(*) FROM refs").fetchall()

    assert look(meanwhile) == [(3,)]
    assert len(looks) == 3
    assert len(manager.list_sessions()) == 3


def test_a_time_within_a_tick_is_waited_for(store: Path) -> None:
    """Within a tick of the clock a second change would leave the time as it is."""
    with opened(store) as manager:
        fill(manager, "chat")
    path = f"{store}/sessions.db"
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    seen = unchanged._settled(path)
    assert seen == unchanged.see(path)
    assert time.time_ns() - seen.changed >= unchanged._GRAIN_NS


def test_many_readers_beside_a_writer_of_the_same_process(store: Path) -> None:
    """SQLite shares a file among both: whoever opens it to write must not get it to read only."""
    with opened(store) as manager:
        fill(manager, "chat")
    run_python(LEAVE.replace('"chat"', '"left"'), store)
    problems: list[BaseException] = []
    stop = threading.Event()

    def look(reader: SessionManager) -> None:
        try:
            while not stop.is_set():
                assert len(reader.load_session("chat").get_messages()) >= 3
        except BaseException as error:
            problems.append(error)

    readers = [opened(store, read_only=True) for _ in range(4)]
    threads = [threading.Thread(target=look, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    try:
        for number in range(10):
            with opened(store) as writer:
                say(writer, writer.load_session("chat"), 3 + number)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []
    for reader in readers:
        assert reader.load_session("chat").get_messages(limit=1) == [message(12)]
        reader.close()


def test_many_readers_beside_writers_of_other_processes(store: Path) -> None:
    """Each of these opens the database, saves and closes it, which takes the log away: nothing torn is ever seen."""
    with opened(store) as manager:
        fill(manager, "chat", 1)
    script = """
        import sys
        from storekit import *
        for number in range(1, 31):
            with open_store(Path(sys.argv[1]), backend="sqlite") as manager:
                say(manager, manager.load_session("chat"), number)
    """
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(run_python(script, store)))
    thread.start()
    seen = 0
    with opened(store, read_only=True) as reader:
        while thread.is_alive():
            messages = reader.load_session("chat").get_messages()
            assert messages == [message(number) for number in range(len(messages))]
            assert len(messages) >= seen
            seen = len(messages)
        assert result[0].returncode == 0, result[0].stderr
        assert len(reader.load_session("chat")) == 31


def test_a_copy_without_permission_to_write(store: Path, tmp_path: Path) -> None:
    """Neither the folder nor the file need be writable."""
    run_python(LEAVE, store)
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    for path in [*copy.iterdir(), copy]:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        with untouched(copy):
            assert read(copy) == [3]
    finally:
        copy.chmod(0o700)
