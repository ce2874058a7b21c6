"""The locks of names, and that for choosing a replica id: on files in the state folder, which nobody ever removes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from zlib import crc32

from ..disk import locks
from ..disk.files import Files, make_folders, open_or_create, store_errors
from ..disk.long_locks import LongLock, no_locks

LOCKS = 64
"""So many files for all names: one that was removed would be locked by some while others make it anew."""


def files_of(keys: Iterable[str]) -> list[str]:
    """Return the files to lock for some keys: each once, since names may share one, and in one order for all."""
    return sorted({_file_of(key) for key in keys})


def _file_of(key: str) -> str:
    if key.startswith("."):
        # No name's.
        return f"{key}.lock"
    # What tells a key from every other one is after the dot, if there is one.
    return f"{crc32(key.rpartition('.')[2].encode()) % LOCKS:02x}"


class NameLock(AbstractContextManager[None]):
    """The locks of some names, all or none.

    Args:
        folder: where the files are; keys: of the names.
        held: all that are held, for `LocalState.recover`.
        shared: as for `locks.lock`.
    """

    def __init__(
        self, files: Files, folder: str, keys: Iterable[str], held: set[NameLock | LongLock], *, shared: bool = False
    ) -> None:
        self._files = files
        self._shared = shared
        self._paths = [f"{folder}/{name}" for name in files_of(keys)]
        self._all = held
        self._descriptors: list[int] = []
        self.thread = threading.get_ident()

    def __enter__(self) -> None:
        self._all.add(self)
        try:
            for path in self._paths:
                with store_errors("lock", path):
                    make_folders(self._files, os.path.dirname(path))
                    descriptor = open_or_create(self._files, path)
                    self._descriptors.append(descriptor)
                    _take(descriptor, path, shared=self._shared)
        except BaseException:
            self.release()
            raise

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the locks back; may be called again."""
        while self._descriptors:
            # Not left to close(): a child forked meanwhile has the same open file, and would keep the lock.
            locks.unlock_if_possible(self._descriptors[-1])
            os.close(self._descriptors.pop())
        self._all.discard(self)


class ChoiceLock(LongLock):
    """The lock for choosing a replica id.

    Args:
        folder: where the file is.
        held: all that are held, for `LocalState.recover`.
    """

    def __init__(self, files: Files, folder: str, held: set[NameLock | LongLock]) -> None:
        super().__init__(f"{folder}/{_file_of('.replica')}")
        self._files = files
        self._all = held

    def __enter__(self) -> None:
        self._all.add(self)
        try:
            with store_errors("lock", self._path):
                make_folders(self._files, os.path.dirname(self._path))
                super().__enter__()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        super().release()
        self._all.discard(self)


def _take(descriptor: int, path: str, *, shared: bool) -> None:
    try:
        locks.lock(descriptor, shared=shared)
    except OSError as error:
        if error.errno not in locks.NOT_KNOWN:
            raise
        raise no_locks(path, error) from error
