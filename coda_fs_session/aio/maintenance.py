"""The verbs that keep house as coroutines."""

from __future__ import annotations

from ..manager.maintenance import Maintenance
from ..process.uncopied import Uncopied
from .verbs import Part, verb


class AsyncMaintenance(Part, Uncopied):
    """What `AsyncSessionManager.maintenance` is: the verbs of `SessionManager.maintenance`, each in a worker thread."""

    replicas = verb(Maintenance.replicas)
    check = verb(Maintenance.check)
    repair = verb(Maintenance.repair, last=True)
    retire = verb(Maintenance.retire, last=True)
    purge_text = verb(Maintenance.purge_text, last=True)
    purge = verb(Maintenance.purge, last=True)
    discard = verb(Maintenance.discard, last=True)
    forget = verb(Maintenance.forget, last=True)
    gc = verb(Maintenance.gc, last=True)

    @property
    def _blocking(self) -> Maintenance:
        return self._manager._blocking.maintenance
