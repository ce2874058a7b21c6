"""A ref file held open between saves: the lock that a writer takes on the file itself, and what it must find there."""

from __future__ import annotations

import contextlib
import errno
import os
import threading

from ...errors import StoreError
from ...process.system import pread
from ...process.uncopied import Uncopied
from ..base import END_BYTES, NO_TOKEN, RefChangedError, RefRefusedError, Snapshot, Token
from ..disk import locks
from ..disk.files import Files, open_with_status, read_bytes
from ..disk.ref_files import AT_ONCE
from ..disk.tokens import end_of, token_of
from ..machine.stand_ins import StandIns

_TRIES = 3


class OpenRef(Uncopied):
    """One ref file, open for appending, and how it looked when this process last read or wrote it.

    Attributes:
        path: where it is opened; descriptor: -1 while it is not open.
        incoming: an open file that is about to take its place, or -1.
        locked: this process holds the lock of the file, or where it has none the lock that stands in for it.
        unnumbered: the disk has no lasting inode numbers: what the file at the path holds tells whether it is ours.
        token: what belongs to the bytes last seen; suffix: the last of those bytes.
        now: the token when the lock was taken.
    """

    __slots__ = (
        *("_stand_in", "_stand_ins", "depth", "descriptor", "device", "incoming", "inode", "locked", "mutex", "now"),
        *("path", "suffix", "token", "unnumbered"),
    )

    def __init__(self, path: str, stand_ins: StandIns) -> None:
        self.path = path
        self._stand_ins = stand_ins
        self._stand_in = -1
        # Keeps threads apart, and lets one enter twice: the lock of the file belongs to the whole process.
        self.mutex = threading.RLock()
        self.depth = 0
        self.descriptor = self.incoming = -1
        self.inode = self.device = 0
        self.locked = self.unnumbered = False
        self.token = NO_TOKEN
        self.suffix = b""
        self.now = NO_TOKEN

    def open(self, files: Files) -> None:
        self.close()
        self.descriptor, status = open_with_status(self.path, append=files)
        length = min(END_BYTES, status.st_size)
        self.inode, self.device = status.st_ino, status.st_dev
        self.token = token_of(status)
        self.suffix = read_bytes(self.descriptor, length, status.st_size - length)

    def lock(self) -> None:
        """Wait for whoever writes to the file."""
        # First, so that an interrupt in between leaves nothing locked.
        self.locked = True
        try:
            locks.lock(self.descriptor)
        except OSError as error:
            if error.errno not in locks.NOT_KNOWN:
                raise
            self._lock_stand_in(error)
        else:
            if self.unnumbered:
                # Two open files of one path may count as two here, each with a lock of its own.
                self._lock_stand_in(OSError(errno.ESTALE, "its number changes"))

    def _lock_stand_in(self, cause: OSError) -> None:
        try:
            self._stand_in = self._stand_ins.lock(self.path, cause)
        except BaseException:
            self.locked = False
            locks.unlock_if_possible(self.descriptor)
            raise

    def lock_incoming(self) -> None:
        """Lock the file that is to take the place of this one, which is locked."""
        if self._stand_in < 0:
            locks.lock(self.incoming)

    def unlock(self) -> None:
        """Let other processes write, if they had to wait."""
        if self.locked:
            self.locked = False
            if self._stand_in < 0:
                locks.unlock(self.descriptor)
                return
            locks.unlock_if_possible(self.descriptor)
            locks.unlock(self._stand_in)
            stand_in, self._stand_in = self._stand_in, -1
            os.close(stand_in)

    def look(self) -> Token | None:
        """Return the token of the file at the path; None where that is not the one that is open.

        A number is not used twice at a time; where numbers do not last, the last line tells, as its id is one of all
        lines.

        Raises:
            FileNotFoundError: there is no file at the path.
        """
        there = os.stat(self.path, follow_symlinks=False)
        if there.st_ino == self.inode and there.st_dev == self.device:
            return token_of(there)
        return self._as_ours(there) if self.unnumbered and self._has_same_end() else None

    def _has_same_end(self) -> bool:
        descriptor, there = open_with_status(self.path)
        try:
            return end_of(descriptor, there.st_size) == end_of(self.descriptor, os.fstat(self.descriptor).st_size)
        finally:
            os.close(descriptor)

    def _as_ours(self, there: os.stat_result) -> Token:
        return token_of(there)._replace(identity=self.inode)

    def catch_up(self, files: Files) -> Token:
        """Open the file that is at the path instead of an orphan, and wait for its lock; return its token.

        Raises:
            OSError, CorruptionError: as `open`.
            StoreError: which file is at the path cannot be told.
        """
        tries = 0
        while tries < _TRIES:
            self.open(files)
            self.lock()
            token = self.look()
            if token is not None:
                return token
            # Replaced while we waited, as often as there are others who write; unless it still has a name.
            if os.fstat(self.descriptor).st_nlink == 0:
                continue
            tries += 1
            if self._has_same_end():
                self.unnumbered = True
                self.unlock()
        raise StoreError(
            f"{self.path} is another file each time it is looked at: save again; if it stays so, the disk has no "
            "lasting inode numbers, and the store needs another one",
            self.path,
        )

    def size_at_path(self) -> int:
        """Return the size of the locked file; RefChangedError where it is not at its path any more."""
        try:
            token = self.look()
        except FileNotFoundError as error:
            raise RefChangedError(self.path) from error
        if token is None:
            raise RefChangedError(self.path)
        return token.size

    def has(self, data: bytes, offset: int) -> bool:
        return read_bytes(self.descriptor, len(data), offset) == data

    def after(self, known: Token, end: bytes) -> Snapshot | None:
        """Return what follows `end`, if the locked file is the known one, and still has that where it ended then."""
        added, length = self.now.size - known.size, len(end)
        if self.now.identity != known.identity or not 0 <= added <= AT_ONCE or length > known.size:
            return None
        # In one piece with what vouches for all before it. That the token still is the file's, an append will see.
        data = pread(self.descriptor, length + added, known.size - length)
        return Snapshot(data[length:], self.now) if data.startswith(end) and len(data) == length + added else None

    def outdated(self, size: int) -> Token:
        """Return a token for the first `size` bytes of a file that has more: one that no file has."""
        return Token(self.inode, size, -1)

    def expect(self, expected: Token) -> None:
        """Raise RefRefusedError unless the locked file is, byte for byte as far as one can tell, as expected."""
        if self.unnumbered:
            expected = expected._replace(identity=self.inode)
        if self.now != expected:
            raise RefRefusedError(expected)
        if self.token == expected:
            # The same inode, size and time can still be an older copy, written back in place.
            length = len(self.suffix)
            end = pread(self.descriptor, length, expected.size - length)
            if end != self.suffix:
                # The caller will read these bytes, and try again with the very same token.
                self.suffix = end
                raise RefRefusedError(expected)

    def appended(self, expected: Token, data: bytes) -> Token:
        """Return the token of the file right after `data`, which is synced.

        Raises:
            RefChangedError: a sync tool has put another file in our file's place, or other bytes into it, while we
                wrote; or another process has replaced it, with our line in it.
        """
        try:
            token = self.look()
        except FileNotFoundError as error:
            raise RefChangedError(self.path) from error
        end = expected.size + len(data)
        if token is None or token.size < end or (token.size > end and not self.has(data, expected.size)):
            raise RefChangedError(self.path)
        self.token = token if token.size == end else self.outdated(end)
        self.suffix = data[-END_BYTES:]
        return self.token

    def take_over(self, data: bytes) -> None:
        """Go on with the incoming file, which is locked already and holds `data`."""
        # What stands in for the lock of the old file does for that of the new one.
        stand_in, self._stand_in = self._stand_in, -1
        self._close_old()
        self.descriptor, self.incoming, self._stand_in, self.locked = self.incoming, -1, stand_in, True
        status = os.fstat(self.descriptor)
        self.inode, self.device = status.st_ino, status.st_dev
        self.token = token_of(status)
        self.suffix = data[-END_BYTES:]

    def close(self) -> None:
        self.drop_incoming()
        self._close_old()

    def drop_incoming(self) -> None:
        """Close a file that is not going to take the place of the open one."""
        if self.incoming >= 0:
            locks.unlock_if_possible(self.incoming)
            descriptor, self.incoming = self.incoming, -1
            os.close(descriptor)

    def _close_old(self) -> None:
        if self.descriptor >= 0:
            # Not left to close(): a child forked meanwhile may have the same open file, and would keep the lock.
            with contextlib.suppress(OSError):
                self.unlock()
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    def forget(self) -> None:
        """In a child of os.fork: close what is the parent's too, and leave its locks alone."""
        for descriptor in (self.descriptor, self.incoming, self._stand_in):
            if descriptor >= 0:
                os.close(descriptor)
        self.descriptor = self.incoming = self._stand_in = -1
        self.locked = False

    def __del__(self) -> None:
        self.close()
