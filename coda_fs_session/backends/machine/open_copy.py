"""A record that this process appends to."""

from __future__ import annotations

import os

from ...process.uncopied import Uncopied
from ..base import NO_TOKEN


class OpenCopy(Uncopied):
    """One record, open for appending.

    Attributes:
        even: the token of the ref when this process last brought both together.
    """

    __slots__ = ("descriptor", "even", "inode", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.inode = os.fstat(descriptor).st_ino
        self.even = NO_TOKEN

    def __del__(self) -> None:
        os.close(self.descriptor)
