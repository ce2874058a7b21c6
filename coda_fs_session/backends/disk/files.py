"""The file-system calls that change anything, and the recipes made of them.

Everything this package does to a disk goes through one `Files`, so that tests can record the calls, replay
every crash between them and make each of them fail. `Files` itself decides nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import CorruptionError, StoreError, StoreFullError, StoreReadOnlyError
from ...process import system
from .descriptors import NONE_LEFT, opened
from .paths import temporary

FOLDER_MODE = 0o700
FILE_MODE = 0o600

_READ = os.O_RDONLY | system.NO_LINKS | system.PLAIN
_APPEND = os.O_RDWR | os.O_APPEND | system.NO_LINKS | system.PLAIN
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | system.NO_LINKS | system.PLAIN

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_READ_ONLY = frozenset((errno.EROFS, errno.EACCES, errno.EPERM))


class Files:
    """Each method is one system call, tried again if descriptors had to be given back for it.

    `durable=False` leaves out the syncs, and with them the promise.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self.durable = durable

    def open_append(self, path: str) -> int:
        return opened(system.open_file, path, _APPEND)

    def create(self, path: str) -> int:
        return opened(system.open_file, path, _CREATE, FILE_MODE)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        return os.write(descriptor, data)

    def sync_data(self, descriptor: int) -> None:
        """Make the file's content durable."""
        if self.durable:
            system.sync_data(descriptor)

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable, where the disk knows how: SMB, some FUSE disks and Windows do not."""
        if not self.durable:
            return
        try:
            descriptor = opened(system.open_folder, path)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in system.NOT_KNOWN:
                raise

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def set_time(self, path: str, time_ns: int) -> None:
        """Let a file say that it was last changed at a time, and leave its content as it is."""
        os.utime(path, ns=(time_ns, time_ns))

    def rename(self, source: str, target: str) -> None:
        system.rename(source, target)

    def link(self, source: str, target: str) -> None:
        os.link(source, target)

    def unlink(self, path: str) -> None:
        system.unlink(path)

    def make_folder(self, path: str) -> None:
        os.mkdir(path, FOLDER_MODE)

    def remove_folder(self, path: str) -> None:
        os.rmdir(path)


@contextmanager
def store_errors(action: str, path: object, *, reading: bool = False) -> Iterator[None]:
    """Turn an `OSError` into the `StoreError` that tells the caller what to do next."""
    try:
        yield
    except OSError as error:
        if is_of_program(error):
            raise
        raise translate(error, action, path, reading=reading) from error


def is_of_program(error: OSError) -> bool:
    """Tell whether a signal handler of the program has raised an error: one of the system has a number."""
    return isinstance(error, TimeoutError) and error.errno is None


def translate(error: OSError, action: str, path: object, *, reading: bool = False) -> StoreError:
    what = f"cannot {action} {path}: {error.strerror or error}"
    if error.errno in NONE_LEFT:
        hint = "close files that the program has open, or raise its limit (ulimit -n), and try again"
        return StoreError(f"{what}; what was saved before is intact: {hint}", str(path))
    if reading:
        # Never StoreReadOnlyError, which promises that reading works.
        hint = "; check the permissions" if error.errno in _READ_ONLY else ""
        return StoreError(f"{what}{hint}", str(path))
    if error.errno in _FULL:
        return StoreFullError(f"{what}; what was saved before is intact: make room and save again", str(path))
    if error.errno in _READ_ONLY:
        return StoreReadOnlyError(f"{what}; check the permissions and how the disk is mounted", str(path))
    return StoreError(what, str(path))


def write_all(files: Files, descriptor: int, data: bytes) -> None:
    """Write all of `data`: one call when the kernel takes it whole."""
    written = files.write(descriptor, data)
    while written < len(data):
        written += files.write(descriptor, memoryview(data)[written:])


def make_folders(files: Files, path: str) -> None:
    """Make a folder and what is missing above it, durably, each 0700."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path) or os.curdir
    # A drive that is not there has itself as its parent.
    if parent != path:
        make_folders(files, parent)
    # Another process may be making it at the same time.
    with contextlib.suppress(FileExistsError):
        files.make_folder(path)
    files.sync_folder(parent)


def open_or_create(files: Files, path: str) -> int:
    """Open for appending a file that is made if it is missing, and that nobody ever removes."""
    try:
        return files.open_append(path)
    except FileNotFoundError:
        # Another process may be making it at the same time.
        with contextlib.suppress(FileExistsError):
            os.close(files.create(path))
        return files.open_append(path)


def start_temporary(files: Files, folder: str, data: bytes) -> tuple[str, int]:
    """Write a file under a temporary name; return that and the descriptor, which is still to be synced and closed."""
    descriptor = -1
    scratch = temporary(folder)
    try:
        descriptor = files.create(scratch)
        write_all(files, descriptor, data)
    except BaseException:
        if descriptor >= 0:
            os.close(descriptor)
        discard(files, scratch)
        raise
    return scratch, descriptor


def publish(files: Files, scratch: str, path: str) -> None:
    """Give a complete file its name if that is free; rename alone would put it over another's.

    Raises:
        FileExistsError: it is not free.
    """
    try:
        files.link(scratch, path)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here (FAT, some network disks). A replica is alone in its folder, and its writers
        # hold the name's lock, so looking first is enough.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        files.rename(scratch, path)
    else:
        # Not an error if that fails: the file has its name, and the caller could not make it a second time.
        discard(files, scratch)


def discard(files: Files, path: str) -> None:
    """Remove a temporary file if that is possible; a leftover dotfile harms nobody."""
    with contextlib.suppress(OSError):
        files.unlink(path)


def open_regular(path: str, *, append: Files | None = None) -> int:
    """Open a regular file for reading, or for appending through `append`; raises as `open_with_status`."""
    return open_with_status(path, append=append)[0]


def open_with_status(path: str, *, append: Files | None = None) -> tuple[int, os.stat_result]:
    """Do as `open_regular`, and return with the descriptor what is known of the file.

    Raises:
        FileNotFoundError: there is none.
        CorruptionError: it is a folder, a link, a FIFO or a device.
    """
    try:
        descriptor = append.open_append(path) if append else opened(system.open_file, path, _READ)
    except OSError as error:
        # ELOOP: a symbolic link; ENXIO: a FIFO or socket; EISDIR: a folder opened for writing.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise wrong_kind(path) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise wrong_kind(path)
    return descriptor, status


def read_file(path: str, limit: int) -> bytes:
    """Return a regular file, or its first `limit` bytes; raises as `open_with_status`."""
    descriptor, status = open_with_status(path)
    try:
        # Not `limit` at once: reading makes room for all that it is asked for.
        return read_bytes(descriptor, min(limit, status.st_size))
    finally:
        os.close(descriptor)


def wrong_kind(path: str, expected: str = "a regular file") -> CorruptionError:
    """Return the error that says what stands at a path, and what to do about it."""
    kinds = (("a file", stat.S_ISREG), ("a folder", stat.S_ISDIR), ("a symbolic link", stat.S_ISLNK))
    mode = os.lstat(path).st_mode
    actual = next((kind for kind, test in (*kinds, ("a FIFO", stat.S_ISFIFO)) if test(mode)), "a special file")
    advice = "this is none of the store's: move it out of the store"
    if stat.S_ISLNK(mode):
        # As git-annex and tools that find duplicates leave them; what was saved is where they lead, or lost.
        advice = (
            f"links are not followed, as they may lead out of the store: put what this one stands for in its place "
            f"({os.readlink(path)!r}; with git-annex, `git annex get` and `git annex unlock`)"
        )
    return CorruptionError(advice, path, expected=expected, actual=actual)


def read_bytes(descriptor: int, size: int, offset: int = 0) -> bytes:
    """Read up to `size` bytes at `offset`; fewer only at the end of the file."""
    parts = []
    while size > 0:
        part = system.pread(descriptor, size, offset)
        if not part:
            break
        parts.append(part)
        size -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
