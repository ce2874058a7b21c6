"""The verbs across sessions as coroutines."""

from __future__ import annotations

from ..manager.branches import Branches
from ..process.uncopied import Uncopied
from .verbs import Part, verb


class AsyncBranches(Part, Uncopied):
    """What `AsyncSessionManager.branches` is: the verbs of `SessionManager.branches`, each in a worker thread."""

    of = verb(Branches.of, "name")
    tree = verb(Branches.tree)
    diff = verb(Branches.diff, "a", "b")
    merge = verb(Branches.merge, "source", "into")
    cherry_pick = verb(Branches.cherry_pick, "source", "into")

    @property
    def _blocking(self) -> Branches:
        return self._manager._blocking.branches
