"""Marks: when the messages of a list came, kept where the saves are no lines any more (FORMAT.md, "Marks")."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .records import LARGEST_COUNT, count, decode_time, typed

EXACT = 16
"""The newest saves, each of which has a mark of its own."""

_KEPT = 32
"""Marks of older saves that are kept at most."""

_TIMES = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T(?!24)[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}\+00:00)*")


class Mark(NamedTuple):
    """A moment in the life of a list of messages.

    Attributes:
        messages: how many there were, hidden ones included; time: of the save that led there.
        saves: how many saves led there from the mark before; 0 where the list began with these messages.
    """

    messages: int
    time: str
    saves: int = 1

    def to_json(self) -> list[object]:
        return [self.messages, self.time] if self.saves == 1 else [self.messages, self.time, self.saves]


def decode_marks(value: Any) -> tuple[Mark, ...]:
    """Raises ValueError when `value` are no marks, or they do not ascend."""
    marks = []
    last = -1
    for item in typed(value, list, "marks"):
        messages, time, *saves = typed(item, list, "a mark")
        if count(messages) <= last or len(saves) > 1:
            raise ValueError("marks must be [messages, time] or [messages, time, saves], with ever more messages")
        last = messages
        marks.append(Mark(messages, typed(time, str, "a time"), *map(count, saves)))
    times = [mark.time for mark in marks]
    if _TIMES.fullmatch("".join(times)) is None or any(time[:4] in ("0001", "9999") for time in times):
        # One after the other, to say what is wrong.
        list(map(decode_time, times))
    # To read a header is to check up to 50 of them, and this is all that the form leaves to be asked.
    list(map(datetime.fromisoformat, times))
    return tuple(marks)


def thinned(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Return the first mark, the newest ones, and between them ever fewer the older they are.

    What is left out counts in the one after it. An older mark is kept if it is the newest of its cell. A cell is as
    long as it is far from the end, rounded down to a power of two, and begins at a multiple of that. So two cells
    become one later on, and marks that were kept stay as long as they can.
    """
    if len(marks) <= EXACT + 1:
        return tuple(marks)
    first, older, newest = marks[0], marks[1:-EXACT], marks[-EXACT:]
    end = marks[-1].messages
    kept: list[Mark] = []
    last = (0, -1)
    for mark in reversed(older):
        length = 1 << (end - mark.messages).bit_length() - 1
        cell = length, mark.messages // length
        if cell != last and len(kept) < _KEPT:
            kept.append(mark)
            last = cell
        else:
            # They are met newest first: the one kept last comes right after this one.
            # Other programs may claim so many that their sum could not be read again.
            kept[-1] = kept[-1]._replace(saves=min(kept[-1].saves + mark.saves, LARGEST_COUNT))
    return (first, *reversed(kept), *newest)
