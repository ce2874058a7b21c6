"""Where a machine of a history of gc is: a store and a state in folders, of which gc asks for nothing but its turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

from simulator.machines import Clock
from simulator.places import SMALL, DiskPlace

from coda_fs_session import SessionManager
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage, engine_of

CALLS = ("create", "write", "rename", "link", "unlink", "make_folder", "sync_data", "sync_folder")


class KilledError(BaseException):
    """The end of a process, as far as this one can play it."""


@contextmanager
def killed_at(call: int) -> Iterator[None]:
    """Kill whatever is in the block before one of its calls that change files."""
    left = iter(range(call))

    def counting(name: str) -> Callable[..., Any]:
        real = getattr(Files, name)

        def counted(self: Files, *arguments: Any, **options: Any) -> Any:
            if next(left, None) is None:
                raise KilledError(name)
            return real(self, *arguments, **options)

        return counted

    with mock.patch.multiple(Files, **{name: counting(name) for name in CALLS}):
        yield


class Wandering(Clock):
    """The clock of a machine, which can be set to any day."""

    def pass_days(self, days: float) -> None:
        self._now += timedelta(days=days)


class HousePlace(DiskPlace):
    """A store in a folder, and a machine that keeps house in it.

    Attributes:
        grace: days.
    """

    grace: float = 0

    def manager(self) -> SessionManager:
        backend, state = self._open()
        repository = Repository(backend, state, Settings(sizes=SMALL, clock=self.clock))
        options = {"autosave_interval": 0, "gc_grace_days": self.grace}
        return SessionManager({"session": options}, storage=RepoStorage(repository))

    def lose_state(self) -> None:
        shutil.rmtree(self.folder / "state", ignore_errors=True)


def repo_of(manager: SessionManager) -> Repository:
    engine = engine_of(manager._storage)
    assert engine is not None
    return engine.repo
