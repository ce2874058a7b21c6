"""Many creates and saves in a row, made durable together: see `SessionManager.bulk`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from ..backends.base import Backend, RefKey
from ..backends.staged import Apart, StagedBackend, Written
from ..errors import SessionError, warn
from ..format.names import key_folders, key_of_ref, ref_path
from .repository import Repository


class Bulk(AbstractContextManager[None]):
    """Lets a repository hold back what this thread makes until the end of a block.

    Args:
        progress: called with how many sessions are durable that were made in the block.
    """

    def __init__(self, repo: Repository, progress: Callable[[int], object] | None = None) -> None:
        self._repo = repo
        self._progress = progress
        self._told = 0

    def __enter__(self) -> None:
        repo = self._repo
        if repo.index.by_key:
            # Where refs are looked for one by one, what is held back would not be found.
            return
        # Afterwards somebody will list them, and not have to read them all again.
        repo.index.reader.make_previews()
        # Of an earlier block, whose end has failed.
        self.finish()
        staged = StagedBackend(
            repo.backend,
            is_recorded=lambda key: repo.machine.record.end(key) is not None,
            places=partial(_places, repo.backend),
            written=self._note,
        )
        try:
            repo.use(staged)
        except BaseException:
            staged.finish()
            repo.use(staged.inner)
            raise

    def __exit__(self, *_: object) -> None:
        self.finish()

    def refuse_in_this_thread(self) -> None:
        """Raise SessionError where this thread's saves are held back: what needs them in the store cannot begin."""
        staged = self._repo.backend
        if isinstance(staged, StagedBackend) and staged.stages:
            raise SessionError("a transaction cannot end within bulk(): end the bulk() block first, or do without it")

    def finish(self) -> None:
        """Write what is held back, if anything is, and hold back nothing any more.

        Raises:
            StoreError: it cannot be written; it stays in memory, and is tried again by whatever writes next.
        """
        staged = self._repo.backend
        if isinstance(staged, StagedBackend):
            try:
                staged.finish()
            finally:
                # What is told of it may have raised. Or another thread has done this, and has begun the next block.
                if staged.is_empty and self._repo.backend is staged:
                    self._repo.use(staged.inner)

    def _note(self, written: Written, apart: Apart, made: int) -> None:
        self._repo.index.moved(written, self._repo.fold)
        for key, _ in apart:
            warn(
                f"another process has made a session in {key.path} during bulk(); both are kept: list_sessions() has "
                "them, one by a derived name"
            )
        if self._progress is not None and made > self._told:
            self._told = made
            self._progress(made)


def _places(backend: Backend, key: RefKey, number: int) -> list[RefKey]:
    folder, name = key.path.rpartition("/")[0], key_of_ref(key.path) or key.path
    others = (each for each in backend.key_folders(key_folders(key.replica, name)) if each != folder)
    return [RefKey(ref_path(each, name, number)) for each in (folder, *others)]
