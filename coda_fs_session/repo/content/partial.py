"""What can be read of a session some of whose objects have not arrived."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...errors import CorruptionError, ObjectNotYetHereError
from ...format.tree import Entry
from .messages import MessageList
from .state import State


@dataclass(frozen=True, slots=True, eq=False)
class PartialSource:
    """The live messages of a head that can be read, in their order; the others are left out.

    Attributes:
        ranges: positions in the head's list, from one up to another; missing: how many messages lie between.
    """

    head: State
    ranges: Sequence[range]
    missing: int

    @classmethod
    def of(cls, head: State) -> PartialSource:
        """Find what can be read by reading it, a chunk in memory at a time."""
        found: list[range] = []
        for start, stop in _readable(head.messages):
            start = max(start, head.start)
            if start >= stop:
                continue
            if found and found[-1].stop == start:
                start = found.pop().start
            found.append(range(start, stop))
        return cls(head, found, head.live_count - sum(map(len, found)))

    def __len__(self) -> int:
        return sum(map(len, self.ranges))

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        for piece in self._pieces(start, stop):
            yield from self.head.messages.read(piece.start, piece.stop)

    def size(self, start: int, stop: int) -> int:
        return sum(len(line) + 1 for line in self.read(start, stop))

    def mark(self, count: int) -> str:
        return f"{self.head.last_id} {self.ranges} {count}"

    def _pieces(self, start: int, stop: int) -> Iterator[range]:
        for piece in self.ranges:
            part = piece[max(start, 0) : max(stop, 0)]
            if part:
                yield part
            start, stop = start - len(piece), stop - len(piece)


@dataclass(slots=True)
class _Walk:
    messages: MessageList
    position: int = 0
    found: list[tuple[int, int]] = field(default_factory=list)

    def over(self, entries: Sequence[Entry], height: int) -> None:
        for entry in entries:
            end = self.position + entry.messages
            try:
                if height:
                    below = self.messages.objects.node(entry)
                else:
                    self.messages.objects.chunk(entry)
                    self.found.append((self.position, end))
            except (ObjectNotYetHereError, CorruptionError):
                # Also one that does not hold what it should: a tool may still be writing it.
                below = []
            if height:
                self.over(below, height - 1)
            self.position = end


def _readable(messages: MessageList) -> list[tuple[int, int]]:
    """Return from where to where messages can be read, hidden ones included."""
    walk = _Walk(messages)
    spine = messages.base.spine
    for height in range(len(spine.levels) - 1, -1, -1):
        walk.over(spine.levels[height], height)
    try:
        for _ in messages.read(spine.messages, messages.base.messages):
            pass
        walk.found.append((spine.messages, messages.base.messages))
    except (ObjectNotYetHereError, CorruptionError):
        pass
    walk.found.append((messages.base.messages, messages.count))
    return walk.found
