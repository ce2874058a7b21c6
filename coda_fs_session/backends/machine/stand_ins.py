"""Locks in the state folder, for files on a disk that has none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from ...errors import StoreReadOnlyError
from ..disk import locks
from ..disk.files import Files, make_folders, open_or_create


class StandIns:
    """Files in the state folder that are locked in place of files in a store.

    That suffices: one replica is one machine, so every writer of a ref has this state folder.

    Args:
        root: the store.
        folder: returns the state folder; "" where there is none.
    """

    def __init__(self, root: str, folder: Callable[[], str]) -> None:
        self._root = root
        self._folder = folder
        self._files = Files(durable=False)

    def held(self, descriptor: int, path: str) -> AbstractContextManager[None]:
        """Hold the lock of an open file, or where its disk has none the one that stands in for it; errors as `lock`."""
        return _Held(self, descriptor, path)

    def lock(self, path: str, cause: OSError) -> int:
        """Wait for the lock that stands in for a file in the store; return the descriptor that holds it.

        Args:
            cause: why that file cannot be locked itself.

        Raises:
            StoreReadOnlyError: there is no lock in the state folder either.
        """
        folder = self._folder()
        try:
            descriptor = self._open(folder, path) if folder else -1
            if descriptor < 0:
                raise cause
            try:
                locks.lock(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            where = f"nor a file in the state folder {folder} ({error.strerror})" if folder else "and there is no other"
            raise StoreReadOnlyError(
                f"neither {path} can be locked ({cause.strerror}) {where}: mount a disk with locks, or let state_path "
                "name a folder on a local disk",
                path,
            ) from error
        return descriptor

    def _open(self, folder: str, path: str) -> int:
        stand_ins = f"{folder}/locks/refs"
        make_folders(self._files, stand_ins)
        # By its place below the root: others may have opened the store by another path to it.
        key = hashlib.sha256(os.fsencode(path.removeprefix(self._root))).hexdigest()[:32]
        return open_or_create(self._files, f"{stand_ins}/{key}.lock")


class _Held(AbstractContextManager[None]):
    """See `StandIns.held`; no generator, which would unlock the number once more when it is thrown away."""

    def __init__(self, stand_ins: StandIns, descriptor: int, path: str) -> None:
        self._stand_ins = stand_ins
        self._descriptor = descriptor
        self._path = path
        self._stand_in = -1

    def __enter__(self) -> None:
        try:
            locks.lock(self._descriptor)
        except OSError as error:
            if error.errno not in locks.NOT_KNOWN:
                raise
            self._stand_in = self._stand_ins.lock(self._path, error)

    def __exit__(self, *_: object) -> None:
        # Not left to close(): a child forked meanwhile has the same open file, and would keep the lock.
        locks.unlock(self._descriptor if self._stand_in < 0 else self._stand_in)
        if self._stand_in >= 0:
            os.close(self._stand_in)
