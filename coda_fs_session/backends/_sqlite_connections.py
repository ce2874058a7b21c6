"""Connections to a database file: a pool of them, and how each is opened."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import cast
from urllib.parse import quote

from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import NullPool, Pool, QueuePool

from ..uncopied import Uncopied
from ._descriptors import give_back
from ._files import wrong_kind
from ._sqlite_errors import code_of

Identity = tuple[int, int]
"""What tells a file from every other: its device and inode."""

_inherited: list[Pool] = []


class Connection(sqlite3.Connection):
    """A connection that knows which file it is to.

    Attributes:
        identity: of that file; None for one that is being made.
    """

    identity: Identity | None = None


class Connections(Uncopied):
    """Connections to the file at a path, opened as they are needed.

    Args:
        most: how many to keep open at most; further threads wait for one.
        patience: seconds to wait for a connection, and for other programs that keep the database locked.
        durable: sync what is committed.
    """

    def __init__(self, path: str, *, most: int, patience: float, durable: bool) -> None:
        self._path = path
        self._most = most
        self._patience = patience
        self._durable = durable
        self._mutex = threading.Lock()
        self._pool: Pool | None = None

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """Lend a connection; a transaction that is open at the end is rolled back."""
        with self._mutex:
            if self._pool is None:
                self._pool = self._make_pool()
            pool = self._pool
        try:
            with closing(pool.connect()) as lent:
                yield cast(Connection, lent.driver_connection)
        finally:
            if pool is not self._pool:
                # Closed meanwhile: nobody will be lent this one again.
                pool.dispose()

    def close(self) -> None:
        """Close those that are not lent, and the others when they are given back; the next one is a new one."""
        with self._mutex:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.dispose()

    def after_fork(self) -> None:
        """In a child of os.fork: have none of the parent's. To close one would take the parent's locks for ours."""
        self._mutex = threading.Lock()
        if self._pool is not None:
            _inherited.append(self._pool)
            self._pool = None

    def _make_pool(self) -> Pool:
        if os.access(os.path.dirname(self._path), os.W_OK):
            return QueuePool(self._open, pool_size=self._most, max_overflow=0, timeout=self._patience, use_lifo=True)
        # One that has to take the file for unchanging is good for a moment only.
        return NullPool(self._open)

    def _open(self) -> DBAPIConnection:
        while True:
            identity = identity_of(self._path)
            try:
                connection = self._open_for_use()
            except sqlite3.Error as error:
                if code_of(error) != sqlite3.SQLITE_CANTOPEN:
                    raise
                # Perhaps for want of descriptors, which SQLite does not tell.
                give_back()
                connection = self._open_for_use()
            if identity == identity_of(self._path):
                connection.identity = identity
                return cast(DBAPIConnection, connection)
            # Another file has come to stand there: nobody knows which one this is to.
            connection.close()

    def _open_for_use(self) -> Connection:
        connection = self._open_file("rw")
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.Error as error:
            connection.close()
            # A folder in which SQLite cannot make the file that readers share, and no log with newer pages.
            if code_of(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or (
                os.access(os.path.dirname(self._path), os.W_OK) or os.path.exists(f"{self._path}-wal")
            ):
                raise
            return self._open_file("ro&immutable=1")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
        if sys.platform == "darwin":
            # Where a sync otherwise leaves the data in the drive's cache.
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA checkpoint_fullfsync = ON")
        return connection

    def _open_file(self, mode: str) -> Connection:
        # Never "rwc": looking makes no file.
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(os.path.abspath(self._path)))}?mode={mode}",
            uri=True,
            timeout=self._patience,
            factory=Connection,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.text_factory = _text
        return connection


def _text(data: bytes) -> str:
    """Decode what a column holds; the driver by itself would fail at all rows where one is not UTF-8."""
    return data.decode(errors="surrogateescape")


def identity_of(path: str) -> Identity | None:
    """Return the identity of the database at a path; None where there is none, or one just begun."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode):
        raise wrong_kind(path)
    return (status.st_dev, status.st_ino) if status.st_size else None
