"""Where the tables are: a file in the state folder, or memory where there can be none.

The file may be removed, cut, damaged or locked at any moment: then it is made anew, or done without.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from ...backends.base import MachineState
from ...process.sqlite_files import connected
from .tables import DamagedTablesError, Tables

FILE = "search.db"
_PATIENCE = 2.0
"""Seconds to wait for another process: ours hold the lock for less than one."""

Identity = tuple[int, int]

UNUSABLE = (sqlite3.Error, DamagedTablesError)

_inherited: list[Tables | None] = []


class Database:
    """The tables of one store, opened when they are needed.

    Args:
        machine: has the state folder; None to keep them in memory.
    """

    def __init__(self, machine: MachineState | None) -> None:
        self._machine = machine
        self._tables: Tables | None = None
        self._path: str | None = None
        self._identity: Identity | None = None
        self._in_memory = machine is None

    def open(self) -> Tables:
        """Return the tables; another file may have come to be at the path since.

        Raises, as the tables do:
            sqlite3.Error, DamagedTablesError: they cannot be opened, or made.
        """
        if self._tables is not None and self._path is not None and _identity_of(self._path) != self._identity:
            self.close()
        if self._tables is None:
            self._tables = self._open()
        return self._tables

    def _open(self) -> Tables:
        self._path = None
        if not self._in_memory and self._machine is not None:
            self._path = self._machine.database(FILE)
        if self._path is None:
            return _made(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        self._identity = _identity_of(self._path)
        tables = _made(_connected(self._path))
        if self._identity != _identity_of(self._path):
            # Nobody knows which one this is to.
            tables.connection.close()
            raise DamagedTablesError
        return tables

    def give_up(self, error: BaseException) -> bool:
        """Go on after an error: with a new file where this one is damaged, else in memory; False where neither is left.

        A file that another process has locked, or for which there is no room, stays as it is.
        """
        self.close()
        if self._in_memory:
            return False
        if self._machine is None or not _is_damage(error):
            self._in_memory = True
        else:
            self._machine.discard_database(FILE)
        return True

    def go_without_file(self) -> None:
        """Keep the tables in memory from now on."""
        self.close()
        self._in_memory = True

    def close(self) -> None:
        tables, self._tables = self._tables, None
        if tables is not None:
            with suppress(sqlite3.Error):
                tables.connection.close()

    def after_fork(self) -> None:
        """In a child of os.fork: have nothing of the parent's. To close it would take the parent's locks for ours."""
        _inherited.append(self._tables)
        self._tables = None


def _connected(path: str) -> sqlite3.Connection:
    connection = connected(path, "rw", _PATIENCE, sqlite3.Connection)
    try:
        # Only a database in which nothing is can be told so.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # A crash loses what was taken in last, which is taken in again; it damages nothing.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _made(connection: sqlite3.Connection) -> Tables:
    tables = Tables(connection)
    try:
        if not tables.prepare():
            raise DamagedTablesError
    except BaseException:
        connection.close()
        raise
    return tables


def _is_damage(error: BaseException) -> bool:
    if isinstance(error, DamagedTablesError):
        return True
    # What a damaged file makes SQLite say is not one code: a table may be gone, or a value be none that is possible.
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF not in _NO_DAMAGE


_NO_DAMAGE = frozenset(
    (
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY),
        *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR),
    )
)


def _identity_of(path: str) -> Identity | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return status.st_dev, status.st_ino
