"""What has the saved messages, and how those in memory differ from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class MessageSource(Protocol):
    """Saved messages, read when they are needed; positions are those of the live messages."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield message lines without newlines."""
        ...

    def size(self, start: int, stop: int) -> int:
        """Return the size in bytes of these messages as lines with newlines."""
        ...


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
