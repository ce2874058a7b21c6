"""Stores in a database: opening them, and looking at them as any other program would."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storekit import open_store

from coda_fs_session import (
    SessionManager,
)

VERSION_1 = """
CREATE TABLE store (id INTEGER NOT NULL, changed INTEGER NOT NULL);
CREATE TABLE refs (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL, size INTEGER NOT NULL, mark INTEGER NOT NULL
);
CREATE TABLE ref_lines (
    ref INTEGER NOT NULL REFERENCES refs, position INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (ref, position)
) WITHOUT ROWID;
CREATE TABLE objects (id TEXT NOT NULL PRIMARY KEY, tag INTEGER NOT NULL, form TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE sessions (
    ref INTEGER PRIMARY KEY REFERENCES refs, name TEXT NOT NULL, replica TEXT NOT NULL,
    messages INTEGER NOT NULL, bytes INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL,
    metadata TEXT NOT NULL, parent TEXT, forked_at INTEGER, deleted INTEGER NOT NULL, line TEXT NOT NULL
);
CREATE INDEX sessions_by_name ON sessions (name);
PRAGMA application_id = 1131373665;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""
"""The tables as the first version of the package made them: the words, not a module that may change."""


TABLES = ("store", "refs", "ref_lines", "objects", "sessions")


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


VERSION_2 = VERSION_1.replace(") WITHOUT ROWID", ")").replace("user_version = 1", "user_version = 2")
"""As the second one made them."""


def make_old(store: Path, version: int = 1) -> None:
    """Put a database that an earlier version of the package could have made in place of one that nobody has open."""
    path = store / "sessions.db"
    with database(store) as connection:
        content = {
            table: connection.execute(f"SELECT {columns} FROM {table}").fetchall()
            for table, columns in {**dict.fromkeys(TABLES, "*"), "refs": "id, path, version, size, mark"}.items()
        }
    path.unlink()
    with database(store) as connection:
        connection.executescript({1: VERSION_1, 2: VERSION_2}[version])
        connection.execute("BEGIN")
        for table, found in content.items():
            for row in found:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        connection.execute("COMMIT")
