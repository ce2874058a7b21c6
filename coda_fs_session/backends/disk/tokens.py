"""What tells one state of a file from another, by what the system knows of it and by how it ends."""

from __future__ import annotations

import os

from ...process.system import pread
from ..base import END_BYTES, RefEnd, Token
from .files import read_bytes

TICK_NS = 20_000_000
COARSE_TICK_NS = 2_000_000_000
"""The coarsest tick of a file system's clock."""


def token_of(status: os.stat_result) -> Token:
    """Return the token of a file that does not change any more within a tick of the clock."""
    # Not by its name: that takes several times as long, and every save makes two.
    return tuple.__new__(Token, (status.st_ino, status.st_size, status.st_mtime_ns, 0))


def listed_token(status: os.stat_result, now: int) -> Token:
    """Return a token that equals no earlier one while the file's time could hide another change.

    As with Git's "racily clean" index entries: two changes within one tick of the file system's clock
    leave the same time, and a replaced file can even get its predecessor's inode.
    """
    # Nearly every file is older than the coarsest tick.
    if now - status.st_mtime_ns < COARSE_TICK_NS and is_recent(status.st_mtime_ns, now):
        return Token(status.st_ino, status.st_size, status.st_mtime_ns, now)
    return token_of(status)


def is_recent(changed_ns: int, now_ns: int) -> bool:
    """Tell whether a later change may leave the same time."""
    coarse = changed_ns % 1_000_000_000 == 0
    return now_ns - changed_ns < (COARSE_TICK_NS if coarse else TICK_NS)


def read_end(descriptor: int, size: int, length: int) -> bytes:
    """Return the last bytes of an open file of `size` bytes."""
    return pread(descriptor, length, size - length)


def end_of(descriptor: int, size: int) -> RefEnd:
    """Return how an open file of `size` bytes ends."""
    length = min(END_BYTES, size)
    return RefEnd(size, read_bytes(descriptor, length, size - length))
