"""The lock of what mends or removes: one process of a machine at a time, and others are told which one it is."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

from ...errors import StoreError
from ..disk.files import Files, discard, make_folders, store_errors
from ..disk.long_locks import LongLock
from .kept import keep, kept

if TYPE_CHECKING:
    from .name_locks import NameLock

_AT_ONCE = 0.02
"""Seconds to wait: who has it may have it for minutes."""


class HouseLock(LongLock):
    """The lock for keeping house.

    Args:
        folder: of the state of the store; what: the verb that takes it.
        held: all locks that are held, for `LocalState.recover`.
    """

    def __init__(self, files: Files, folder: str, what: str, held: set[NameLock | LongLock]) -> None:
        super().__init__(f"{folder}/locks/.house.lock", patience=_AT_ONCE)
        self._files = files
        self._note = f"{folder}/house"
        self._what = what
        self._all = held
        self._has_it = False

    def __enter__(self) -> None:
        """Take the lock.

        Raises:
            StoreError: another process has it; the error tells which.
        """
        self._all.add(self)
        try:
            with store_errors("lock", self._path):
                make_folders(self._files, os.path.dirname(self._path))
                try:
                    super().__enter__()
                except StoreError as error:
                    if not isinstance(error.__cause__, TimeoutError):
                        raise
                    raise StoreError(f"{self._other()}: wait until it is done, or end it", self._path) from error
                self._has_it = True
                said = f"`{self._what}` of process {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S}"
                keep(self._files, self._note, said.encode())
        except BaseException:
            self.release()
            raise

    def _other(self) -> str:
        said = kept(self._note)
        # It may not have got so far as to say so.
        return f"{said.decode(errors='replace') if said else 'another process'} is keeping house in this store"

    def release(self) -> None:
        if self._has_it:
            self._has_it = False
            discard(self._files, self._note)
        super().release()
        self._all.discard(self)
