"""The history of a session for event loops: what `History` does, in worker threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from ..manager.history import History
from ..manager.manager import SessionManager
from ..repo.history.entries import HistoryEntry
from .iterators import ThreadIterator
from .verbs import Host, Part, verb

_R = TypeVar("_R")


class AsyncHistory(Part):
    """What a session was, newest first: ``async for entry in manager.history("trip")``.

    Made by `AsyncSessionManager.history`. Each call waits for those about the session that came before.
    """

    def __init__(self, manager: Host[SessionManager], name: str) -> None:
        super().__init__(manager)
        self._name = name
        self._blocking = manager._blocking.history(name)

    def __aiter__(self) -> ThreadIterator[HistoryEntry]:
        """Return the entries, as `History` gives them."""
        return ThreadIterator(partial(iter, self._blocking), lambda work: self._in_turn(work, ()))

    at = verb(History.at)
    undo = verb(History.undo)
    restore = verb(History.restore)
    tag = verb(History.tag)
    untag = verb(History.untag)
    tags = verb(History.tags)

    async def _in_turn(self, work: Callable[[], _R], about: Iterable[object], *, last: bool = False) -> _R:
        return await super()._in_turn(work, [self._name, *about], last=last)
