"""What differs between Linux, macOS and Windows. No other module asks which of them it runs on.

Each name below is there on all of them. What a system cannot do raises an `OSError`, as a disk that cannot.

Attributes:
    EVENTS_NAME_FILES: whether events of the file system name each file that changed; elsewhere some name its folder.
    RENAMES_OPEN_FILES: whether a file can be renamed, replaced and removed while a program has it open.
    PLAIN: flags to open a file with: its bytes as they are, no waiting for a FIFO, not for child processes.
    NO_LINKS: a flag against links: one that somebody planted in a synced folder must not lead us elsewhere.
    NOT_KNOWN: what a disk answers to a call that it does not know; a call that failed is answered otherwise.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

EVENTS_NAME_FILES = sys.platform == "linux"
NOT_KNOWN = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY))


class FolderEntry(Protocol):
    """An `os.DirEntry`."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    def inode(self) -> int: ...
    def is_dir(self, *, follow_symlinks: bool) -> bool: ...
    def is_file(self, *, follow_symlinks: bool) -> bool: ...
    def stat(self, *, follow_symlinks: bool) -> os.stat_result: ...


if sys.platform != "win32":
    import fcntl

    RENAMES_OPEN_FILES: bool = True

    PLAIN = os.O_NONBLOCK | os.O_CLOEXEC
    NO_LINKS = os.O_NOFOLLOW

    # Not in functions: a save makes some of these calls.
    LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_NB, fcntl.LOCK_UN
    flock = fcntl.flock
    pread = os.pread
    rename = os.rename
    unlink = os.unlink
    register_at_fork = os.register_at_fork

    if sys.platform == "darwin":

        def sync_data(descriptor: int) -> None:
            """Make a file's content durable: fsync leaves it in the drive's cache, only F_FULLFSYNC empties that."""
            try:
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            except OSError as error:
                if error.errno not in NOT_KNOWN:
                    raise
                # Network and foreign disks: fsync is all that they offer.
                os.fsync(descriptor)
    else:
        sync_data = os.fdatasync

    def open_file(path: str, flags: int, mode: int = 0o777) -> int:
        return os.open(path, flags, mode)

    def open_folder(path: str) -> int:
        """Open a folder, to sync it."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open_to_lock(folder: str) -> int:
        """Open what is locked for a folder: the folder itself."""
        return open_folder(folder)

    def scan(folder: str) -> AbstractContextManager[Iterator[FolderEntry]]:
        return os.scandir(folder)

    def data_from(descriptor: int, position: int) -> int:
        """Return the first position from this one on at which there may be data: the system knows the end of a hole.

        Raises:
            OSError: ENXIO: there is none; others: the disk does not tell.
        """
        return os.lseek(descriptor, position, os.SEEK_DATA)

    def user() -> int:
        """Return the number of the user whose files this process makes."""
        return os.geteuid()

    def permissions(status: os.stat_result) -> int:
        return stat.S_IMODE(status.st_mode)

    def host() -> str:
        return os.uname().nodename

    def path_in_uri(path: str) -> str:
        """Return an absolute path as it stands after ``file://``, to be quoted."""
        return path

else:
    import msvcrt
    import time

    RENAMES_OPEN_FILES: bool = False

    PLAIN = os.O_BINARY | os.O_NOINHERIT
    NO_LINKS = 0

    LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = 1, 2, 4, 8
    sync_data = os.fsync

    _PAUSE = 0.005
    _TRIES = 40

    def flock(descriptor: int, operation: int) -> None:
        """Do as `fcntl.flock` does elsewhere, with the first byte of a file that nobody reads."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        if operation & LOCK_UN:
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
            return
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return
            except PermissionError as error:
                if operation & LOCK_NB:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
            time.sleep(_PAUSE)

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        """Do as `os.pread` does elsewhere; a descriptor is used by one thread at a time."""
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, size)
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)

    def rename(source: str, target: str) -> None:
        """Do as `os.rename` does elsewhere: also over a file that is there."""
        _patiently(lambda: os.replace(source, target))

    def unlink(path: str) -> None:
        _patiently(lambda: os.unlink(path))

    def _patiently(call: Callable[[], None]) -> None:
        """Make a call on a file that others may have open for a moment: to read it, or to look for viruses."""
        for _ in range(_TRIES):
            try:
                return call()
            except PermissionError:
                time.sleep(_PAUSE)
        return call()

    def register_at_fork(
        *,
        before: Callable[[], object] | None = None,
        after_in_parent: Callable[[], object] | None = None,
        after_in_child: Callable[[], object] | None = None,
    ) -> None:
        """Do nothing: no process forks here."""

    def open_file(path: str, flags: int, mode: int = 0o777) -> int:
        """Do as `os.open` does elsewhere with `NO_LINKS`, and say so where a folder is opened."""
        if not flags & os.O_CREAT:
            kind = os.lstat(path).st_mode
            if stat.S_ISLNK(kind):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if stat.S_ISDIR(kind):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return os.open(path, flags, mode)

    def open_folder(path: str) -> int:
        """Refuse, as a disk that does not know how to sync a folder."""
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), path)

    def open_to_lock(folder: str) -> int:
        """Open what is locked for a folder, which cannot be opened itself: a hidden file in it."""
        return os.open(f"{folder}/.lock", os.O_RDWR | os.O_CREAT | PLAIN, 0o600)

    class _Entry:
        """An `os.DirEntry` whose status has an inode number; that of the system has 0 here."""

        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.name, self.path = entry.name, entry.path
            self.inode, self.is_dir, self.is_file = entry.inode, entry.is_dir, entry.is_file

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            return os.stat(self.path, follow_symlinks=follow_symlinks)

    class _Scan(AbstractContextManager[Iterator[FolderEntry]]):
        def __init__(self, folder: str) -> None:
            self._entries = os.scandir(folder)

        def __enter__(self) -> Iterator[FolderEntry]:
            return map(_Entry, self._entries)

        def __exit__(self, *_: object) -> None:
            self._entries.close()

    def scan(folder: str) -> AbstractContextManager[Iterator[FolderEntry]]:
        return _Scan(folder)

    def data_from(descriptor: int, position: int) -> int:
        """Return the position: the system does not tell of holes."""
        return position

    def user() -> int:
        """Return what the status of every file has as its owner."""
        return 0

    def permissions(status: os.stat_result) -> int:
        """Return that a file is its owner's alone: what its status has as permissions says nothing of others."""
        return 0o700

    def host() -> str:
        import socket

        return socket.gethostname()

    def path_in_uri(path: str) -> str:
        """Return an absolute path as it stands after ``file://``, to be quoted: ``/C:/folder``, ``//host/folder``."""
        slashed = path.replace("\\", "/")
        return slashed if slashed.startswith("/") else f"/{slashed}"
