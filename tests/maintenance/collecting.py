"""Stores in which there is something that nothing needs, and gc run on days that the test chooses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from storekit import message, open_store

from coda_fs_session import GcReport, SessionManager
from coda_fs_session.repo.maintenance.gc import gc
from coda_fs_session.repo.repository import Repository
from coda_fs_session.repo.storage import RepoStorage

GRACE = 9
"""Days; one run counts a third of them at most."""
FIRST_DAY = datetime(2026, 1, 2, tzinfo=UTC)
TEXT = 70_000
"""Bytes of a message that is an object of its own."""


def repo_of(manager: SessionManager) -> Repository:
    assert isinstance(manager._storage, RepoStorage)
    return manager._storage.repo


class Collector:
    """A store of one machine, and its clock.

    Attributes:
        day: of the next run.
    """

    def __init__(self, store: Path, **options: Any) -> None:
        self.store, self.options = store, options
        self.day = 0.0

    def open(self) -> SessionManager:
        return open_store(self.store, **self.options)

    def now(self) -> datetime:
        return FIRST_DAY + timedelta(days=self.day)

    def run(
        self,
        *,
        days: float = GRACE / 3,
        grace: float = GRACE,
        retention: float = 90,
        dry_run: bool = False,
        within: AbstractContextManager[object] | None = None,
    ) -> GcReport:
        """Run gc in a new process some days after the last run, and within a block."""
        self.day += days
        with self.open() as manager:
            repo = repo_of(manager)
            now = self.now()
            repo.settings = repo.settings._replace(clock=lambda: now)
            with repo.machine.keeping_house("gc"), within or nullcontext():
                return gc(repo, grace_days=grace, retention_days=retention, dry_run=dry_run)

    def until(self, done: Callable[[GcReport], bool], *, most: int = 20) -> int:
        """Run gc until something is done; return in which run that was."""
        for number in range(1, most + 1):
            if done(self.run()):
                return number
        raise AssertionError(f"not done after {most} runs")

    def leave(self, number: int, size: int = TEXT) -> Path:
        """Write an object that no ref names, as a process does that is killed then; return its file."""
        with self.open() as manager:
            repo = repo_of(manager)
            new = repo.objects.new_chunk([line(number, size)])
            repo.objects.put([new])
        return self.file(new.id)

    def file(self, identity: str) -> Path:
        (path,) = self.store.glob(f"objects/*/{identity}.*")
        return path

    def trash(self) -> list[str]:
        return sorted(path.name for path in Path(f"{self.store}.state").glob("*/trash/*"))


def line(number: int, size: int = TEXT) -> bytes:
    import orjson

    return orjson.dumps(message(number, size))
