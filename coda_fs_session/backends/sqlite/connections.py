"""Connections to a database file: those that are kept open, and how each is opened."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from ...errors import StoreError, under_way
from ...process.interrupts import give_up
from ...process.sqlite_files import checked, connected
from ...process.uncopied import Uncopied
from ..disk.descriptors import give_back
from ..disk.files import wrong_kind
from .errors import AllInUseError, code_of
from .unchanged import SHARING, UNCHANGING, Seen, Sharing, open_unchanged, see

Identity = tuple[int, int]
"""What tells a file from every other: its device and inode."""

T = TypeVar("T")

_inherited: list[object] = []
_sharing = Sharing()


class ChangedMeanwhileError(Exception):
    """The file was changed while it was taken for unchanging: read again."""


class Connection(sqlite3.Connection):
    """A connection that knows which file it is to.

    Attributes:
        identity: of that file; None for one that is being made.
        seen: how it looked when it was opened, where it is taken for unchanging.
    """

    identity: Identity | None = None
    seen: Seen | None = None

    def read(self, path: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call what only reads, and return what it does.

        Raises:
            ChangedMeanwhileError: what was read is not to be believed.
        """
        try:
            found = work(self)
        except (sqlite3.Error, StoreError) as error:
            if self._is_outdated(path):
                raise ChangedMeanwhileError from error
            raise
        if self._is_outdated(path):
            raise ChangedMeanwhileError
        return found

    def _is_outdated(self, path: str) -> bool:
        return self.seen is not None and self.seen != see(path)


class Lease:
    """A thread's use of a connection.

    It is made before anything is taken for it, and giving back goes by it, so that an interrupt leaves nothing taken.
    A connection that is forgotten with its lease is closed.

    Attributes:
        connection: the one that is lent; None before and afterwards.
        era: which connections it may be kept with.
        then: what is to be done right after its transaction is committed.
    """

    __slots__ = ("__weakref__", "connection", "era", "then", "thread")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.thread = threading.get_ident()
        self.era = -1
        self.then: Callable[[sqlite3.Connection], None] | None = None


class Connections(Uncopied):
    """Connections to the file at a path, opened as they are needed.

    Args:
        most: how many to keep open at most; further threads wait for one.
        patience: seconds to wait for a connection, and for other programs that keep the database locked.
        durable: sync what is committed.
        read_only: make no file beside it.
    """

    def __init__(self, path: str, *, most: int, patience: float, durable: bool, read_only: bool = False) -> None:
        self._path = path
        self._most = most
        self._patience = patience
        self._durable = durable
        self._read_only = read_only
        self._era = 0
        self._start_anew()

    def _start_anew(self) -> None:
        self._lock = threading.RLock()
        self._returned = threading.Condition(self._lock)
        self._free: list[Connection] = []
        self._lent: weakref.WeakSet[Lease] = weakref.WeakSet()
        self._keeps: bool | None = None

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """Lend a connection; a transaction that is open at the end is rolled back."""
        lease = Lease()
        try:
            yield self.lend(lease)
        finally:
            self.give_back(lease)

    def lend(self, lease: Lease) -> Connection:
        """Lend a connection to a lease that has none.

        Raises:
            AllInUseError: all are lent, and none came back in time.
            SessionError: they are, and this thread would wait for itself.
        """
        with self._lock:
            if self._keeps is None:
                # One that has to take the file for unchanging is good for a moment only; and one that makes no file
                # would keep others, who made some, from removing them.
                self._keeps = not self._read_only and os.access(os.path.dirname(self._path), os.W_OK)
            self._await_place(lease.thread)
            lease.era = self._era
            self._lent.add(lease)
            if self._free:
                lease.connection = self._free.pop()
        if lease.connection is None:
            lease.connection = self._open()
        return lease.connection

    def _await_place(self, thread: int) -> None:
        give_up_at = time.monotonic() + self._patience
        while self._keeps and not self._free and len(self._lent) >= self._most:
            if all(lease.thread == thread for lease in self._lent):
                raise under_way()
            if not self._returned.wait(give_up_at - time.monotonic()):
                raise AllInUseError

    def give_back(self, lease: Lease) -> None:
        """Take back what was lent to a lease, if anything was; a transaction that is open is rolled back."""
        connection = lease.connection
        if connection is not None:
            try:
                if connection.in_transaction:
                    connection.rollback()
            except sqlite3.Error:
                lease.era = -1
            # From here on an interrupt costs no more than a connection, which is closed with its last variable.
            lease.connection = None
            with self._lock:
                if lease.era == self._era and self._keeps:
                    self._free.append(connection)
                    connection = None
            if connection is not None:
                connection.close()
                _sharing.closed(connection)
        with self._lock:
            self._lent.discard(lease)
            self._returned.notify()

    def leases(self, thread: int) -> list[Lease]:
        """Return those of a thread."""
        with self._lock:
            return [lease for lease in self._lent if lease.thread == thread]

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        give_up(self._lock)
        _sharing.recover()
        for lease in self.leases(threading.get_ident()):
            self.give_back(lease)

    def close(self) -> None:
        """Close those that are not lent, and the others when they are given back; the next one is a new one."""
        with self._lock:
            free, self._free, self._keeps = self._free, [], None
            self._era += 1
        for connection in free:
            connection.close()

    def after_fork(self) -> None:
        """In a child of os.fork: have none of the parent's. To close one would take the parent's locks for ours."""
        for lease in list(self._lent):
            _inherited.append(lease.connection)
            lease.connection = None
        _inherited.append(self._free)
        _sharing.renew()
        self._start_anew()

    def _open(self) -> Connection:
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
                return connection
            # Another file has come to stand there: nobody knows which one this is to.
            connection.close()

    def _open_for_use(self) -> Connection:
        if self._read_only:
            connection, seen = open_unchanged(self._path, self._open_to_read)
            connection.seen = seen
            return connection
        try:
            connection = _sharing.open_to_write(partial(self._open_checked, "rw"))
        except sqlite3.Error as error:
            # A folder in which SQLite cannot make the file that readers share, and no log with newer pages.
            if code_of(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or (
                os.access(os.path.dirname(self._path), os.W_OK) or os.path.exists(f"{self._path}-wal")
            ):
                raise
            return self._open_file(UNCHANGING)
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
        # On macOS a sync otherwise leaves the data in the drive's cache; elsewhere these change nothing.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        return connection

    def _open_to_read(self, mode: str) -> Connection:
        connect = partial(self._open_checked, mode)
        return _sharing.open_to_read(connect) if mode == SHARING else connect()

    def _open_checked(self, mode: str) -> Connection:
        return checked(self._open_file(mode))

    def _open_file(self, mode: str) -> Connection:
        connection = connected(self._path, mode, self._patience, Connection)
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
