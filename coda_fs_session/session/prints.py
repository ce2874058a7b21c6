"""Finding out what has changed in a list of messages that callers edit in place."""

from __future__ import annotations

import copy
import marshal
from collections.abc import Iterator
from typing import Any, TypeAlias

from ..errors import UnsupportedError
from ..format.jsonl import all_plain, encode_all, encode_unchecked, trimmed

_MARSHAL_VERSION = 2
"""Types and values exactly, no references and no interning: equal lists give equal bytes."""
_QUICK_VERSION = 4
"""As exact, and faster, but equal lists give equal bytes only as long as nobody holds other parts of them."""
BLOCK = 256
"""Messages in one print: few enough for it to be made in the processor's cache."""
_FRONT_CANDIDATES = 16


def keeping(replaced: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return `fresh` with the objects of `replaced` that hold the same at the same place, or at the end."""
    count = len(replaced)
    front = _alike(replaced, fresh)
    end = _alike(replaced[front:][::-1], fresh[front:][::-1])
    between = [
        before if _alike([before], [now]) else now
        for before, now in zip(replaced[front : count - end], fresh[front : len(fresh) - end], strict=False)
    ]
    return [
        *replaced[:front],
        *between,
        *fresh[front + len(between) : len(fresh) - end],
        *replaced[count - end :],
    ]


def _alike(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> int:
    """Return how many messages at the front of two lists hold the same, types and key order included."""
    for start in range(0, min(len(one), len(other)), BLOCK):
        stop = min(start + BLOCK, len(one), len(other))
        if _data_of(one[start:stop]) == _data_of(other[start:stop]) is not None:
            continue
        for place in range(start, stop):
            if (data := _data_of(one[place])) is None or data != _data_of(other[place]):
                return place
    return min(len(one), len(other))


def _data_of(value: Any) -> bytes | None:
    try:
        return marshal.dumps(value, _MARSHAL_VERSION)
    except (ValueError, TypeError):
        return None


def front_dropped(saved: list[bytes], lines: list[bytes]) -> int:
    """Return how many messages were taken from the front, if that (and appending) is all that happened, else 0."""
    candidates = 0
    for front in range(1, len(saved)):
        if saved[front] == lines[0]:
            if saved[front:] == lines[: len(saved) - front]:
                return front
            candidates += 1
            if candidates == _FRONT_CANDIDATES:
                break
    return 0


class Print:
    """What a run of messages held at some moment, types and key order included.

    JSON text would not do: it cannot tell NaN from null, nor a tuple from a list.
    """

    __slots__ = ("_bytes", "count")

    def __init__(self, count: int, data: bytes) -> None:
        self.count = count
        self._bytes = data

    def matches(self, messages: list[Any]) -> bool:
        """Tell whether these hold the same."""
        try:
            data = marshal.dumps(messages, _QUICK_VERSION)
            if data == self._bytes:
                return True
            before = marshal.dumps(marshal.loads(self._bytes), _MARSHAL_VERSION)
            if marshal.dumps(marshal.loads(data), _MARSHAL_VERSION) != before:
                return False
        except (ValueError, TypeError):
            return False
        # Others hold other parts now: the next look is to be as quick as ever.
        self._bytes = data
        return True

    def messages(self) -> list[Any]:
        """Return what they held."""
        held: list[Any] = marshal.loads(self._bytes)
        return held


FoundMessages: TypeAlias = tuple[int, list[Print | None]]
"""How many messages there were when changes were looked for, and the prints of those in the live list.

What comes into a session since then is no part of the save.
"""


def _print_of(messages: list[Any]) -> Print | None:
    try:
        return Print(len(messages), marshal.dumps(messages, _QUICK_VERSION))
    except (ValueError, TypeError):
        return None


def prints_of(messages: list[Any]) -> list[Print | None]:
    """Return the prints of messages, block by block; None for one that has a value of none of the plain types."""
    return [_print_of(messages[start : start + BLOCK]) for start in range(0, len(messages), BLOCK)]


def lines_of(prints: list[Print | None], count: int) -> Iterator[bytes]:
    """Return what so many messages held as lines.

    Raises:
        UnsupportedError: there is no print of some.
    """
    held = [message for print_ in prints if print_ is not None for message in print_.messages()]
    if len(held) != count:
        raise UnsupportedError("what is stored held values of other types than JSON has: reload() the session first")
    return encode_unchecked(held)


def encode_block(block: list[Any], start: int, *, skip: int = 0) -> tuple[list[bytes], Print | None]:
    """Return the lines of all but the first `skip` messages, and the print of all of them at that moment.

    Args:
        start: the position of the first one.

    Raises:
        InvalidMessageError: a message would not come back as it went in.
    """
    try:
        # The lines are written from the print, which one call takes: under autosave, another thread may take something
        # out of a message and put it back, and what was written down meanwhile must not pass for what is there then.
        data = marshal.dumps(block, _QUICK_VERSION)
        new = marshal.loads(data)[skip:]
        lines = list(encode_unchecked(new))
    except (TypeError, ValueError):
        return encode_all(block[skip:], start + skip), None
    if not all_plain(new):
        return encode_all(block[skip:], start + skip), None
    return trimmed(lines), Print(len(block), data)


def encode_by_block(messages: list[Any], prints: list[Print | None]) -> Iterator[bytes]:
    """Yield the lines of messages, and put the prints of those that were yielded into a list.

    Raises:
        InvalidMessageError: a message would not come back as it went in.
    """
    for start in range(0, len(messages), BLOCK):
        lines, print_ = encode_block(messages[start : start + BLOCK], start)
        prints.append(print_)
        yield from lines


def printed(prints: list[Print | None], messages: list[Any]) -> int:
    """Return how many messages at the front are known to be those of the prints."""
    same = 0
    for print_ in prints:
        if print_ is None or not print_.matches(messages[same : same + print_.count]):
            break
        same += print_.count
    return same


def encode_from(
    prints: list[Print | None], messages: list[Any], same: int
) -> tuple[list[bytes], list[Print | None]] | None:
    """Return the lines of all but the first `same` messages, and the prints of all; None where these have changed.

    Args:
        same: see `printed`.

    Raises:
        InvalidMessageError: a message would not come back as it went in.
    """
    known = prints[: -(-same // BLOCK)]
    start, partial = same, None
    if same < len(messages) and same % BLOCK:
        # A block that is not full yet gets a new print together with what follows it.
        start, partial = same - same % BLOCK, known.pop()
    lines: list[bytes] = []
    for first in range(start, len(messages), BLOCK):
        block, print_ = encode_block(messages[first : first + BLOCK], first, skip=max(same - first, 0))
        lines += block
        known.append(print_)
    if partial is not None and not partial.matches(messages[start:same]):
        return None
    return lines, known


def copies(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return deep copies of messages."""
    try:
        copied: list[dict[str, Any]] = marshal.loads(marshal.dumps(messages, _MARSHAL_VERSION))
    except (ValueError, TypeError):
        return copy.deepcopy(messages)
    return copied
