"""The first words of a session for a list, found by reading as little of it as that takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ...errors import SessionError
from ...format.jsonl import decode
from ...format.tree import chunks
from ...session.info import SEARCHED
from ...session.shapes import preview, role
from ..content.state import State

_MOST_BYTES = 4 * 2**20
"""What is read for one line at most: anybody may have written a message of any size."""


class Shown(NamedTuple):
    """The last fields of a `Row`, which are these."""

    first: str | None
    last: str | None
    role: str | None
    is_previewed: bool


def preview_of(head: State) -> Shown:
    """Return what a list shows of a state; not `is_previewed` where something cannot be read now."""
    if head.has_all_inline:
        lines = head.messages.lines
        return _shown(lines[:SEARCHED], lines[-1:])
    is_known = True
    first, end = Shown(None, None, None, True), Shown(None, None, None, True)
    try:
        first = _shown(_front(head), ())
    except SessionError:
        is_known = False
    try:
        end = _shown((), _end(head))
    except SessionError:
        is_known = False
    return Shown(first.first, end.last, end.role, is_known)


def _shown(front: Iterable[bytes], end: Iterable[bytes]) -> Shown:
    first = last = said_by = None
    for line in front:
        message = _message(line)
        if role(message) == "user":
            first = preview(message)
            break
    for line in end:
        message = _message(line)
        last, said_by = preview(message), role(message)
    return Shown(first, last, said_by, True)


def _front(head: State) -> Iterator[bytes]:
    """Yield the first messages of a session."""
    messages, start, size = head.messages, head.start, 0
    spine = messages.base.spine
    stop = min(start + SEARCHED, head.count)
    for position, entry in chunks(spine, start, min(stop, spine.messages), messages.objects.node):
        size += entry.bytes
        if size > _MOST_BYTES:
            return
        yield from messages.read(max(position, start), min(position + entry.messages, stop))
    yield from messages.read(max(start, spine.messages), stop)


def _end(head: State) -> Iterator[bytes]:
    """Yield the last message of a session, if it has one and is of a usual size."""
    messages, stop = head.messages, head.count
    if head.live_count and messages.weight(stop - 1, stop) <= _MOST_BYTES:
        yield from messages.read(stop - 1, stop)


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = decode(line)
    except (ValueError, RecursionError):
        # Another program has written it. Who loads the session is told.
        return {}
    return message if isinstance(message, dict) else {}
