"""The verbs that keep house as coroutines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ..manager.maintenance import Maintenance
from ..manager.manager import SessionManager
from ..process.uncopied import Uncopied
from .verbs import Host, verb

_R = TypeVar("_R")


class AsyncMaintenance(Uncopied):
    """What `AsyncSessionManager.maintenance` is: the verbs of `SessionManager.maintenance`, each in a worker thread."""

    def __init__(self, manager: Host[SessionManager]) -> None:
        self._manager = manager

    replicas = verb(Maintenance.replicas)
    check = verb(Maintenance.check)
    repair = verb(Maintenance.repair, last=True)

    @property
    def _blocking(self) -> Maintenance:
        return self._manager._blocking.maintenance

    async def _in_turn(self, work: Callable[[], _R], about: Iterable[object], *, last: bool = False) -> _R:
        return await self._manager._in_turn(work, about, last=last)
