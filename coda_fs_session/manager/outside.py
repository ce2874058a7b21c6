"""Files outside the store, which users hand on."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ..backends.disk.files import Files, make_folders
from ..backends.disk.new_files import NewFile
from ..errors import ExportError
from ..process.system import PLAIN


def write_outside(target: str | os.PathLike[str], parts: Iterable[bytes], *, overwrite: bool) -> Path:
    """Write a file outside the store; it appears whole or not at all, with mode 0600.

    Returns:
        Its path, with ``~`` expanded.

    Raises:
        FileExistsError: the path is taken, and `overwrite` is false.
        OSError: it cannot be written.
    """
    path = Path(target).expanduser()
    if not overwrite and os.path.lexists(path):
        raise _taken(path)
    files = Files()
    try:
        # For the eyes of this user only, as everything in the store: what others may read is the user's to say.
        with NewFile(files, os.fspath(path)) as new:
            for part in parts:
                new.write(part)
            new.sync()
            new.take_name(replace=overwrite)
    except FileExistsError:
        raise _taken(path) from None
    files.sync_folder(os.fspath(path.parent))
    return path


def make_folder_outside(path: str | os.PathLike[str]) -> str:
    """Make a folder outside the store, with those above it, where it is not there; return its path."""
    folder = os.path.abspath(os.path.expanduser(os.fspath(path)))
    make_folders(Files(), folder)
    return folder


def refuse_taken(paths: Iterable[str]) -> None:
    """Raise FileExistsError where one of some paths is taken."""
    for path in paths:
        if os.path.lexists(path):
            raise _taken(Path(path))


def _taken(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, f"{os.strerror(errno.EEXIST)}, and overwrite is false", str(path))


def read_outside(path: Path) -> bytes:
    """Read a file that has an end, without waiting for one that somebody still has to write to.

    Raises:
        OSError: it cannot be read.
        ExportError: it cannot be read to an end: a pipe, a device.
    """
    descriptor = os.open(path, os.O_RDONLY | PLAIN)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise ExportError("is no regular file: copy what it gives into one, and import that", path)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def open_outside(path: str) -> IO[bytes]:
    """Open a regular file for reading, without waiting for a pipe; a link was followed by whoever asked.

    Raises:
        OSError: it cannot be read.
        ExportError: it is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | PLAIN)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ExportError("is no regular file: copy what it gives into one, and import that", path)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
