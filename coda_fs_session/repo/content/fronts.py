"""How much of two lists of messages is the same, told by their trees before anything else is read.

Where messages have expired, nobody can tell, and the lists count as parted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from operator import eq
from typing import NamedTuple

from ...errors import ObjectNotYetHereError
from ...format.tree import Entry, common_messages
from .messages import MessageList


class Reading(NamedTuple):
    """How a list is read to be compared.

    Attributes:
        node: returns the entries of a list node; lines: yields as `MessageList.told_apart`.
    """

    node: Callable[[Entry], list[Entry]]
    lines: Callable[[int, int], Iterator[bytes]]

    @classmethod
    def plain(cls, messages: MessageList) -> Reading:
        """Return how a list is read up to what has expired."""
        objects = messages.objects

        def node(entry: Entry) -> list[Entry]:
            try:
                return objects.node(entry)
            except ObjectNotYetHereError as error:
                if objects.has_expired(error):
                    return []
                raise

        def lines(start: int, stop: int) -> Iterator[bytes]:
            try:
                yield from messages.told_apart(start, stop)
            except ObjectNotYetHereError as error:
                if not objects.has_expired(error):
                    raise

        return cls(node, lines)


def common_front(
    one: MessageList,
    other: MessageList,
    limit: int | None = None,
    readings: tuple[Reading, Reading] | None = None,
) -> int:
    """Count the messages with which two lists begin alike, reading little more than where they part.

    Args:
        limit: as many at most.

    Raises:
        StoreError: an object is missing or damaged that decides it.
    """
    limit = min(one.count, other.count) if limit is None else limit
    here, there = readings or (Reading.plain(one), Reading.plain(other))
    spines = one.base.spine, other.base.spine
    common = common_messages(*spines, here.node, there.node)
    if spines[0].messages == spines[1].messages == common and one.base.tail == other.base.tail:
        common = one.base.messages
    common = min(common, limit)
    equal: Iterator[bool] = map(eq, here.lines(common, limit), there.lines(common, limit))
    return common + sum(takewhile(bool, equal))
