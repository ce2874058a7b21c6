"""The database file: which one it is, making it, transactions, and `os.fork`.

Writers wait for each other twice. A `flock` on the folder is the queue, in which the kernel wakes the next one at
once; SQLite's own lock, which is polled, is what correctness rests on, and what other programs know of.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from ...errors import StoreError, StoreGoneError
from ...process import forks
from ...process.interrupts import give_up
from ...process.uncopied import Uncopied
from ..disk.descriptors import give_back, note_keeper
from ..disk.files import Files, make_folders
from ..disk.paths import DATABASE
from ..disk.store_check import check_database_folder, warn_if_open_to_all
from .connections import ChangedMeanwhileError, Connection, Connections, Identity, Lease, identity_of
from .errors import code_of, database_errors, is_locked
from .schema import bring_up_to_date, migrate, number_of, version_of
from .waiting import Gate, Queue

T = TypeVar("T")

_POLL_SECONDS = 0.01
_FORK_SECONDS = 10.0


class Database(Uncopied):
    """One database, for all threads of this process.

    Args:
        folder: where it is; neither need exist before the first write.
        connections: how many to keep open at most; further threads wait for one.
        patience: seconds to wait while other programs keep the database locked.
        read_only: make no file in the folder.

    Raises:
        StoreFormatError: the folder holds something else, or a database of a newer version.
        StoreError: it cannot be read.
    """

    def __init__(
        self, folder: str, files: Files, *, connections: int, patience: float, read_only: bool = False
    ) -> None:
        self.folder = folder
        self.path = f"{folder}/{DATABASE}"
        self._files = files
        self._patience = patience
        self.read_only = read_only
        self._connections = Connections(
            self.path, most=connections, patience=patience, durable=files.durable, read_only=read_only
        )
        # What the database has as its id; None as long as there was none.
        self._number: int | None = None
        self._start_anew()
        check_database_folder(folder)
        warn_if_open_to_all(folder)
        self.exists()
        forks.rest(self)
        note_keeper(self)

    def _start_anew(self) -> None:
        self._identity: Identity | None = None
        self._mutex = threading.RLock()
        self._queue = Queue(self.folder)
        self._gate = Gate()
        self._local = threading.local()

    def exists(self) -> bool:
        """Tell whether there is a database, and get ready for the one that is there now.

        Another file may have come to stand at the path: connections to the one before would write into a file that
        has no name any more.

        Raises:
            StoreGoneError: there was one, and it is gone, or another one is in its place; a copy of it is the same.
        """
        identity = self.identity()
        if identity is None and self._number is not None:
            raise StoreGoneError(f"the database {self.path} is gone", self.path)
        if identity is None or identity == self._identity:
            return identity is not None
        with self._mutex, database_errors("open", self.path, reading=True):
            if identity == self._identity:
                return True
            self._dispose()
            version, number = self._again(self._look)
            if self._number is not None and number != self._number:
                self._dispose()
                raise StoreGoneError(
                    f"another database has come to stand at {self.path}, in the place of the one opened", self.path
                )
            if version:
                self._identity, self._number = identity, number
            return version > 0

    def _look(self) -> tuple[int, int | None]:
        def look(connection: sqlite3.Connection) -> tuple[int, int | None]:
            # One state of it, since somebody may just be making it.
            connection.execute("BEGIN")
            version = version_of(connection, self.path)
            return version, number_of(connection) if version else None

        with self._connections.one() as connection:
            return connection.read(self.path, look)

    def identity(self) -> Identity | None:
        """Return what tells the file at the path from every other; None where there is none, or one just begun."""
        return identity_of(self.path)

    def prepare(self) -> None:
        """Make the database if there is none yet."""
        if self.exists():
            return
        with self._mutex, database_errors("make", self.path):
            make_folders(self._files, self.folder)
            check_database_folder(self.folder)
            # Not left to SQLite: it takes the mode from the umask, and this folder's names must last.
            with suppress(FileExistsError):
                os.close(self._files.create(self.path))
            self._files.sync_folder(self.folder)
            # Those that are open are to one that was here before.
            self._dispose()
            try:
                self._queue.enter()
                self._migrate()
            finally:
                self._queue.leave()
        self.exists()

    def _migrate(self) -> None:
        """Make the tables."""
        deadline = time.monotonic() + self._patience
        gave_back = False
        while True:
            try:
                with self._connections.one() as connection:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.execute("BEGIN EXCLUSIVE")
                    migrate(connection, self.path)
                    connection.execute("COMMIT")
                return
            except sqlite3.Error as error:
                if code_of(error) == sqlite3.SQLITE_CANTOPEN and not gave_back:
                    # Perhaps for want of descriptors, which SQLite does not tell: the journal takes two more.
                    gave_back = True
                    give_back()
                    continue
                # SQLite does not wait by itself where two change the journal's mode.
                if not is_locked(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_SECONDS)

    # Transactions

    def rows(self, statement: str, parameters: Mapping[str, object] | None = None) -> list[Any]:
        """Return all rows: a connection must not be taken while somebody goes through them one by one."""
        if not self.exists():
            return []
        return self.read(lambda connection: connection.execute(statement, parameters or {}).fetchall())

    def problems(self) -> list[str]:
        """Return what SQLite finds wrong with the file, by a look at each page of it."""
        rows = self.rows("PRAGMA quick_check(20)")
        # One row tells of several, below a line that names the database.
        lines = [line for (text,) in rows if text != "ok" for line in str(text).splitlines()]
        return [line for line in lines if not line.startswith("***")]

    def rewrite(self) -> list[str]:
        """Write the whole file anew, without what was removed from it, and return what stands in the way of that."""
        if not self.exists():
            return []
        try:
            with self.reading() as connection:
                connection.execute("VACUUM")
                ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except StoreError as error:
            return [f"{self.path} cannot be written anew ({error}), and may hold it in free pages: purge again"]
        return [f"{self.path}-wal may hold it as long as another program reads: purge again"] if busy else []

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call what only reads with a connection, and return what it does; it may be called again.

        Each statement sees one state of the database.
        """

        def read() -> T:
            with self.reading() as connection:
                return connection.read(self.path, work)

        return self._again(read)

    def _again(self, read: Callable[[], T]) -> T:
        """Read until nobody changes what has to be taken for unchanging."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return read()
            except ChangedMeanwhileError as error:
                if time.monotonic() > deadline:
                    raise StoreError(f"{self.path} is changed again and again: try again", self.path) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with; each statement sees one state of the database."""
        held = self._held
        with database_errors("read", self.path, reading=True):
            if held is not None:
                yield held
                return
            lease = Lease()
            try:
                self._gate.enter(lease)
                yield self._connections.lend(lease)
            finally:
                self._give_back(lease)

    @contextmanager
    def writing(self, action: str, *, ends_hold: bool = True) -> Iterator[sqlite3.Connection]:
        """Give a transaction that is committed, durably, at the end; inside `hold`, its own.

        Args:
            action: what is being done, for errors.
            ends_hold: end that of `hold` too; otherwise what is written is committed with what follows.
        """
        if self._held is None:
            with database_errors(action, self.path), self.hold(action):
                yield self._of_thread()
            return
        lease = self._local.lease
        with database_errors(action, self.path):
            try:
                yield self._of_thread()
            except BaseException:
                self._give_back(lease)
                raise
            if ends_hold:
                self._commit(lease)

    @contextmanager
    def hold(self, action: str) -> Iterator[None]:
        """Keep other writers waiting until the block, or a `writing` within, ends."""
        if self._held is not None:
            yield
            return
        lease = Lease()
        try:
            with database_errors(action, self.path):
                self._begin(lease)
            yield
            with database_errors(action, self.path):
                self._commit(lease)
        finally:
            self._give_back(lease)

    def _begin(self, lease: Lease) -> None:
        """Begin a transaction that can write, in the database that is at the path."""
        while True:
            self._local.lease = lease
            self._gate.enter(lease)
            # The queue before a connection: whoever waits for one must not keep the last one from its writer.
            self._queue.enter()
            connection = self._connections.lend(lease)
            connection.execute("BEGIN IMMEDIATE")
            if connection.identity == self.identity() and bring_up_to_date(connection, self.path):
                return
            # Another one has taken its place, or a later version of this package has taken it over.
            self._give_back(lease)
            with self._mutex:
                self._dispose()
            if not self.exists():
                raise self._gone()

    @property
    def _held(self) -> Connection | None:
        lease: Lease | None = getattr(self._local, "lease", None)
        return lease.connection if lease is not None else None

    def _of_thread(self) -> Connection:
        held = self._held
        assert held is not None
        return held

    def _commit(self, lease: Lease) -> None:
        """End a transaction, if it has not ended yet."""
        connection = lease.connection
        if connection is None:
            return
        try:
            connection.execute("COMMIT")
            if self.identity() != connection.identity:
                raise self._gone()
            if lease.then is not None:
                # Others cannot write yet.
                lease.then(connection)
        finally:
            self._give_back(lease)

    def then(self, call: Callable[[sqlite3.Connection], None]) -> None:
        """Have something done right after the transaction of this thread is committed, before others may write."""
        self._local.lease.then = call

    def _give_back(self, lease: Lease) -> None:
        """End a use of the database; may be called again. A transaction that was not committed is rolled back."""
        self._connections.give_back(lease)
        if getattr(self._local, "lease", None) is lease:
            self._queue.leave()
            self._local.lease = None
        self._gate.leave(lease)

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        self._gate.recover()
        for lease in self._connections.leases(threading.get_ident()):
            self._give_back(lease)
        self._connections.recover()
        held = getattr(self._local, "lease", None)
        if held is not None:
            self._give_back(held)
        self._queue.leave()
        give_up(self._mutex)

    def _gone(self) -> StoreError:
        return StoreError(
            f"{self.path} was put in another's place, or removed, while it was written: save again", self.path
        )

    def close(self) -> None:
        """Close what no thread is using; the database may be used again."""
        with self._mutex:
            self._dispose()
        self._queue.close()

    def give_back(self) -> None:
        self._connections.close()
        self._queue.give_back()

    def __del__(self) -> None:
        # Nobody needs to close what he let go of; and a store that was refused has nothing to close.
        with suppress(Exception):
            self.close()

    def _dispose(self) -> None:
        self._connections.close()
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

    def after_fork(self) -> None:
        # What a thread that is gone held is not given back: that would end the parent's transaction.
        _inherited.append(self._local)
        self._connections.after_fork()
        self._start_anew()


_inherited: list[object] = []
