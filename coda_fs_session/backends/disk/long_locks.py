"""Locks between the processes of one machine that are taken rarely and may be held long.

They are those of `filelock`, which has time limits and knows other platforms. It asks again and again whether a lock is
free; the hot paths take those of `locks`, which wait in the kernel.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

from ...errors import StoreError, StoreReadOnlyError, under_way
from ...process import forks
from .descriptors import opened
from .files import FILE_MODE
from .locks import NOT_KNOWN

TYPE_CHECKING = False  # typing's own would have to be imported; type checkers know the name
if TYPE_CHECKING:
    from filelock import BaseFileLock

PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.01


class LongLock(AbstractContextManager[None]):
    """One such lock, for one thread.

    Args:
        path: the file to lock, in a folder that is there.
        patience: seconds to wait for it; a minute by default.
    """

    def __init__(self, path: str, *, patience: float | None = None) -> None:
        self._path = path
        self._patience = patience or PATIENCE_SECONDS
        self._lock: BaseFileLock | None = None
        self.thread = threading.get_ident()

    def __enter__(self) -> None:
        """Take the lock.

        Raises:
            StoreError: another process has it, and keeps it.
            StoreReadOnlyError: the disk has no locks.
            SessionError: this very thread has it.
        """
        # Late: it takes as long to import as to open a store, and hardly any program comes here.
        from filelock import FileLock, Timeout

        if any(held.thread == self.thread and held._path == self._path for held in list(_held)):
            raise under_way()
        self._lock = FileLock(self._path, timeout=self._patience, mode=FILE_MODE)
        try:
            opened(self._lock.acquire, poll_interval=_POLL_SECONDS)
            _held.add(self)
        except Timeout as error:
            raise StoreError(
                f"another process has kept {self._path} locked for {self._patience:g} seconds: see which one has it "
                "open, end it if it hangs, and try again",
                self._path,
            ) from error
        except OSError as error:
            if error.errno not in NOT_KNOWN:
                raise
            raise no_locks(self._path, error) from error

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the lock back; may be called again."""
        if self._lock is not None:
            self._lock.release(force=True)
        _held.discard(self)


def no_locks(path: str, error: OSError) -> StoreReadOnlyError:
    """Return the error for a disk that has no locks."""
    return StoreReadOnlyError(
        f"cannot lock {path}: {error.strerror}; the disk has no locks, so nothing can be written safely: let "
        "state_path, or CODA_FS_STATE, name a folder on a local disk",
        path,
    )


_held: set[LongLock] = set()
_inherited: list[set[LongLock]] = []


def _leave_to_the_parent() -> None:
    # Kept, since such a lock is given back when it is thrown away, and with it the parent's.
    _inherited.append(_held.copy())
    _held.clear()


forks.call(_leave_to_the_parent)
