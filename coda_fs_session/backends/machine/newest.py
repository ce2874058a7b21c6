"""Which own ref this machine wrote last: where a store has that write, it has all that came before.

Each write adds a line to one file, before its record is kept; the last line counts. So a process that is killed in
between leaves a ref that is not as its record, and a file that is lost or in pieces tells nothing: either costs a look
at all records.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from zlib import crc32

from ...errors import StoreError
from ..base import RefKey
from ..disk.files import Files, make_folders, open_or_create, open_with_status, read_bytes, write_all

_MOST_BYTES = 2**16
_LONGEST_LINE = 2**13
"""Paths of refs have some 150 bytes."""


class Newest:
    """The file of one state folder.

    Args:
        folder: returns the folder that it is in; it need not exist.
    """

    def __init__(self, folder: Callable[[], str], files: Files) -> None:
        self._folder = folder
        self._files = files

    def note(self, key: RefKey) -> None:
        """Note that a ref was written, before anything else is.

        Raises:
            OSError, StoreError: that is not possible.
        """
        path = os.fsencode(key.path)
        try:
            descriptor = open_or_create(self._files, self._path())
        except FileNotFoundError:
            make_folders(self._files, self._folder())
            descriptor = open_or_create(self._files, self._path())
        try:
            if os.lseek(descriptor, 0, os.SEEK_END) > _MOST_BYTES:
                # First: killed in between, it leaves nothing, and never what was written before.
                self._files.truncate(descriptor, 0)
            write_all(self._files, descriptor, b"%08x %b\n" % (crc32(path), path))
        finally:
            os.close(descriptor)

    def last(self) -> RefKey | None:
        """Return the ref that was written last; None where that is not known."""
        with contextlib.suppress(OSError, StoreError, ValueError):
            descriptor, status = open_with_status(self._path())
            try:
                length = min(status.st_size, _LONGEST_LINE)
                lines = read_bytes(descriptor, length, status.st_size - length).split(b"\n")
            finally:
                os.close(descriptor)
            crc, path = lines[-2].split(b" ", 1) if len(lines) > 1 and not lines[-1] else (b"", b"")
            if crc == b"%08x" % crc32(path):
                return RefKey(os.fsdecode(path))
        return None

    def _path(self) -> str:
        return f"{self._folder()}/.newest"
