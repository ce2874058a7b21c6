"""How often the processes of this machine have created or replaced refs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from ...errors import StoreError
from ..disk.files import Files, make_folders, open_or_create

_MOST = 2**20


class Changes:
    """A file whose size is the number: a byte is added at a time, by any process.

    Args:
        state: returns the state folder; it need not exist. "" for none.

    Attributes:
        counted: how many of them this process has counted.
    """

    def __init__(self, state: Callable[[], str], files: Files) -> None:
        self._state = state
        self._files = files
        self.counted = 0

    def count(self) -> None:
        """Count one more; failing to is not an error."""
        with contextlib.suppress(OSError, StoreError):
            if not self._state():
                return
            path = self._path()
            make_folders(self._files, os.path.dirname(path))
            descriptor = open_or_create(self._files, path)
            try:
                if os.fstat(descriptor).st_size >= _MOST:
                    self._files.truncate(descriptor, 0)
                self._files.write(descriptor, b".")
                self.counted += 1
            finally:
                os.close(descriptor)

    def now(self) -> int:
        """Return how many there are; 0 where that cannot be told."""
        try:
            return os.stat(self._path()).st_size if self._state() else 0
        except (OSError, StoreError):
            return 0

    def _path(self) -> str:
        return f"{self._state()}/own/.changes"
