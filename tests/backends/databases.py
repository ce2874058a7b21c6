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


def make_old(store: Path) -> None:
    """Put a database that the first version of the package could have made in the place of one that nobody has open."""
    path = store / "sessions.db"
    with database(store) as connection:
        content = {
            table: connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("store", "refs", "ref_lines", "objects", "sessions")
        }
    path.unlink()
    with database(store) as connection:
        connection.executescript(VERSION_1)
        connection.execute("BEGIN")
        for table, found in content.items():
            for row in found:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        connection.execute("COMMIT")
