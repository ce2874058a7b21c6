"""A record that this process appends to."""

from __future__ import annotations

import contextlib
import os

from ...process.system import LOCK_SH, RENAMES_OPEN_FILES, flock
from ...process.uncopied import Uncopied
from ..base import NO_TOKEN


class OpenCopy(Uncopied):
    """One record, open for appending; it is not packed as long as it is.

    Attributes:
        even: the token of the ref when this process last brought both together.
    """

    __slots__ = ("descriptor", "even", "inode", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.inode = os.fstat(descriptor).st_ino
        self.even = NO_TOKEN
        if RENAMES_OPEN_FILES:
            with contextlib.suppress(OSError):
                flock(descriptor, LOCK_SH)

    def is_at_its_path(self) -> bool:
        """Tell whether this is what its path names; raises `FileNotFoundError` where nothing has that name."""
        return os.stat(self.path, follow_symlinks=False).st_ino == self.inode

    def __del__(self) -> None:
        os.close(self.descriptor)
