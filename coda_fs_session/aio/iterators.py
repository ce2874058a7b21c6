"""What `async for` goes through: messages, entries of a history, and what a watch tells."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Generic, Self, TypeVar

from anyio import Event

from ..repo.events.changes import SessionEvent
from ..repo.events.watch import Watch
from .turns import Turn, in_thread
from .waiting import Bell, running_loop

_T = TypeVar("_T")

_AT_A_TIME = 64
"""Messages or entries that are read in one go."""


class ThreadIterator(Generic[_T]):
    """What a thread reads on in, some of it in memory at a time; no generator, which trio wants closed."""

    def __init__(
        self, read: Callable[[], Iterator[_T]], in_turn: Callable[[Callable[[], None]], Awaitable[None]]
    ) -> None:
        self._open = read
        self._in_turn = in_turn
        self._opened: Iterator[_T] | None = None
        self._read: deque[_T] = deque()
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        while not self._read:
            if self._ended:
                raise StopAsyncIteration
            await self._in_turn(self._read_on)
        return self._read.popleft()

    def _read_on(self) -> None:
        if self._opened is None:
            self._opened = self._open()
        read = list(islice(self._opened, _AT_A_TIME))
        self._read += read
        self._ended = len(read) < _AT_A_TIME


class MessageIterator(ThreadIterator[dict[str, Any]]):
    """Deep copies of a session's messages, read in a thread. Made by `AsyncSessionManager.iter_messages`."""


class AsyncWatch:
    """What happens to sessions, as it happens: ``async with manager.watch() as watch``, then ``async for``.

    Made by `AsyncSessionManager.watch`. It tells what happens from the beginning of the block on, and is stopped at the
    end of the block. Several tasks of one event loop may share it. One that is cancelled while it waits misses nothing:
    the next one to ask gets the event. So a limit of time is that of your event loop.
    """

    def __init__(self, begin: Callable[[], Awaitable[Watch]], end: Callable[[Watch], Awaitable[None]]) -> None:
        self._begin, self._end = begin, end
        self._watch: Watch | None = None
        self._found: deque[SessionEvent] = deque()
        self._looking: Turn[bool] | None = None
        self._seen = Event()

    async def __aenter__(self) -> Self:
        self._watch = await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """End the watch: who iterates over it comes to the end."""
        if self._watch is not None:
            await self._end(self._watch)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionEvent:
        if self._watch is None:
            raise RuntimeError("a watch is used in a block: async with manager.watch() as watch")
        while not self._found:
            if self._looking is None:
                self._seen = Event()
                over = partial(Bell(running_loop()).ring, self._seen)
                self._looking = in_thread(self._look, over, "coda_fs_session aio watch")
            looking = self._looking
            await self._seen.wait()
            if self._looking is looking:
                self._looking = None
            if not looking.result() and not self._found:
                raise StopAsyncIteration
        return self._found.popleft()

    def _look(self) -> bool:
        """Wait for an event; False where the watch was stopped."""
        assert self._watch is not None
        event = self._watch.next()
        if event is None:
            return False
        self._found.append(event)
        return True
