"""Merging two lists of messages that began as one: by message, not by place.

A message is its line, and how often the same line came before it in its list. So nothing can double, and nothing that
only one side has can vanish, in whatever order lists are merged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Literal, NamedTuple

from ...format.jsonl import decode

Strategy = Literal["append", "interleave", "ours", "theirs"]
STRATEGIES: tuple[Strategy, ...] = ("append", "interleave", "ours", "theirs")

TIMES = ("timestamp", "created_at", "time")
"""Where a message may say when it was written."""

_LARGEST_SECONDS = 10**11
"""A larger number of a message's time counts milliseconds."""


class Message(NamedTuple):
    """A message of a list.

    Attributes:
        number: how often the line came before it.
    """

    line: bytes
    number: int


class Merged(NamedTuple):
    """What two lists were merged to.

    Attributes:
        interleaved: messages of both sides were put in the order of their times.
    """

    messages: list[Message]
    interleaved: bool = False


def numbered(lines: Iterable[bytes]) -> list[Message]:
    """Return the messages of some lines."""
    seen: Counter[bytes] = Counter()
    found = []
    for line in lines:
        found.append(Message(line, seen[line]))
        seen[line] += 1
    return found


def merge(
    base: Iterable[Message], ours: Sequence[Message], theirs: Sequence[Message], strategy: Strategy = "append"
) -> Merged:
    """Merge two lists of messages.

    What either side took away since the base is gone. What either added is there, once. What theirs added comes after
    the message that it came after there, and after what ours added at that place.

    Args:
        base: what both sides began with.
        strategy: for the places where both added something. "append" has ours before theirs, "interleave" has them in
            the order of their times, if all of these messages have one. "ours" and "theirs" leave the others' out.
    """
    known = _Sides(frozenset(base), frozenset(ours), frozenset(theirs))
    places = _added(ours, known), _added(theirs, known)
    both = [place for place, added in places[0].items() if added and places[1].get(place)]
    contested = [message for side in places for place in both for message in side[place]]
    timed = strategy == "interleave" and bool(both) and all(moment_of(each.line) is not None for each in contested)
    found: list[Message] = []
    for place in (None, *filter(known.stays_in_both, ours)):
        if place is not None:
            found.append(place)
        added, added_there = places[0].get(place, []), places[1].get(place, [])
        if added and added_there:
            if strategy == "ours":
                added_there = []
            elif strategy == "theirs":
                added = []
            elif timed:
                added, added_there = list(_by_time(added, added_there)), []
        found += added
        found += added_there
    return Merged(found, timed)


class _Sides(NamedTuple):
    base: frozenset[Message]
    ours: frozenset[Message]
    theirs: frozenset[Message]

    def stays_in_both(self, message: Message) -> bool:
        return message in self.ours and message in self.theirs


def _added(side: Iterable[Message], known: _Sides) -> dict[Message | None, list[Message]]:
    """Return what a side alone added, by the message before it that both have."""
    place: Message | None = None
    added: dict[Message | None, list[Message]] = {None: []}
    for message in side:
        if known.stays_in_both(message):
            place = message
            added[place] = []
        elif message not in known.base:
            added[place].append(message)
    return added


def moment_of(line: bytes) -> float | None:
    """Return when a message says that it was written, in seconds since 1970 UTC; None where it does not say.

    A time without a zone is taken for UTC, so that all machines put messages in one order.
    """
    fields: dict[str, Any] = decode(line)
    for name in TIMES:
        value: Any = fields.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value / 1000 if abs(value) > _LARGEST_SECONDS else float(value)
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            except (ValueError, OverflowError):
                continue
    return None


def _by_time(one: Sequence[Message], other: Sequence[Message]) -> Iterator[Message]:
    """Yield the messages of two sides in the order of their times; each side stays in its own order.

    Nothing depends on which side is which: two machines that merge in opposite directions get one order.
    """
    sides = [one, other] if list(one) <= list(other) else [other, one]
    # An answer that has an earlier time than its question still comes after it.
    moments = [list(accumulate((moment_of(message.line) or 0.0 for message in side), max)) for side in sides]
    places = [0, 0]
    while places[0] < len(sides[0]) and places[1] < len(sides[1]):
        first = 0 if moments[0][places[0]] <= moments[1][places[1]] else 1
        yield sides[first][places[first]]
        places[first] += 1
    for side, place in zip(sides, places, strict=True):
        yield from side[place:]
