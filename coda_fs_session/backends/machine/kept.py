"""Files in the state folder that the next process believes without a second look: each begins with a checksum.

They are not synced, so that a power failure may leave one in pieces; and what they say of the store goes into answers.
"""

from __future__ import annotations

from zlib import crc32

from ...errors import StoreError
from ..disk.files import Files, read_file
from ..disk.new_files import write_file

_LIMIT = 2**30
_FIRST_LINE = b"crc32:%08x\n"
_FIRST_LINE_BYTES = len(_FIRST_LINE % 0)


def keep(files: Files, path: str, data: bytes) -> None:
    """Let a file hold these bytes.

    Raises:
        OSError, StoreError: it cannot be written.
    """
    write_file(files, path, _FIRST_LINE % crc32(data) + data, replace=True)


def kept(path: str) -> bytes | None:
    """Return what `keep` was last given; None where there is no file, or one that holds anything else."""
    try:
        content = read_file(path, _LIMIT)
    except (OSError, StoreError):
        return None
    return checked(content)


def checked(content: bytes) -> bytes | None:
    """Return what `keep` was given of what is in its file now; None where that is anything else."""
    data = content[_FIRST_LINE_BYTES:]
    return data if content.startswith(_FIRST_LINE % crc32(data)) else None
