"""What has the saved messages, and how those in memory differ from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from ..format.chunks import size_of
from .prints import front_dropped


class MessageSource(Protocol):
    """Saved messages, read when they are needed; positions are those of the live messages."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield message lines without newlines."""
        ...

    def size(self, start: int, stop: int) -> int:
        """Return the size in bytes of these messages as lines with newlines."""
        ...

    def mark(self, count: int) -> str:
        """Return a text that names the first `count` messages: where it is the same, so are they."""
        ...


class HeldMessages(NamedTuple):
    """The messages of a session at some moment: a live list, or ``source[first:last] + added``."""

    live: list[dict[str, Any]] | None
    source: MessageSource | None
    first: int
    last: int
    added: list[bytes]


class Splice(NamedTuple):
    """How the live messages differ from the `saved` ones: ``saved[drop:keep] + lines + saved[resume:]``.

    Attributes:
        size: bytes of the resulting messages as lines with newlines.
    """

    drop: int
    keep: int
    lines: list[bytes]
    resume: int
    saved: int
    size: int

    @property
    def appends(self) -> bool:
        """True when everything saved stays and at most something is added at the end."""
        return self.drop == 0 and self.keep == self.saved

    @property
    def empty(self) -> bool:
        return self.appends and not self.lines

    def result_count(self) -> int:
        return self.keep - self.drop + len(self.lines) + self.saved - self.resume


def between(source: MessageSource | None, saved: int, first: int, same: int, lines: list[bytes]) -> Splice:
    """Find how messages differ from all that are saved, reading these from the first one that may differ.

    Args:
        source: what has the `saved` ones.
        first, same: from the saved message `first` on, `same` of them are known to be at the front.
        lines: those that follow.
    """
    old = list(source.read(first + same, saved)) if source is not None else []
    shorter = min(len(old), len(lines))
    prefix = next((i for i in range(shorter) if old[i] != lines[i]), shorter)
    if same + prefix == 0 and lines:
        front = front_dropped(old, lines)
        if front:
            return _splice(source, first + front, saved, lines[len(old) - front :], saved, saved)
    if same == 0 and not lines:
        return _splice(source, saved, saved, [], saved, saved)
    rest = shorter - prefix
    suffix = next((i for i in range(rest) if old[-1 - i] != lines[-1 - i]), rest)
    return _splice(source, first, first + same + prefix, lines[prefix : len(lines) - suffix], saved - suffix, saved)


def _splice(source: MessageSource | None, drop: int, keep: int, lines: list[bytes], resume: int, saved: int) -> Splice:
    size = size_of(lines)
    if source is not None:
        size += source.size(drop, keep) + source.size(resume, saved)
    return Splice(drop, keep, lines, resume, saved, size)
