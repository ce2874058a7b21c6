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
