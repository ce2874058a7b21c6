"""Objects as single zstd frames, read without trusting what the frame says of itself."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import zstandard

LEVEL = 3
_WINDOW_LIMIT = 8 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_LONGEST_HEADER = 18
_RLE_BLOCK, _RESERVED_BLOCK = 1, 3


def compress(data: bytes) -> bytes:
    """Return one frame with checksum and content size."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True).compress(data)


def largest_frame(size: int) -> int:
    """Return how many bytes a frame of `size` bytes of content may take up at the most, generously."""
    return size + size // 128 + 1024


def compressed(pieces: Iterable[bytes], *, size: int) -> Iterator[bytes]:
    """Yield the frame of `size` bytes of content as they come.

    Raises:
        ValueError: they are more or less.
    """
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    try:
        frame = compressor.compressobj(size=size)
        for piece in pieces:
            yield frame.compress(piece)
        yield frame.flush()
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def decompress(frame: bytes, *, size: int | None, limit: int) -> bytes:
    """Return a frame's content, never holding more than `limit` bytes of it.

    Args:
        size: the content size that the frame must declare, None for any within `limit`.

    Raises:
        ValueError: the frame is broken, or declares or holds another size.
    """
    content = io.BytesIO()
    for piece in decompressed(io.BytesIO(frame), size=size, limit=limit):
        content.write(piece)
    # Not a copy: the bytes are those that were written.
    return content.getvalue()


def decompressed(frame: BinaryIO, *, size: int | None = None, limit: int | None = None) -> Iterator[bytes]:
    """Yield the content of a file that is one frame, a piece at a time; see `decompress`."""
    try:
        declared = zstandard.get_frame_parameters(frame.read(_LONGEST_HEADER))
        if (limit is not None and declared.content_size > limit) or (
            size is not None and declared.content_size != size
        ):
            raise ValueError(f"the frame declares {declared.content_size} bytes of content")
        if declared.window_size > _WINDOW_LIMIT:
            raise ValueError(f"the frame asks for a window of {declared.window_size} bytes")
        # Not decompress(): it believes the declared size, and max_output_size does not bind it then.
        if _frame_size(frame, has_checksum=declared.has_checksum) != frame.seek(0, io.SEEK_END):
            raise ValueError("it is more, or less, than one whole frame")
        frame.seek(0)
        reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT).stream_reader(frame, closefd=False)
        # In pieces: room for what a frame only declares to hold must not be made before it turns up.
        left = declared.content_size
        while piece := reader.read(min(_READ_BYTES, left + 1)):
            left -= len(piece)
            if left < 0:
                break
            yield piece
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if left:
        raise ValueError(f"the frame holds other than the {declared.content_size} bytes that it declares")


def _frame_size(frame: BinaryIO, *, has_checksum: bool) -> int:
    """Return where the first frame ends, by its block headers (RFC 8878, 3.1.1.2).

    The stream reader would not do: it takes a frame cut short in its checksum, and an empty one after it, for good.

    Raises:
        ValueError: it ends before its last block.
    """
    frame.seek(0)
    position = frame.seek(zstandard.frame_header_size(frame.read(_LONGEST_HEADER)))
    last = False
    while not last:
        header = frame.read(3)
        if len(header) < 3:
            raise ValueError("the frame is cut short")
        block = int.from_bytes(header, "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        if kind == _RESERVED_BLOCK:
            raise ValueError("the frame holds a block of an unknown kind")
        position = frame.seek(position + 3 + (1 if kind == _RLE_BLOCK else size))
    return position + (4 if has_checksum else 0)
