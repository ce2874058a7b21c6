"""What most programs would use instead: the standard library's SQLite, set up as durable as a synced file."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson

from . import Message, bytes_in

SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
    created TEXT NOT NULL, updated TEXT NOT NULL, metadata TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (session INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS messages_of_session ON messages (session, seq);
"""
BODIES = "SELECT body FROM messages WHERE session = (SELECT id FROM sessions WHERE name = ?) ORDER BY seq"


class Sqlite:
    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder / "sqlite"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / "sessions.db"
        # It stays open, so that closing another connection never has to move the log into the database.
        self._connection = self._connect()
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        self._connection.execute("PRAGMA fullfsync = ON")  # only macOS knows it: sync as hard as the others
        self._connection.executescript(SCHEMA)

    def fill(self, session: str, messages: list[Message]) -> None:
        self._add(session, messages)
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def open(self, session: str) -> None:
        """Do nothing: a session is rows, and the connection is open."""

    def save(self, session: str, message: Message) -> None:
        body = orjson.dumps(message)
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO messages SELECT id, messages, ? FROM sessions WHERE name = ?", (body, session)
            )
            connection.execute(
                "UPDATE sessions SET messages = messages + 1, bytes = bytes + ?, updated = ? WHERE name = ?",
                (len(body), _now(), session),
            )

    def bulk(self, session: str, messages: list[Message]) -> None:
        self._add(session, messages)

    def last(self, session: str, limit: int) -> object:
        connection = self._connect()
        rows = connection.execute(f"{BODIES} DESC LIMIT ?", (session, limit)).fetchall()
        return connection, [orjson.loads(body) for (body,) in reversed(rows)]

    def load(self, session: str) -> object:
        connection = self._connect()
        return connection, [orjson.loads(body) for (body,) in connection.execute(BODIES, (session,))]

    def list_sessions(self) -> object:
        connection = self._connect()
        return connection, connection.execute("SELECT * FROM sessions ORDER BY updated DESC, name").fetchall()

    def count(self, session: str) -> int:
        (count,) = self._connection.execute("SELECT messages FROM sessions WHERE name = ?", (session,)).fetchone()
        return int(count)

    def stored_bytes(self) -> int:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return bytes_in(self.folder)

    def _add(self, session: str, messages: list[Message]) -> None:
        bodies = [orjson.dumps(message) for message in messages]
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO sessions VALUES (NULL, ?, 0, 0, ?, ?, '{}')", (session, _now(), _now())
            )
            select = "SELECT id, messages FROM sessions WHERE name = ?"
            key, count = connection.execute(select, (session,)).fetchone()
            connection.executemany(
                "INSERT INTO messages VALUES (?, ?, ?)", ((key, seq, body) for seq, body in enumerate(bodies, count))
            )
            connection.execute(
                "UPDATE sessions SET messages = messages + ?, bytes = bytes + ?, updated = ? WHERE id = ?",
                (len(bodies), sum(map(len, bodies)), _now(), key),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")  # wait for the lock here, not in the middle
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60, isolation_level=None)


def _now() -> str:
    return datetime.now(UTC).isoformat()
