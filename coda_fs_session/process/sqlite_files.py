"""Opening the files of SQLite databases, alike on every system."""

from __future__ import annotations

import os
import sqlite3
from typing import TypeVar
from urllib.parse import quote

from .system import path_in_uri

C = TypeVar("C", bound=sqlite3.Connection)


def connected(path: str, mode: str, patience: float, factory: type[C]) -> C:
    """Return a connection to a database file, for every thread; nothing was read by then.

    Args:
        mode: "ro" or "rw", and what SQLite takes after it. Never "rwc": looking makes no file.
        patience: how many seconds to wait for others that have it.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    return sqlite3.connect(
        f"file://{quote(os.fsencode(path_in_uri(os.path.abspath(path))))}?mode={mode}",
        uri=True,
        timeout=patience,
        factory=factory,
        isolation_level=None,
        check_same_thread=False,
    )


def checked(connection: C) -> C:
    """Return a connection after a first look at its database; where that fails, close it.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
