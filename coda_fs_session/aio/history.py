"""The history of a session for event loops: what `History` does, in worker threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Self

from ..manager.history import History
from ..repo.history.entries import HistoryEntry
from ..session.session import Session

_AT_A_TIME = 64
"""Entries that are read in one go."""


class AsyncHistory:
    """What a session was, newest first: ``async for entry in manager.history("trip")``.

    Made by `AsyncSessionManager.history`. Each call waits for those about the session that came before.
    """

    def __init__(self, history: History, in_turn: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._history = history
        self._in_turn = in_turn

    def __aiter__(self) -> EntryIterator:
        """Return the entries, as `History` gives them."""
        return EntryIterator(partial(iter, self._history), self._in_turn)

    async def at(self, to: int | str | datetime) -> Session:
        """Do as `History.at`."""
        session: Session = await self._in_turn(partial(self._history.at, to))
        return session

    async def undo(self) -> HistoryEntry | None:
        """Do as `History.undo`."""
        entry: HistoryEntry | None = await self._in_turn(self._history.undo)
        return entry

    async def restore(self, to: int | str | datetime | None = None) -> HistoryEntry:
        """Do as `History.restore`."""
        entry: HistoryEntry = await self._in_turn(partial(self._history.restore, to))
        return entry

    async def tag(self, label: str, at: int | str | datetime | None = None) -> HistoryEntry:
        """Do as `History.tag`."""
        entry: HistoryEntry = await self._in_turn(partial(self._history.tag, label, at))
        return entry

    async def untag(self, label: str) -> None:
        """Do as `History.untag`."""
        await self._in_turn(partial(self._history.untag, label))

    async def tags(self) -> dict[str, HistoryEntry]:
        """Do as `History.tags`."""
        tags: dict[str, HistoryEntry] = await self._in_turn(self._history.tags)
        return tags


class EntryIterator:
    """Entries of a history, read in a thread, some at a time; no generator, which trio wants closed."""

    def __init__(
        self, entries: Callable[[], Iterator[HistoryEntry]], in_turn: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._open = entries
        self._in_turn = in_turn
        self._entries: Iterator[HistoryEntry] | None = None
        self._read: deque[HistoryEntry] = deque()
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> HistoryEntry:
        while not self._read:
            if self._ended:
                raise StopAsyncIteration
            await self._in_turn(self._read_on)
        return self._read.popleft()

    def _read_on(self) -> None:
        if self._entries is None:
            self._entries = self._open()
        read = list(islice(self._entries, _AT_A_TIME))
        self._read += read
        self._ended = len(read) < _AT_A_TIME
