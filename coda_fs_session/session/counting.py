"""The count of one session's tokens, kept so that the next one costs what is new."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from ..errors import InvalidMessageError
from ..format.jsonl import decode, encode_message
from .shapes import CHARACTERS_PER_TOKEN, counted_text
from .splice import HeldMessages, MessageSource

Counters: TypeAlias = tuple[Callable[[str], int] | None, Callable[[dict[str, Any]], int] | None]
"""A program's own: one of the text of a message, and one of a message; at most one is there."""

_FAR, _NEAR = 4096, 256
"""Messages between two marks; between those near the end, which is cut off more often than the rest changes."""


def amount_of(message: dict[str, Any], counters: Counters) -> int:
    """Return what is counted of a message, which a counter of messages may change: its tokens, or characters of text.

    See `tokens`.
    """
    of_text, of_message = counters
    if of_message is not None:
        return of_message(message)
    text = counted_text(message)
    return len(text) if of_text is None else of_text(text)


def tokens(amount: int, counters: Counters) -> int:
    """Return how many tokens an amount of one or several messages is."""
    return -(-amount // CHARACTERS_PER_TOKEN) if counters == (None, None) else amount


class _Mark(NamedTuple):
    """A position, what names the messages before it, and what was counted from the first one up to it."""

    position: int
    name: str
    amount: int


class TokenCount:
    """The count of one session's tokens.

    Saved messages are counted as they are read, and never all in memory. What is known of them are marks: as long as
    the messages before a mark go by the same name, only those after it are counted.

    Attributes:
        counters: those that it counts with.
    """

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self._first = 0
        self._marks: list[_Mark] = []
        # Amounts by the hash of a line, or of a text of the live list: of what was not saved when it was counted.
        self._known: dict[int, int] = {}

    def total(self, held: HeldMessages) -> int:
        """Return how many tokens these messages have.

        Raises:
            StoreError: one cannot be read.
        """
        if held.live is not None:
            return tokens(self._of_live(held.live), self.counters)
        known: dict[int, int] = {}
        amount = self._of_saved(held) + sum(self._amounts(held.added, known))
        self._known = known
        return tokens(amount, self.counters)

    def _of_saved(self, held: HeldMessages) -> int:
        source, first, last = held.source, held.first, held.last
        if source is None or first >= last:
            return 0
        marks = self._still_good(source, first, last) or [_Mark(first, "", 0)]
        position, _, amount = marks[-1]
        for each in self._amounts(source.read(position, last), None):
            position, amount = position + 1, amount + each
            if _is_kept(position, last):
                marks.append(_Mark(position, source.mark(position), amount))
        self._first, self._marks = (
            first,
            [mark for mark in marks if mark.position == first or _is_kept(mark.position, last)],
        )
        return amount

    def _still_good(self, source: MessageSource, first: int, last: int) -> list[_Mark]:
        """Return the marks before which the messages are those that were counted."""
        if first != self._first:
            return []
        marks = self._marks[: bisect_right(self._marks, last, key=lambda mark: mark.position)]

        def differs(mark: _Mark) -> bool:
            return mark.position > first and source.mark(mark.position) != mark.name

        if marks and differs(marks[-1]):
            # All before a change are good, none after it is.
            marks = marks[: bisect_right(marks, False, hi=len(marks) - 1, key=differs)]
        return marks

    def _amounts(self, lines: Iterable[bytes], known: dict[int, int] | None) -> Iterator[int]:
        """Yield what is counted of each line; `known` takes it in."""
        if known is None and not self._known:
            # The first count goes through all there is.
            yield from (amount_of(decode(line), self.counters) for line in lines)
            return
        for line in lines:
            key = hash(line)
            amount = self._known.get(key)
            if amount is None:
                amount = amount_of(decode(line), self.counters)
            if known is not None:
                known[key] = amount
            yield amount

    def _of_live(self, live: list[dict[str, Any]]) -> int:
        of_text, of_message = self.counters
        if of_message is not None:
            return self._of_values(live, _line_or_none, lambda line, message: of_message(_copy(line, message)))
        if of_text is not None:
            return self._of_values(live, counted_text, lambda text, _: of_text(text))
        # To tell what has changed would take as long.
        return sum(amount_of(message, self.counters) for message in live)

    def _of_values(
        self, live: list[dict[str, Any]], value_of: Callable[[dict[str, Any]], Any], count: Callable[[Any, Any], int]
    ) -> int:
        """Count the messages of a live list; a counter is asked only about values that it was not given last time."""
        known: dict[int, int] = {}
        total = 0
        for message in live:
            value = value_of(message)
            key = hash(value)
            amount = self._known.get(key) if value is not None else None
            if amount is None:
                amount = count(value, message)
            if value is not None:
                known[key] = amount
            total += amount
        self._known = known
        return total


def _is_kept(position: int, last: int) -> bool:
    return position == last or position % _FAR == 0 or (position % _NEAR == 0 and last - position < _FAR)


def _line_or_none(message: dict[str, Any]) -> bytes | None:
    try:
        return encode_message(message, "message")
    except InvalidMessageError:
        return None


def _copy(line: bytes | None, message: dict[str, Any]) -> Any:
    return copy.deepcopy(message) if line is None else decode(line)
