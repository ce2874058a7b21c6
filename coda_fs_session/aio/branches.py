"""The verbs across sessions as coroutines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ..manager.branches import Branches
from ..manager.manager import SessionManager
from ..process.uncopied import Uncopied
from .verbs import Host, verb

_R = TypeVar("_R")


class AsyncBranches(Uncopied):
    """What `AsyncSessionManager.branches` is: the verbs of `SessionManager.branches`, each in a worker thread."""

    def __init__(self, manager: Host[SessionManager]) -> None:
        self._manager = manager

    of = verb(Branches.of, "name")
    tree = verb(Branches.tree)
    diff = verb(Branches.diff, "a", "b")
    merge = verb(Branches.merge, "source", "into")
    cherry_pick = verb(Branches.cherry_pick, "source", "into")

    @property
    def _blocking(self) -> Branches:
        return self._manager._blocking.branches

    async def _in_turn(self, work: Callable[[], _R], about: Iterable[object], *, last: bool = False) -> _R:
        return await self._manager._in_turn(work, about, last=last)
