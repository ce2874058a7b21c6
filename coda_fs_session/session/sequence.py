"""The messages of a session as a sequence: a part of them is read at the cost of that part."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from operator import index
from typing import Any, NoReturn, overload

from .state import SessionState

_READ_BACK = 64
"""Messages that are read at a time, going backwards."""


class MessageSequence:
    """What can be read of a session without loading all of it."""

    _state: SessionState
    _lock: threading.RLock

    def __len__(self) -> int:
        return len(self._state.copy)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield deep copies of the messages in order; of what is saved, one chunk at a time is in memory."""
        return self.iter_messages()

    @overload
    def __getitem__(self, position: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, position: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, position: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """Return a deep copy of the message at a position, or of those of a slice, reading only what is asked for."""
        with self._lock:
            count = len(self)
            if isinstance(position, slice):
                wanted = range(*position.indices(count))
                forward = wanted if wanted.step > 0 else wanted[::-1]
                found = self._state.copy.part(forward)
                return found if wanted is forward else found[::-1]
            place = index(position)
            if not -count <= place < count:
                raise IndexError(f"session {self._state.name!r} has {count} messages: there is no message {place}")
            place %= count
            return self._state.copy.part(range(place, place + 1))[0]

    def __reversed__(self) -> Iterator[dict[str, Any]]:
        """Yield deep copies of the messages from the last to the first, some in memory at a time."""
        with self._lock:
            count = len(self)
            stops = range(count, 0, -_READ_BACK)
            parts = (self.get_messages(start=max(stop - _READ_BACK, 0), stop=stop) for stop in stops)
            return (message for part in parts for message in reversed(part))

    def __setitem__(self, position: object, message: object) -> NoReturn:
        raise TypeError("session[…] gives copies of messages: change session.messages, which save_session stores")

    def __delitem__(self, position: object) -> NoReturn:
        raise TypeError("a session's messages are removed from session.messages, or by drop_last and keep_first")

    def get_messages(
        self, limit: int | None = None, *, start: int | None = None, stop: int | None = None
    ) -> list[dict[str, Any]]:
        """Return deep copies of messages: all, the last `limit`, or those from `start` up to `stop`.

        Only these are read.

        Args:
            start, stop: positions as in a slice: from 0 on, negative ones count from the end.

        Raises:
            ValueError: `limit` is negative, or there is `start` or `stop` beside it.
            StoreError: a message could not be read; never fewer messages without an error.
        """
        if limit is not None:
            if start is not None or stop is not None:
                raise ValueError("limit is the number of last messages: give either that, or start and stop")
            if limit < 0:
                raise ValueError(f"limit must be 0 or more, not {limit}")
        with self._lock:
            count = len(self)
            if limit is not None:
                start = max(count - limit, 0)
            return self._state.copy.part(range(*slice(start, stop).indices(count)))

    def iter_messages(self, start: int | None = None, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield deep copies of the messages from `start` up to `stop`, a chunk of the saved ones in memory at a time.

        Args:
            start, stop: as for `get_messages`. Which messages these are is settled by this call.

        Raises:
            StoreError: a message could not be read.
        """
        with self._lock:
            return self._state.copy.messages(*slice(start, stop).indices(len(self))[:2])
