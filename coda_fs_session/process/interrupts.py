"""What it takes for an interrupt at any moment to leave nothing locked and nothing half done.

Python may raise an exception between any two steps: Ctrl-C, or whatever a signal handler raises. Some of these moments
no ``finally`` covers, so what is to be given back is also given back afterwards, by whoever ended the operation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol


class ReentrantLock(Protocol):
    """A `threading.RLock`, which raises RuntimeError to a thread that does not have it."""

    def release(self) -> None: ...


def give_up(lock: ReentrantLock) -> None:
    """Release a lock as often as this thread has it, which may be never."""
    try:
        while True:
            lock.release()
    except RuntimeError:
        return


class Section:
    """A lock around something derived, which is made anew once a block was left in the middle.

    Args:
        renew: makes it anew; called with the lock held.
    """

    def __init__(self, renew: Callable[[], None]) -> None:
        self._renew = renew
        self._lock = threading.RLock()
        self._is_torn = False

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._is_torn:
            self._is_torn = False
            self._renew()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._is_torn = True
        self._lock.release()

    def renew(self) -> None:
        """Make it anew now."""
        with self:
            self._renew()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        give_up(self._lock)

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._lock = threading.RLock()
        self._is_torn = True
