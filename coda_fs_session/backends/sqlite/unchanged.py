"""Reading a database so that its folder stays as it is: SQLite makes files beside it for readers too, if it may.

- A log (`-wal`) with something in it, and the file by which its users find their way in it (`-shm`): both are opened as
  they are. So what a process that writes commits is seen.
- No log: the database is taken for unchanging, which takes no lock and makes no file. Whether it was is looked at
  afterwards.
- A journal: somebody changes the database without a log, or was killed at that. SQLite's locks tell.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ...errors import StoreError
from ...process.interrupts import give_up
from .errors import code_of

C = TypeVar("C", bound=sqlite3.Connection)

UNCHANGING = "ro&immutable=1"
SHARING = "ro&readonly_shm=1"

_GRAIN_NS = 20_000_000
"""A file that was changed twice within this may have the same time."""
_POLL_SECONDS = 0.002
_CLOSING_SECONDS = 1.0
_READING_SECONDS = 10.0


class Seen(NamedTuple):
    """How a database file looked: another one, or one that was changed, looks otherwise."""

    inode: int
    size: int
    changed: int


def see(path: str) -> Seen:
    """Raises FileNotFoundError where there is none."""
    status = os.stat(path, follow_symlinks=False)
    return Seen(status.st_ino, status.st_size, status.st_mtime_ns)


class Sharing:
    """Keeps apart, in this process, who opens `-shm` only to read and who opens it to write.

    SQLite opens it once for all of a process. Where a reader came first, no writer could write.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Start anew, as in a child of os.fork."""
        self._lock = threading.RLock()
        self._readers: weakref.WeakSet[sqlite3.Connection] = weakref.WeakSet()

    def open_to_read(self, connect: Callable[[], C]) -> C:
        with self._lock:
            connection = connect()
            self._readers.add(connection)
            return connection

    def open_to_write(self, connect: Callable[[], C]) -> C:
        # With the lock held, no reader comes while those that are there end.
        with self._lock:
            deadline = time.monotonic() + _READING_SECONDS
            while len(self._readers) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            return connect()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        give_up(self._lock)

    def closed(self, connection: sqlite3.Connection) -> None:
        self._readers.discard(connection)


def open_unchanged(path: str, connect: Callable[[str], C]) -> tuple[C, Seen | None]:
    """Open a database to read it; with how it looked, where it is taken for unchanging.

    Args:
        connect: opens it with a mode and reads from it.

    Raises:
        FileNotFoundError: there is none.
        sqlite3.Error: it cannot be opened.
        StoreError: it has a log, and nobody can read that without making a file.
    """
    deadline = time.monotonic() + _CLOSING_SECONDS
    while True:
        seen = _settled(path)
        if not _size(f"{path}-wal"):
            mode = "ro" if _size(f"{path}-journal") else UNCHANGING
        else:
            mode = SHARING if os.path.exists(f"{path}-shm") else ""
        try:
            if mode:
                return connect(mode), seen if mode == UNCHANGING else None
        except sqlite3.Error as error:
            if code_of(error) != sqlite3.SQLITE_CANTOPEN or time.monotonic() > deadline:
                raise
        else:
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{path}-wal has what was written last, and {path}-shm is missing, which a reader would have to "
                    "make: open the store once with a manager that is not read_only",
                    path,
                )
        # Whoever closes the database as the last one removes first -shm, then the log.
        time.sleep(_POLL_SECONDS)


def _settled(path: str) -> Seen:
    """Return how a file looks, once its time is old enough to tell of every further change."""
    while True:
        seen = see(path)
        age = time.time_ns() - seen.changed
        if not 0 <= age < _GRAIN_NS:
            return seen
        time.sleep((_GRAIN_NS - age) / 1e9)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0
