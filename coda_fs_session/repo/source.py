"""The saved messages of a session, read when its working copy needs them."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import SessionTooLargeError
from .content.state import Cursor, State
from .repository import NO_LIMIT


class CursorSource:
    """The live messages of the state that a session stands on.

    Attributes:
        most_bytes: what is not read at once: somebody else may have written it, and a small file can hold any size.
    """

    __slots__ = ("cursor", "most_bytes")

    def __init__(self, cursor: Cursor, most_bytes: int = NO_LIMIT) -> None:
        self.cursor = cursor
        self.most_bytes = most_bytes

    def __len__(self) -> int:
        return self.cursor.state.live_count

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        head = self.cursor.state
        refuse_too_large(head, head.start + start, head.start + stop, self.most_bytes)
        return head.messages.read(head.start + start, head.start + stop)

    def size(self, start: int, stop: int) -> int:
        if start == 0 and stop == len(self):
            return self.cursor.state.live_bytes
        if start >= stop:
            return 0
        messages, first = self.cursor.state.messages, self.cursor.state.start
        return messages.bytes_before(first + stop) - messages.bytes_before(first + start)

    def mark(self, count: int) -> str:
        state = self.cursor.state
        return state.messages.chain_at(state.start + count)


def refuse_too_large(head: State, start: int, stop: int, most_bytes: int) -> None:
    """Refuse to read messages that have more bytes than a session may.

    Raises:
        SessionTooLargeError: they have.
        StoreError: a list node is missing or damaged.
    """
    if head.live_bytes > most_bytes and (size := head.messages.weight(start, stop)) > most_bytes:
        raise SessionTooLargeError(
            f"the messages of session {head.name!r} to be read have {size / 2**20:.0f} MB, more than max_session_size "
            f"({most_bytes / 2**20:g} MB): raise the option (0 reads all), or read fewer"
        )
