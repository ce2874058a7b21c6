"""One object in one file: reading and verifying it, and writing one that is too large to be held in memory."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator

from ...errors import CorruptionError
from ..disk.files import (
    Files,
    open_with_status,
    read_bytes,
    store_errors,
)
from ..disk.new_files import NewFile
from ..disk.paths import COMPRESSED

PIECE_BYTES = 4 * 1024 * 1024
"""What is larger is read and written in pieces where it is only passed on."""
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def verified(identity: str, path: str, *, size: int | None, limit: int, renamed: bool = False) -> bytes:
    data = read_object(path, size=size, limit=limit, renamed=renamed)
    actual = hashlib.sha256(data).hexdigest()
    if actual != identity:
        raise _bad_object(path, f"sha256 {identity}", actual)
    return data


def read_object(path: str, *, size: int | None, limit: int, renamed: bool = False) -> bytes:
    """Read an object without verifying its hash, in the form that its name tells; its bytes, where that was changed."""
    descriptor, status = open_with_status(path)
    try:
        stored = status.st_size
        compressed = path.endswith(COMPRESSED)
        if renamed:
            compressed = read_bytes(descriptor, len(_ZSTD_MAGIC)) == _ZSTD_MAGIC
        if not compressed:
            if stored > limit or (size is not None and stored != size):
                raise _bad_object(path, f"{limit if size is None else size} bytes", f"{stored} bytes")
            return read_bytes(descriptor, stored)
        from ..disk.zstd import decompress, largest_frame

        if stored > largest_frame(limit):
            raise _bad_object(path, f"{largest_frame(limit)} bytes at most", f"{stored} bytes")
        try:
            return decompress(read_bytes(descriptor, stored), size=size, limit=limit)
        except ValueError as error:
            raise _bad_object(path, "one zstd frame of the right size", error) from error
    finally:
        os.close(descriptor)


def verified_pieces(identity: str, path: str) -> Iterator[bytes]:
    """Yield what a file holds of an object, in whatever form, a piece at a time.

    Raises:
        CorruptionError: it is something else, which may turn out at the end only.
        StoreError: it cannot be read.
    """
    digest = hashlib.sha256()
    with store_errors("read", path, reading=True):
        descriptor, _ = open_with_status(path)
        with io.FileIO(descriptor) as file:
            pieces: Iterator[bytes] = iter(lambda: file.read(PIECE_BYTES), b"")
            if read_bytes(descriptor, len(_ZSTD_MAGIC)) == _ZSTD_MAGIC:
                from ..disk.zstd import decompressed

                pieces = decompressed(file)
            try:
                for piece in pieces:
                    digest.update(piece)
                    yield piece
            except ValueError as error:
                raise _bad_object(path, "one zstd frame of the right size", error) from error
    if digest.hexdigest() != identity:
        raise _bad_object(path, f"sha256 {identity}", digest.hexdigest())


def write_pieces(files: Files, path: str, identity: str, size: int, pieces: Iterable[bytes]) -> None:
    """Write an object as its pieces come, under its name once it is whole, synced and verified.

    Raises:
        CorruptionError: they are something else.
    """
    digest = hashlib.sha256()

    written = 0

    def hashed() -> Iterator[bytes]:
        nonlocal written
        for piece in pieces:
            digest.update(piece)
            written += len(piece)
            yield piece

    content: Iterable[bytes] = hashed()
    if path.endswith(COMPRESSED):
        from ..disk.zstd import compressed

        content = compressed(content, size=size)
    with NewFile(files, path) as new:
        try:
            for part in content:
                new.write(part)
        except ValueError as error:
            raise _changed(identity, f"{size} bytes", error) from error
        if digest.hexdigest() != identity or written != size:
            raise _changed(identity, f"sha256 {identity} of {size} bytes", f"{digest.hexdigest()} of {written}")
        new.sync()
        new.rename()


def _changed(identity: str, expected: object, actual: object) -> CorruptionError:
    return CorruptionError(f"object {identity} changed while it was copied", expected=expected, actual=actual)


def _bad_object(path: str, expected: object, actual: object) -> CorruptionError:
    return CorruptionError(
        "the object is damaged: restore the file from a backup or another machine",
        path,
        expected=expected,
        actual=actual,
    )
