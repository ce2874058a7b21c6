"""The SQLite backend: the contract, and what only a database can get wrong."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from storekit import fill, message, open_store, run_python, say, tree, within

from coda_fs_session import (
    CorruptionError,
    SessionManager,
    StoreError,
    StoreFormatError,
    StoreFullError,
    StoreGoneError,
)
from coda_fs_session.backends.base import Backend, RefChangedError, RefKey
from coda_fs_session.backends.sqlite import backend as sqlite_backend
from coda_fs_session.backends.sqlite import refs, schema
from coda_fs_session.backends.sqlite.backend import SqliteBackend
from coda_fs_session.backends.sqlite.connections import Connections
from coda_fs_session.backends.sqlite.waiting import Queue
from coda_fs_session.repo.index import freshness
from coda_fs_session.testing import BackendTests
from coda_fs_session.testing.kit.case import KEY, new_object


class TestSqlite(BackendTests):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[SqliteBackend]:
        made = SqliteBackend(tmp_path / "store")
        yield made
        made.close()

    def reopen(self, backend: Backend) -> SqliteBackend:
        return SqliteBackend(Path(backend.place().path))

    def read_raw(self, backend: Backend, where: RefKey | str) -> bytes | None:
        if not (Path(backend.place().path) / "sessions.db").exists():
            return None
        with _database(backend) as connection:
            if isinstance(where, RefKey):
                sql = "SELECT data FROM ref_lines JOIN refs ON ref = id WHERE path = ? ORDER BY position"
                known = connection.execute("SELECT 1 FROM refs WHERE path = ?", (where.path,)).fetchone()
                lines = connection.execute(sql, (where.path,)).fetchall()
                return b"".join(line for (line,) in lines) if known else None
            found = connection.execute("SELECT data FROM objects WHERE id = ?", (where,)).fetchone()
            return found[0] if found else None

    def write_raw(self, backend: Backend, where: RefKey | str, data: bytes | None) -> None:
        if isinstance(where, RefKey) and data is not None:
            # Whatever another program puts into the tables by itself is damage, which reading tells.
            other = self.reopen(backend)
            other.replace_ref(where, other.read_ref(where).token, data)
            other.close()
            return
        with _database(backend) as connection:
            if isinstance(where, RefKey):
                (ref,) = connection.execute("SELECT id FROM refs WHERE path = ?", (where.path,)).fetchone()
                for column, child in (("ref", "ref_lines"), ("ref", "sessions"), ("id", "refs")):
                    connection.execute(f"DELETE FROM {child} WHERE {column} = ?", (ref,))
            elif data is None:
                connection.execute("DELETE FROM objects WHERE id = ?", (where,))
            else:
                connection.execute("UPDATE objects SET data = ?, form = 'plain' WHERE id = ?", (data, where))


@contextlib.contextmanager
def _database(backend: Backend) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(Path(backend.place().path) / "sessions.db")) as connection, connection:
        yield connection


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def opened(store: Path, **options: Any) -> SessionManager:
    return open_store(store, backend="sqlite", **options)


@contextlib.contextmanager
def database(store: Path) -> Iterator[sqlite3.Connection]:
    """Open the database as any other program would."""
    with contextlib.closing(sqlite3.connect(store / "sessions.db", isolation_level=None)) as connection:
        yield connection


def rows(store: Path, query: str) -> list[tuple[Any, ...]]:
    with database(store) as connection:
        return connection.execute(query).fetchall()


# The table for people


def test_sessions_can_be_asked_for_with_sql(store: Path) -> None:
    """The table tells of every ref what the list of sessions does, after each kind of step."""
    with opened(store) as manager:
        session = manager.create_session("chat")
        session.update_metadata({"model": "m-1", "count": 1, "none": None})
        say(manager, session, 0, 1)
        session.metadata["count"] = 2
        del session.metadata["model"]
        say(manager, session, 2)
        session.messages[1] = message(7)
        manager.save_session(session)
        fill(manager, "long", 40, size=9000)
        long = manager.load_session("long")
        say(manager, long, 99)
        long.truncate_messages(12)
        manager.save_session(long)
        say(manager, long, 100)
        manager.create_session("branch", branch_from="long", at=5)
        manager.create_session("old")
        manager.rename_session("old", "new")
        manager.create_session("gone")
        manager.delete_session("gone")
        infos = {info.name: info for info in manager.list_sessions()}
        found = rows(
            store, "SELECT name, messages, bytes, metadata, parent, forked_at, replica FROM sessions WHERE NOT deleted"
        )
        assert {row[0]: (row[1], row[2], orjson.loads(row[3]), *row[4:]) for row in found} == {
            name: (info.message_count, info.size_bytes, info.metadata, info.parent, info.forked_at, info.replica)
            for name, info in infos.items()
        }
        assert rows(store, "SELECT name FROM sessions WHERE deleted") == [("gone",)]
        assert rows(store, "SELECT json_extract(metadata, '$.count') FROM sessions WHERE name = 'chat'") == [(2,)]
        assert rows(store, "SELECT name FROM sessions ORDER BY updated DESC LIMIT 1") == [("gone",)]


def test_a_save_adds_a_row_and_rewrites_none(store: Path) -> None:
    """Of a session with much in its ref a save adds one line, in one transaction."""
    with opened(store) as manager:
        session = manager.create_session("chat")
        say(manager, session, *range(10))
        before = rows(store, "SELECT position, data FROM ref_lines ORDER BY position")
        say(manager, session, 10)
        after = rows(store, "SELECT position, data FROM ref_lines ORDER BY position")
        assert after[:-1] == before
        assert orjson.dumps(message(10)) in after[-1][1]


def test_a_seal_is_one_transaction(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save that makes objects writes them and the ref that names them together: whoever looks sees both or neither,
    and where it fails the session can be saved again."""
    seen = []
    with opened(store) as manager:
        session = manager.create_session("chat")
        say(manager, session, 0)
        describe = refs._describe

        def look(*arguments: Any) -> None:
            seen.append(rows(store, "SELECT (SELECT count(*) FROM objects), (SELECT messages FROM sessions)"))
            describe(*arguments)
            if len(seen) == 1:
                raise StoreFullError("full")

        monkeypatch.setattr(refs, "_describe", look)
        session.add_message(message(1, 70_000))
        with pytest.raises(StoreFullError):
            manager.save_session(session)
        manager.save_session(session)
        assert seen == [[(0, 1)], [(0, 1)]]
        assert rows(store, "SELECT (SELECT count(*) > 0 FROM objects), (SELECT messages FROM sessions)") == [(1, 2)]


def test_a_fork_is_one_transaction(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages of the parent that are in no chunk yet become an object, committed with the ref that names it."""
    statements: list[str] = []
    open_file = Connections._open_file

    def traced(connections: Connections, mode: str) -> sqlite3.Connection:
        connection = open_file(connections, mode)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(Connections, "_open_file", traced)
    with opened(store) as manager:
        messages = fill(manager, "chat", 40, size=9000)
        statements.clear()
        fork = manager.create_session("fork", branch_from="chat")
        assert any(statement.startswith("INSERT OR REPLACE INTO objects") for statement in statements)
        assert statements.count("COMMIT") == 1
        assert fork.get_messages() == messages


# Which folder and which file


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
    assert rows(store, f"{query}, pragma_journal_mode j") == [(0x436F6461, 1, "wal")]
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
    """A program that uses another backend imports neither SQLAlchemy nor sqlite3."""
    script = """
    import sys
    from coda_fs_session import SessionManager
    SessionManager({"session": {"backend": "memory"}}).create_session("chat")
    print(*{"sqlalchemy", "sqlite3"} & set(sys.modules))
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


# Migration


def test_an_older_database_is_brought_to_this_version(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening runs the steps that it lacks, once, and what was in it is still there."""
    with opened(store) as manager:
        messages = fill(manager, "chat")
    step = "CREATE TABLE added (x INTEGER);\nINSERT INTO added SELECT count(*) FROM refs"
    monkeypatch.setattr("coda_fs_session.backends.sqlite.database.STEPS", (*schema.STEPS, step))
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, step))
    for _ in range(2):
        with opened(store) as manager:
            assert manager.load_session("chat").get_messages() == messages
    assert rows(store, "SELECT x, user_version FROM added, pragma_user_version") == [(1, 2)]


def test_a_step_that_fails_changes_nothing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration is one transaction."""
    with opened(store) as manager:
        fill(manager, "chat")
    step = "CREATE TABLE added (x INTEGER);\nINSERT INTO nothing VALUES (1)"
    with monkeypatch.context() as patch:
        patch.setattr("coda_fs_session.backends.sqlite.database.STEPS", (*schema.STEPS, step))
        patch.setattr(schema, "STEPS", (*schema.STEPS, step))
        with pytest.raises(StoreError):
            opened(store)
    assert rows(store, "SELECT user_version FROM pragma_user_version") == [(1,)]
    with opened(store) as manager:
        assert len(manager.load_session("chat")) == 3


# What can go wrong


def test_a_newer_version_is_refused(store: Path) -> None:
    """It is left as it is, and the error says to upgrade."""
    with opened(store) as manager:
        fill(manager, "chat")
    with database(store) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreFormatError, match=r"version 9.*knows 1: upgrade") as caught:
        opened(store)
    assert caught.value.path == store / "sessions.db"


def test_a_newer_version_takes_it_over(store: Path) -> None:
    """Who has it open writes no more, as a later version may keep things elsewhere, and holds what was not saved."""
    with opened(store) as manager:
        fill(manager, "chat", 2)
        session = manager.load_session("chat")
        with database(store) as connection:
            connection.execute("PRAGMA user_version = 9")
            before = list(connection.iterdump())
            session.add_message(message(2))
            with pytest.raises(StoreFormatError, match="knows 1: upgrade"):
                manager.save_session(session)
            assert list(connection.iterdump()) == before
            connection.execute("PRAGMA user_version = 1")
        manager.save_session(session)
    with opened(store) as manager:
        assert len(manager.load_session("chat")) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"just some text, and not little of it. " * 50, "no SQLite database"), (None, "another program")],
)
def test_what_is_not_ours_is_refused(content: bytes | None, said: str, store: Path) -> None:
    """A file that is no database, or another program's, is never written."""
    store.mkdir()
    path = store / "sessions.db"
    if content:
        path.write_bytes(content)
    else:
        with database(store) as connection:
            connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreFormatError, match=said) as caught:
        opened(store)
    assert caught.value.path == path
    assert path.read_bytes() == before


def test_a_locked_database(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program keeps it locked, saving waits and then says so; reading goes on, and nothing is lost."""
    monkeypatch.setattr(sqlite_backend, "PATIENCE_SECONDS", 0.2)
    with opened(store) as manager:
        fill(manager, "chat", 2)
    with opened(store) as manager, database(store) as connection:
        session = manager.load_session("chat")
        session.add_message(message(2))
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program keeps it locked") as caught:
            manager.save_session(session)
        assert caught.value.path == store / "sessions.db"
        assert len(opened(store).load_session("chat")) == 2
        connection.execute("ROLLBACK")
        manager.save_session(session)
        assert len(opened(store).load_session("chat")) == 3


def test_a_full_disk(store: Path) -> None:
    """It is StoreFullError, and once there is room the same save works."""
    with opened(store) as manager:
        session = manager.create_session("chat")
        say(manager, session, 0)
        backend = manager._storage.repo.backend  # type: ignore[attr-defined]
        with backend._database.reading() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
        session.add_message(message(1, 60_000))
        with pytest.raises(StoreFullError, match="make room"):
            manager.save_session(session)
        with backend._database.reading() as connection:
            connection.execute("PRAGMA max_page_count = 100000")
        manager.save_session(session)
    assert len(opened(store).load_session("chat")) == 2


READ_ONLY = """
import os, sys
from pathlib import Path
from storekit import drop_privileges, message, open_store
from coda_fs_session import StoreReadOnlyError
from coda_fs_session.backends import sqlite
store = Path(sys.argv[1])
with open_store(Path(os.environ["WARM_STORE"] + ".db"), backend="sqlite") as manager:
    manager.create_session("warm")
drop_privileges()
manager = open_store(store, backend="sqlite", state_path=sys.argv[2])
session = manager.load_session("chat")
assert len(session) == 2 and len(manager.list_sessions()) == 1
session.add_message(message(2))
try:
    manager.save_session(session)
except StoreReadOnlyError as error:
    assert str(error.path) == str(store / "sessions.db"), error.path
    print("refused")
assert len(session) == 3
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_read_only(what: str, store: Path, tmp_path: Path) -> None:
    """What cannot be written can be read, and saving says why it cannot."""
    with opened(store) as manager:
        fill(manager, "chat", 2)
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    os.chmod(store / "sessions.db", 0o444)
    os.chmod(store, 0o555 if what == "folder" else 0o777)
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    done = run_python(READ_ONLY, store, state, WARM_STORE=str(tmp_path / "warm"))
    os.chmod(store, 0o755)
    assert done.stdout == "refused\n", done.stderr


def test_every_page_damaged(store: Path, tmp_path: Path) -> None:
    """Whatever page is overwritten, each session comes back as it was, or not at all, with an error of ours that
    names the database."""
    with opened(store) as manager:
        expected = {name: fill(manager, name, 12, size=20_000) for name in ("a", "b")}
    whole = (store / "sessions.db").read_bytes()
    found: list[str] = []
    for page in range(0, len(whole), 4096):
        copy = tmp_path / f"copy-{page}"
        copy.mkdir()
        (copy / "sessions.db").write_bytes(whole[:page] + b"\xa5" * 4096 + whole[page + 4096 :])
        for name, messages in expected.items():
            try:
                with opened(copy) as manager:
                    assert manager.load_session(name).get_messages() == messages
            except StoreError as error:
                found.append(str(error))
        shutil.rmtree(copy)
    assert len(found) > 5
    assert all("sessions.db" in each for each in found)


def test_a_line_and_an_object_changed(store: Path) -> None:
    """Another byte in a row is damage, located, and not data."""
    with opened(store) as manager:
        fill(manager, "chat", 3)
        fill(manager, "large", 1, size=70_000)
    with database(store) as connection:
        connection.execute("UPDATE ref_lines SET data = CAST(replace(data, 'message 1', 'massage 1') AS BLOB)")
        connection.execute("UPDATE objects SET form = 'plain', data = zeroblob(length(data))")
    with opened(store) as manager:
        for name in ("chat", "large"):
            with pytest.raises(CorruptionError) as caught:
                manager.load_session(name).get_messages()
            assert "sessions.db" in str(caught.value.path)


def test_a_bad_object_is_mended(tmp_path: Path) -> None:
    """Putting an object verifies the one that is there."""
    backend = SqliteBackend(tmp_path)
    backend.prepare()
    for compress in (False, True):
        new = new_object(b"words " * 500 + bytes([compress]), compress=compress)
        backend.put_objects([new])
        with database(tmp_path) as connection:
            connection.execute("UPDATE objects SET data = x'00' WHERE id = ?", (new.id,))
        with pytest.raises(CorruptionError):
            backend.get_object(new.id, size=None, limit=10_000)
        backend.put_objects([new])
        assert backend.get_object(new.id, size=None, limit=10_000) == new.data
    backend.close()


# Threads, processes, forks


def test_more_threads_than_connections(store: Path) -> None:
    """With a pool of one connection many threads save and read, and none waits for ever."""
    with opened(store, connection_pool_size=1) as manager:
        problems: list[BaseException] = []

        def work(number: int) -> None:
            try:
                session = manager.create_session(f"chat-{number}")
                for serial in range(15):
                    say(manager, session, serial)
                    manager.list_sessions()
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert problems == []
        assert {info.message_count for info in manager.list_sessions()} == {15}


def test_forks_while_threads_save(store: Path) -> None:
    """A child forked at any moment can save and read with the objects that it inherited, and so can the parent."""
    with opened(store) as manager:
        mine, shared = manager.create_session("mine"), manager.create_session("shared")
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                say(manager, mine, len(mine))

        thread = threading.Thread(target=work)
        thread.start()
        children = []
        for number in range(5):
            child = os.fork()
            if child == 0:
                try:
                    say(manager, shared, number)
                    assert manager.load_session("mine").get_messages() is not None
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(child)
        codes = [os.waitpid(child, 0)[1] for child in children]
        stop.set()
        thread.join()
        assert codes == [0] * 5
    with opened(store) as manager:
        texts = sorted(each["content"] for each in manager.load_session("shared").get_messages())
        assert texts == [message(number)["content"] for number in range(5)]
        assert manager.load_session("mine").get_messages() == [message(number) for number in range(len(mine))]


def write_many(store: str, writer: int, count: int) -> None:
    """Save messages to two sessions that other processes save to."""
    with opened(Path(store), durability="full") as manager:
        sessions = [manager.create_session(name) for name in ("a", "b")]
        for serial in range(count):
            session = sessions[serial % 2]
            session.add_message({"writer": writer, "serial": serial, "content": "x" * (serial % 7) * 900})
            manager.save_session(session)


def test_four_processes(store: Path) -> None:
    """They make the database and save to the same sessions: every message is there once, in each one's order, and
    nobody is told that the database is locked."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(str(store), number, 60)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 4
    with opened(store) as manager:
        for place, name in enumerate(("a", "b")):
            messages = manager.load_session(name).get_messages()
            assert len(messages) == 120
            for number in range(4):
                assert [m["serial"] for m in messages if m["writer"] == number] == list(range(place, 60, 2))
        assert {info.replica for info in manager.list_sessions()} == {manager.list_sessions()[0].replica}


def save_until_killed(store: str, acknowledge: Any) -> None:
    with opened(Path(store), durability="full") as manager:
        session = manager.create_session("chat")
        while True:
            serial = len(session)
            session.add_message(message(serial, 0 if serial % 5 else 3000 * (serial % 11)))
            manager.save_session(session)
            acknowledge.send(serial + 1)
            if serial % 10 == 0:
                manager.create_session(f"branch-{serial}", branch_from="chat")


def test_killed_at_random(store: Path, long_size: bool) -> None:
    """A process that is killed at any moment leaves what it acknowledged, and at most the save in flight besides."""
    context = multiprocessing.get_context("forkserver")
    known = 0
    for turn in range(60 if long_size else 8):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=save_until_killed, args=(str(store), send))
        process.start()
        send.close()
        # Some saves later, and then wherever it happens to be.
        for _ in range(1 + 7 * turn % 23):
            known = receive.recv()
        process.kill()
        process.join()
        with contextlib.suppress(EOFError):
            while receive.poll():
                known = receive.recv()
        with opened(store) as manager:
            messages = manager.load_session("chat").get_messages()
            serials = range(len(messages))
            assert messages == [message(n, 0 if n % 5 else 3000 * (n % 11)) for n in serials]
            assert len(messages) - known in (0, 1)
            assert all(info.error is None for info in manager.list_sessions())
        assert rows(store, "PRAGMA integrity_check") == [("ok",)]


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


def test_making_many_refs_is_told_from_what_others_do(tmp_path: Path) -> None:
    """Only a backend's own new refs of a replica, with nothing in between, leave the marker beside them good."""
    ours, others = SqliteBackend(tmp_path / "store"), SqliteBackend(tmp_path / "store")
    keys = (RefKey(f"{KEY.replica}/{number}.jsonl") for number in count())
    token = ours.create_ref(last := next(keys), b"one\n")
    for change in (
        lambda: others.create_ref(next(keys), b"three\n"),
        lambda: ours.create_refs([(next(keys), b"four\n")]),
        lambda: ours.replace_ref(last, token, b"five\n"),
        lambda: others.create_refs([(next(keys), b"six\n")]),
    ):
        marker, found = ours.ref_identities(None, but=KEY.replica)
        for _ in range(3):
            ours.create_ref(next(keys), b"two\n")
            assert ours.ref_identities(marker, but=KEY.replica) == (marker, None)
        assert ours.ref_identities(marker, but="there-00000002")[1] is not None
        marker, _ = ours.ref_identities(None, but=KEY.replica)
        change()
        ours.create_ref(next(keys), b"seven\n")
        _, found = ours.ref_identities(marker, but=KEY.replica)
        assert found == {path: each.identity for path, each in ours.ref_tokens().items()}


def test_sessions_made_in_a_row_do_not_list_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making one takes as long whether there are ten or ten thousand."""
    monkeypatch.setattr(freshness, "_A_MOMENT", 1000.0)
    with open_store(tmp_path, backend="sqlite") as manager:
        for name in ("first", "second"):
            manager.create_session(name)
        monkeypatch.setattr(refs, "LIST_REFS", None)
        monkeypatch.setattr(SqliteBackend, "ref_tokens", None)
        for number in range(20):
            manager.create_session(f"session {number}")
        monkeypatch.undo()
        assert len(manager.list_sessions()) == 22
