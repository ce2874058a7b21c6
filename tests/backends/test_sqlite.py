"""The SQLite backend: the contract, and what only a database can get wrong."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from storekit import fill, message, open_store, say

from coda_fs_session import (
    StoreFullError,
)
from coda_fs_session.backends.base import Backend, RefKey
from coda_fs_session.backends.sqlite import refs
from coda_fs_session.backends.sqlite.backend import SqliteBackend
from coda_fs_session.backends.sqlite.connections import Connections
from coda_fs_session.repo.index import freshness
from coda_fs_session.testing import BackendTests
from coda_fs_session.testing.kit.case import KEY

from .databases import opened, rows


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


# The table for people


def metadata_of(store: Path, name: str) -> Any:
    ((text,),) = rows(store, f"SELECT metadata FROM sessions WHERE name = '{name}'")
    return orjson.loads(text)


def test_sessions_can_be_asked_for_with_sql(store: Path) -> None:
    """The table tells of every ref what the list of sessions does, after each kind of step."""
    with opened(store) as manager:
        session = manager.create_session("chat")
        session.update_metadata({"model": "m-1", "count": 1, "none": None})
        say(manager, session, 0, 1)
        session.metadata["count"] = 2
        del session.metadata["model"]
        say(manager, session, 2)
        assert metadata_of(store, "chat") == session.metadata == {"count": 2, "none": None}
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


def test_a_save_adds_a_row_and_rewrites_none(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a session with much in its ref a save adds one line, in one transaction, and reads none of the others."""
    with opened(store) as manager:
        session = manager.create_session("chat")
        say(manager, session, *range(10))
        before = rows(store, "SELECT position, data FROM ref_lines ORDER BY position")
        monkeypatch.setattr(refs, "_LINES", None)
        session.metadata["count"] = 1
        say(manager, session, 10)
        assert metadata_of(store, "chat") == {"count": 1}
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
        states = ours.ref_folders({}, but=KEY.replica).states
        for _ in range(3):
            ours.create_ref(next(keys), b"two\n")
            assert ours.ref_folders(states, but=KEY.replica) == (states, {})
        assert ours.ref_folders(states, but="there-00000002").contents
        states = ours.ref_folders({}, but=KEY.replica).states
        change()
        ours.create_ref(next(keys), b"seven\n")
        found = ours.ref_folders(states, but=KEY.replica)
        expected = {path: each.identity for path, each in ours.ref_tokens().items()}
        assert found.contents == {"": {}, KEY.replica: expected}


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
