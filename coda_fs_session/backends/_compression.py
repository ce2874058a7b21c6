"""Objects as single zstd frames, read without trusting what the frame says of itself."""

from __future__ import annotations

import io

import zstandard

LEVEL = 3
_WINDOW_LIMIT = 8 * 1024 * 1024


def compress(data: bytes) -> bytes:
    """Return one frame with checksum and content size."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True).compress(data)


def largest_frame(size: int) -> int:
    """Return how many bytes a frame of `size` bytes of content may take up at the most, generously."""
    return size + size // 128 + 1024


def decompress(frame: bytes, *, size: int | None, limit: int) -> bytes:
    """Return a frame's content, never holding more than `limit` bytes of it.

    Args:
        size: the content size that the frame must declare, None for any within `limit`.

    Raises:
        ValueError: the frame is broken, or declares or holds another size.
    """
    try:
        declared = zstandard.get_frame_parameters(frame)
        if declared.content_size > limit or (size is not None and declared.content_size != size):
            raise ValueError(f"the frame declares {declared.content_size} bytes of content")
        if declared.window_size > _WINDOW_LIMIT:
            raise ValueError(f"the frame asks for a window of {declared.window_size} bytes")
        # Not decompress(): it believes the declared size, and max_output_size does not bind it then.
        reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT).stream_reader(
            io.BytesIO(frame), read_across_frames=True
        )
        data = reader.read(declared.content_size + 1)
        while len(data) <= declared.content_size and (more := reader.read(declared.content_size + 1 - len(data))):
            data += more
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if len(data) != declared.content_size:
        raise ValueError(f"the frame holds other than the {declared.content_size} bytes that it declares")
    return bytes(data)
