"""The verbs that keep house: what is wrong with a store."""

from __future__ import annotations

from typing import Protocol

from ..errors import UnsupportedError
from ..process.operations import Operations, operation
from ..process.uncopied import Uncopied
from ..repo.maintenance.check import check
from ..repo.maintenance.findings import CheckReport
from ..repo.storage import RepoStorage
from ..storage import SessionStorage


class Core(Protocol):
    """What these verbs stand on: the manager's store."""

    _storage: SessionStorage
    _operations: Operations

    @property
    def _engine(self) -> RepoStorage | None: ...


class Maintenance(Uncopied):
    """What `SessionManager.maintenance` is: keeping a store in order. Nothing here runs by itself."""

    def __init__(self, manager: Core) -> None:
        self._manager = manager
        self._operations: Operations = manager._operations

    @operation
    def check(self, *, full: bool = False) -> CheckReport:
        """Find what is wrong with the store, and say of each finding what to do; nothing below the store changes.

        One bad file hides no other. It works with `read_only` too, and beside programs that write: what they are about
        to write may show as a note. What is not saved yet is not looked at.

        Args:
            full: read every object, and verify its hash and each message. Otherwise every ref, list node and commit is
                read and verified, and of the other objects it is told whether they are there, with their size.

        Raises:
            UnsupportedError: a storage that is not one of this package's cannot be checked.
            StoreGoneError: the store is not at its path any more.
        """
        return check(self._repo("check a store").repo, full=full)

    def _repo(self, what: str) -> RepoStorage:
        engine = self._manager._engine
        if engine is None:
            storage = type(self._manager._storage).__name__
            raise UnsupportedError(f"{storage} is not one of this package's, which cannot {what} of another one")
        return engine
