"""Where the threads that want a connection of a database wait: writers for one another, and all of them for a fork."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress

from ...process.interrupts import give_up
from ...process.system import open_to_lock
from ...process.uncopied import Uncopied
from ..disk import locks
from ..disk.descriptors import opened


class Queue(Uncopied):
    """In which writers of all threads and processes wait; only an aid, so it does not matter if it cannot be had."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._mutex = threading.RLock()
        self._descriptor = -1

    def enter(self) -> None:
        """Wait until it is the turn of this thread; whoever calls this calls `leave`, also after an error."""
        self._mutex.acquire()
        with suppress(OSError):
            if self._descriptor < 0:
                self._descriptor = opened(open_to_lock, self._folder)
            locks.lock(self._descriptor)

    def leave(self) -> None:
        """Let the next one in; may be called again, and by a thread whose turn has not come."""
        # Another thread's turn, or nobody's: then the file is not locked either.
        if self._mutex.acquire(blocking=False):
            try:
                if self._descriptor >= 0:
                    locks.unlock_if_possible(self._descriptor)
            finally:
                give_up(self._mutex)

    def close(self) -> None:
        with self._mutex:
            self._close()

    def give_back(self) -> None:
        # Not waited for: this very thread may have it.
        if self._mutex.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._mutex.release()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Gate:
    """Knows which threads use a connection, and can be shut."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._inside: weakref.WeakSet[object] = weakref.WeakSet()
        self._is_shut = False

    def enter(self, lease: object) -> None:
        with self._lock:
            self._changed.wait_for(lambda: not self._is_shut)
            self._inside.add(lease)

    def leave(self, lease: object) -> None:
        """Let go of a lease, if it has entered."""
        with self._lock:
            self._inside.discard(lease)
            self._changed.notify_all()

    def shut(self, seconds: float) -> bool:
        """Let nobody in any more; tell whether all who were inside have left in time."""
        with self._lock:
            self._is_shut = True
            return self._changed.wait_for(lambda: not self._inside, seconds)

    def open(self) -> None:
        with self._lock:
            self._is_shut = False
            self._changed.notify_all()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        give_up(self._lock)
