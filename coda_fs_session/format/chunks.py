"""Where a run of messages is cut into chunks (FORMAT.md, "Cuts").

Content-defined chunking in the manner of restic and borg, at message boundaries: whether a chunk ends
after a message depends only on the messages since the last cut, so equal runs of messages give equal
chunks whoever saved them and in whatever steps, and an edit changes one chunk or two.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple
from zlib import crc32


class Sizes(NamedTuple):
    """The format's numbers, as parameters so that tests can have every structure in a small store.

    All sizes are bytes of message lines with their newlines. Writers use the defaults; readers need not know.
    """

    minimum: int = 32 * 1024
    """No hash ends a chunk before it holds this much."""
    spread: int = 144 * 1024
    """Scale of the hash test; with the other sizes it gives chunks of 128 KiB on average."""
    large: int = 64 * 1024
    """A message of this size or more is a chunk of its own."""
    full: int = 192 * 1024
    """A chunk that has reached this ends, so that none passes `full + large` = 256 KiB (large messages apart)."""
    fan_out: int = 32
    """Entries in a list node."""
    deferred: int = 16 * 1024
    """After a tail object so much may stand in saves before a cut among them is made: see FORMAT.md, "Cuts"."""


STANDARD = Sizes()

LARGEST_RUN = STANDARD.full + STANDARD.large
"""Bytes that no chunk of several messages has, and no tail object; a reader refuses larger ones."""


def closes(line: bytes, size: int, sizes: Sizes) -> bool:
    """Tell whether a chunk ends after this message, looking at nothing that follows.

    Args:
        line: the message line without its newline.
        size: bytes since the last cut, this line and its newline included.
    """
    length = len(line) + 1
    if length >= sizes.large or size >= sizes.full:
        return True
    # The chance is proportional to the line's length: the average chunk size does not depend on message sizes.
    return size >= sizes.minimum and crc32(line) * sizes.spread < length << 32


def holds_cut(lines: Iterable[bytes], sizes: Sizes, *, after: int = 0) -> bool:
    """Tell whether a chunk ends after one of these messages.

    Args:
        after: bytes between the last cut and the first line.
    """
    size = after
    for line in lines:
        length = len(line) + 1
        size += length
        # The first test spares most lines the whole rule.
        if (size >= sizes.minimum or length >= sizes.large) and closes(line, size, sizes):
            return True
    return False


def split(lines: Iterable[bytes], sizes: Sizes, *, pending: Iterable[bytes] = ()) -> Iterator[tuple[list[bytes], bool]]:
    """Cut message lines into runs.

    Args:
        lines: message lines without newlines.
        pending: the lines since the last cut, before `lines`; they are known to hold no cut.

    Yields:
        Each run with True where a chunk ends after it, and at last, with False, what stays in the tail
        (left out when nothing does).
    """
    minimum, spread, large, full = sizes.minimum, sizes.spread, sizes.large, sizes.full
    run = list(pending)
    size = size_of(run)
    for line in lines:
        length = len(line) + 1
        if length >= large and run:
            yield run, True
            run, size = [], 0
        run.append(line)
        size += length
        # `closes`, spelled out: a big save is this loop.
        if size >= full or length >= large or (size >= minimum and crc32(line) * spread < length << 32):
            yield run, True
            run, size = [], 0
    if run:
        yield run, False


def size_of(lines: Collection[bytes]) -> int:
    """Return the size of message lines, each with its newline."""
    return sum(map(len, lines)) + len(lines)


def join(lines: Iterable[bytes]) -> bytes:
    """Return the bytes of a chunk: each line with its newline."""
    return b"\n".join([*lines, b""])
