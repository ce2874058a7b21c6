"""One ref in one file: reading it with its token, and without making room for what is not in it."""

from __future__ import annotations

import errno
import os

from ...errors import CorruptionError
from ...process.system import data_from
from ..base import Snapshot
from .files import read_bytes
from .tokens import token_of

_REF_LIMIT = 2**31
AT_ONCE = 1024 * 1024
"""Nearly every ref is smaller."""
_MOST_ZEROS = 16 * 1024 * 1024


def read_ref(descriptor: int, before: os.stat_result, path: str, begin: bytes) -> Snapshot:
    """Read a whole ref file with the token that belongs to its bytes; `before` is what was known when it was opened.

    Raises:
        CorruptionError: it is so large, for what is in it, that it can be no ref.
    """
    while True:
        data, whole = read_whole(descriptor, before.st_size, path, begin)
        # Bytes and token must belong together: a saver may append while we read.
        after, token = os.fstat(descriptor), token_of(before)
        if token_of(after) == token and whole:
            return Snapshot(data, token)
        before = after


def read_whole(descriptor: int, size: int, path: str, begin: bytes) -> tuple[bytes, bool]:
    """Read a ref file without making room for what is not in it; return its bytes, and whether they are all.

    Of zeros at its end, where data never arrived, no more is returned than it takes to see them.
    """
    if size > _REF_LIMIT:
        raise CorruptionError("the ref is impossibly large", path, expected="2 GiB at most", actual=size)
    if size <= AT_ONCE:
        data = read_bytes(descriptor, size)
        return data, len(data) == size
    if read_bytes(descriptor, len(begin)) != begin:
        raise CorruptionError(
            "the file does not begin as a ref does: restore it from a backup or another machine, or move it away",
            path,
            line=1,
        )
    pieces: list[bytes] = []
    position = 0
    while position < size and (piece := read_bytes(descriptor, min(AT_ONCE, size - position), position)):
        pieces.append(piece)
        position += len(piece)
        if not piece.strip(b"\0"):
            end = _end_of_zeros(descriptor, position, size)
            if end == size:
                position = size
            elif end - position > _MOST_ZEROS:
                raise CorruptionError(
                    "the ref is damaged: there are zeros where data was; restore the file from a backup or another "
                    "machine, or move it away to keep only what other refs hold",
                    path,
                    expected=f"{_MOST_ZEROS} zeros at most",
                    actual=end - position,
                )
    return b"".join(pieces), position >= size


def _end_of_zeros(descriptor: int, position: int, size: int) -> int:
    """Return the first position from `position` on that may hold another byte than zero; `size` if there is none."""
    while position < size:
        try:
            position = max(position, data_from(descriptor, position))
        except OSError as error:
            if error.errno == errno.ENXIO:
                return size
        piece = read_bytes(descriptor, min(AT_ONCE, size - position), position)
        if not piece or piece.strip(b"\0"):
            return position
        position += len(piece)
    return size
