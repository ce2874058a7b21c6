"""The first words of a session for a list, found by reading as little of it as that takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import SessionError
from ...format.jsonl import decode
from ...format.tree import chunks
from ...session.info import SEARCHED
from ...session.shapes import preview, role
from ..content.state import State
from .rows import Row

_MOST_BYTES = 4 * 2**20
"""What is read for one line at most: anybody may have written a message of any size."""


def with_preview(row: Row, head: State) -> Row:
    """Return the row of a state with its preview; not `is_previewed` where something cannot be read now."""
    is_known = True
    said: str | None = None
    try:
        said = next((preview(each) for each in map(_message, _front(head)) if role(each) == "user"), None)
    except SessionError:
        is_known = False
    last: dict[str, Any] | None = None
    try:
        last = next(map(_message, _end(head)), None)
    except SessionError:
        is_known = False
    if last is not None:
        row = row._replace(last=preview(last), role=role(last))
    return row._replace(first=said, is_previewed=is_known)


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
