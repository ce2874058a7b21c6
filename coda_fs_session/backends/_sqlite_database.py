"""The database file: connections to it, transactions, and waiting for those of others.

Writers wait for each other twice. A `flock` on the folder is the queue, in which the kernel wakes the next one at
once; SQLite's own lock, which is polled, is what correctness rests on, and what other programs know of.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import cast
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, Pool, QueuePool

from ..errors import CorruptionError, StoreError, StoreFormatError
from . import _locks
from ._files import Files, make_folders, open_folder, store_errors
from ._paths import DATABASE, is_hidden
from ._sqlite_errors import code_of, database_errors, is_locked
from ._sqlite_schema import STEPS, migrate, version_of

_POLL_SECONDS = 0.01
_FORK_SECONDS = 10.0


class Database:
    """One database, for all threads of this process.

    Args:
        folder: where it is; neither need exist before the first write.
        connections: how many to keep open at most; further threads wait for one.
        patience: seconds to wait while other programs keep the database locked.

    Raises:
        StoreFormatError: the folder holds something else, or a database of a newer version.
        StoreError: it cannot be read.
    """

    def __init__(self, folder: str, files: Files, *, connections: int, patience: float) -> None:
        self.folder = folder
        self.path = f"{folder}/{DATABASE}"
        self._files = files
        self._connections = connections
        self._patience = patience
        self._identity: tuple[int, int] | None = None
        self._engine: Engine | None = None
        self._mutex = threading.RLock()
        self._start_anew()
        _check_folder(folder)
        self.exists()
        _all.add(self)

    def _start_anew(self) -> None:
        self._queue = _Queue(self.folder)
        self._gate = _Gate()
        self._local = threading.local()

    def exists(self) -> bool:
        """Tell whether there is a database, and get ready for the one that is there now.

        Another one may have come to stand at the path: connections to the one before would write into a file that
        has no name any more.
        """
        identity = self.identity()
        if identity is None or identity == self._identity:
            return identity is not None
        with self._mutex, database_errors("open", self.path, reading=True):
            if identity == self._identity:
                return True
            self._dispose()
            with self._connect() as connection:
                # One state of it, since somebody may just be making it.
                connection.exec_driver_sql("BEGIN")
                version = version_of(connection, self.path)
            if version and version < len(STEPS):
                self._migrate()
            if version:
                self._identity = identity
            return version > 0

    def identity(self) -> tuple[int, int] | None:
        """Return what tells the file at the path from every other; None where there is none, or one just begun."""
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(status.st_mode):
            raise CorruptionError("move it out of the store", self.path, expected="a regular file", actual="another")
        return (status.st_dev, status.st_ino) if status.st_size else None

    def prepare(self) -> None:
        """Make the database if there is none yet."""
        if self.exists():
            return
        with self._mutex, database_errors("make", self.path):
            make_folders(self._files, self.folder)
            _check_folder(self.folder)
            # Not left to SQLite: it takes the mode from the umask, and this folder's names must last.
            with suppress(FileExistsError):
                os.close(self._files.create(self.path))
            self._files.sync_folder(self.folder)
            with self._queue:
                self._migrate()
        self.exists()

    def _migrate(self) -> None:
        """Make the tables, or bring those of an earlier version to this one."""
        give_up = time.monotonic() + self._patience
        while True:
            try:
                with self._connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                    connection.exec_driver_sql("BEGIN EXCLUSIVE")
                    migrate(connection, self.path)
                    connection.commit()
                return
            except DBAPIError as error:
                # SQLite does not wait by itself where two change the journal's mode.
                if not is_locked(error) or time.monotonic() > give_up:
                    raise
                time.sleep(_POLL_SECONDS)

    # Transactions

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with; each statement sees one state of the database."""
        held = self._held
        with database_errors("read", self.path, reading=True), ExitStack() as stack:
            if held is None:
                stack.enter_context(self._gate)
                held = stack.enter_context(self._connect())
            yield held

    @contextmanager
    def writing(self, action: str, *, ends_hold: bool = True) -> Iterator[Connection]:
        """Give a transaction that is committed, durably, at the end; inside `hold`, its own.

        Args:
            action: what is being done, for errors.
            ends_hold: end that of `hold` too; otherwise what is written is committed with what follows.
        """
        if self._held is None:
            with database_errors(action, self.path), self.hold(action):
                yield self._of_thread()
            return
        with database_errors(action, self.path):
            try:
                yield self._of_thread()
            except BaseException:
                self._end(commit=False)
                raise
            if ends_hold:
                self._end(commit=True)

    @contextmanager
    def hold(self, action: str) -> Iterator[None]:
        """Keep other writers waiting until the block, or a `writing` within, ends."""
        if self._held is not None:
            yield
            return
        with ExitStack() as stack:
            with database_errors(action, self.path), ExitStack() as opening:
                opening.enter_context(self._gate)
                # Before a connection of the pool: whoever waits for one must not keep the last one from its writer.
                opening.enter_context(self._queue)
                connection = opening.enter_context(self._connect())
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                stack.push(opening.pop_all())
            self._local.held, self._local.stack, self._local.identity = connection, stack, self.identity()
            try:
                yield
            except BaseException:
                self._end(commit=False)
                raise
            with database_errors(action, self.path):
                self._end(commit=True)

    @property
    def _held(self) -> Connection | None:
        held: Connection | None = getattr(self._local, "held", None)
        return held

    def _of_thread(self) -> Connection:
        held = self._held
        assert held is not None
        return held

    def _end(self, *, commit: bool) -> None:
        """End the transaction of this thread, if it has not ended yet."""
        connection = self._held
        if connection is None:
            return
        self._local.held = None
        with self._local.stack:
            if commit:
                connection.commit()
            else:
                connection.rollback()
        if commit and self.identity() != self._local.identity:
            raise StoreError(f"{self.path} was put in another's place, or removed, while it was written: save again")

    # Connections

    def _connect(self) -> Connection:
        with self._mutex:
            if self._engine is None:
                self._engine = self._make_engine()
            engine = self._engine
        return engine.connect()

    def _make_engine(self) -> Engine:
        if os.access(self.folder, os.W_OK):
            pool: Pool = QueuePool(
                self._open, pool_size=self._connections, max_overflow=0, timeout=self._patience, use_lifo=True
            )
        else:
            # One that has to take the file for unchanging is good for a moment only.
            pool = NullPool(self._open)
        return create_engine("sqlite+pysqlite://", pool=pool)

    def _open(self) -> DBAPIConnection:
        connection = self._open_file("rw")
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.Error as error:
            connection.close()
            # A folder in which SQLite cannot make the file that readers share, and no log with newer pages.
            if code_of(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or (
                os.access(self.folder, os.W_OK) or os.path.exists(f"{self.path}-wal")
            ):
                raise
            return cast(DBAPIConnection, self._open_file("ro&immutable=1"))
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._files.durable else 'OFF'}")
        # Only macOS knows these: there a sync otherwise leaves the data in the drive's cache.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        return cast(DBAPIConnection, connection)

    def _open_file(self, mode: str) -> sqlite3.Connection:
        # Never "rwc": looking makes no file.
        return sqlite3.connect(
            f"file:{quote(os.path.abspath(self.path))}?mode={mode}",
            uri=True,
            timeout=self._patience,
            isolation_level=None,
            check_same_thread=False,
        )

    def close(self) -> None:
        """Close what no thread is using; the database may be used again."""
        with self._mutex:
            self._dispose()
        self._queue.close()

    def __del__(self) -> None:
        # Nobody needs to close what he let go of; and a store that was refused has nothing to close.
        with suppress(Exception):
            self.close()

    def _dispose(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        self._identity = None

    # os.fork: SQLite's locks belong to a process, and what it knows of them would be copied into the child.

    def before_fork(self) -> None:
        """Wait until no thread uses a connection, keep further ones waiting, and close all."""
        # The gate first: those inside it need the mutex to get a connection.
        is_empty = self._gate.shut(_FORK_SECONDS if self._held is None else 0)
        self._mutex.acquire()
        if is_empty:
            self._dispose()
            self._queue.close()

    def after_fork_in_parent(self) -> None:
        self._gate.open()
        self._mutex.release()

    def after_fork_in_child(self) -> None:
        if self._engine is not None:
            # In use by a thread that is gone. To close it would take the parent's locks for ours.
            _inherited.append(self._engine)
            self._engine = None
        self._identity = None
        self._mutex = threading.RLock()
        self._start_anew()


class _Queue:
    """In which writers of all threads and processes wait; only an aid, so it does not matter if it cannot be had."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._descriptor = -1

    def __enter__(self) -> None:
        self._mutex.acquire()
        try:
            with suppress(OSError):
                if self._descriptor < 0:
                    self._descriptor = open_folder(self._folder)
                _locks.lock(self._descriptor)
        except BaseException:
            self._mutex.release()
            raise

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            _locks.unlock(self._descriptor)
        self._mutex.release()

    def close(self) -> None:
        with self._mutex:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


class _Gate:
    """Counts the threads that use a connection, and can be shut."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._is_shut = False

    def __enter__(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not self._is_shut)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify_all()

    def shut(self, seconds: float) -> bool:
        """Let nobody in any more; tell whether all who were inside have left in time."""
        with self._condition:
            self._is_shut = True
            return self._condition.wait_for(lambda: not self._inside, seconds)

    def open(self) -> None:
        with self._condition:
            self._is_shut = False
            self._condition.notify_all()


def _check_folder(folder: str) -> None:
    """Accept a folder with a database, an empty one, and none.

    Raises:
        StoreFormatError: it is something else.
    """
    with store_errors("open", folder, reading=True):
        try:
            names = sorted(name for name in os.listdir(folder) if not is_hidden(name))
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise StoreFormatError(
                f"{folder} is a file, and storage_path is the folder that {DATABASE} is in: name a folder", folder
            ) from error
    if {"FORMAT", "refs", "objects"} & set(names):
        raise StoreFormatError(
            f'{folder} is a store of files: open it with backend = "files", or name another storage_path and bring '
            "over what is in it with SessionManager.sync",
            folder,
        )
    if names and DATABASE not in names:
        if any(name.startswith(DATABASE) for name in names):
            raise StoreFormatError(
                f"{folder} has the log of a database, and {DATABASE} is missing: put it back beside its log", folder
            )
        shown = ", ".join(names[:3])
        raise StoreFormatError(
            f"{folder} is not empty and holds no {DATABASE} ({shown}...): name another storage_path, "
            "or an empty folder",
            folder,
        )


_all: weakref.WeakSet[Database] = weakref.WeakSet()
_forking: list[Database] = []
_inherited: list[Engine] = []


def _before_fork() -> None:
    _forking[:] = list(_all)
    for database in _forking:
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in _forking:
        database.after_fork_in_parent()
    _forking.clear()


def _after_fork_in_child() -> None:
    for database in _forking:
        database.after_fork_in_child()
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
