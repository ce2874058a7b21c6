"""Where the threads that want a connection of a database wait: writers for one another, and all of them for a fork."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from ..uncopied import Uncopied
from . import _locks
from ._files import open_folder


class Queue(Uncopied):
    """In which writers of all threads and processes wait; only an aid, so it does not matter if it cannot be had."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._mutex = threading.Lock()
        self._descriptor = -1

    def __enter__(self) -> None:
        self._mutex.acquire()
        try:
            with suppress(OSError):
                if self._descriptor < 0:
                    self._descriptor = open_folder(self._folder)
                _locks.lock(self._descriptor)
        except BaseException:
            self._mutex.release()
            raise

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            _locks.unlock(self._descriptor)
        self._mutex.release()

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
    """Counts the threads that use a connection, and can be shut."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._is_shut = False

    def __enter__(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not self._is_shut)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify_all()

    def shut(self, seconds: float) -> bool:
        """Let nobody in any more; tell whether all who were inside have left in time."""
        with self._condition:
            self._is_shut = True
            return self._condition.wait_for(lambda: not self._inside, seconds)

    def open(self) -> None:
        with self._condition:
            self._is_shut = False
            self._condition.notify_all()
