"""Worker threads: calls about one session run one after the other, in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

from ..errors import ConfigError
from ..process import forks
from ..process.uncopied import Uncopied

_T = TypeVar("_T")


class Turn(Generic[_T]):
    """A call that waits until it is the first in each of its lines. Leaner than a future of the standard library.

    Args:
        over: is called, in any thread, when it is over; it must not raise.
    """

    __slots__ = ("_error", "_over", "_result", "_work", "begun", "done", "lines", "waits_in")

    def __init__(self, work: Callable[[], _T], over: Callable[[], None]) -> None:
        self._work = work
        self._over = over
        self._result: _T | None = None
        self._error: BaseException | None = None
        self.lines: set[Hashable] = set()
        self.waits_in = 0  # lines in which others come first
        self.begun = False
        self.done = False

    def run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        self.done = True
        self._over()

    def result(self) -> _T:
        """Return what the call has returned, or raise what it has raised; once."""
        error, self._error = self._error, None
        if error is None:
            return cast("_T", self._result)
        try:
            raise error
        finally:
            # Or the error and this frame would hold each other.
            del error


class Turns(Uncopied):
    """Runs calls in threads of its own.

    A call that waits for another one has no thread yet. Safe in all threads, so any number of event loops may use it.

    Args:
        threads: as many calls run at a time.
    """

    _lock: threading.Lock
    _lines: dict[Hashable, deque[Turn[Any]]]
    _ready: deque[Turn[Any]]
    _workers: int
    _pool: ThreadPoolExecutor

    def __init__(self, threads: int) -> None:
        if type(threads) is not int or threads < 1:
            raise ConfigError(f"threads must be a whole number, 1 or more, not {threads!r}")
        self._threads = threads
        self.after_fork()
        forks.renew(self, forks.Floor.FRONT)

    def submit(
        self, work: Callable[[], _T], over: Callable[[], None], names: Iterable[str], *, last: bool = False
    ) -> Turn[_T]:
        """Run a call in a thread once the calls that came before it, and have a name in common with it, are over.

        Args:
            over: see `Turn`.
            last: wait for all calls that came before it.

        Raises:
            RuntimeError: no thread can be started; the call does not begin.
        """
        turn = Turn(work, over)
        with self._lock:
            # Each call has a line of its own too, for those that wait for all.
            turn.lines = {turn, *(self._lines if last else names)}
            for name in turn.lines:
                line = self._lines.setdefault(name, deque())
                turn.waits_in += bool(line)
                line.append(turn)
            if not turn.waits_in:
                self._ready.append(turn)
                try:
                    self._add_worker()
                except RuntimeError:
                    if not self._workers:
                        self._ready.remove(turn)
                        self._leave(turn)
                        raise
        return turn

    def drop(self, turn: Turn[Any]) -> bool:
        """Have a call never begin; False where it has begun."""
        with self._lock:
            if turn.begun:
                return False
            # Whoever comes to it passes it over.
            turn.begun = True
            return True

    def rest(self) -> None:
        """Let the threads end when they have done all; the next call starts new ones."""
        with self._lock:
            self._pool.shutdown(wait=False)
            self._pool = self._new_pool()

    def _add_worker(self) -> None:
        if self._workers < self._threads:
            self._pool.submit(self._work)
            self._workers += 1

    def _work(self) -> None:
        """Run what is ready, until nothing is."""
        turn: Turn[Any] | None = None
        while True:
            with self._lock:
                if turn is not None:
                    self._leave(turn)
                if not self._ready:
                    self._workers -= 1
                    return
                turn = self._ready.popleft()
                if self._ready:
                    # At the end of the interpreter no thread can be started: then those that are there do all.
                    with suppress(RuntimeError):
                        self._add_worker()
                dropped, turn.begun = turn.begun, True
            if not dropped:
                turn.run()

    def _leave(self, turn: Turn[Any]) -> None:
        """Take a turn out of its lines; those that it held up are ready."""
        for name in turn.lines:
            line = self._lines[name]
            line.popleft()
            if not line:
                del self._lines[name]
                continue
            line[0].waits_in -= 1
            if not line[0].waits_in:
                self._ready.append(line[0])
        # A turn is in its own lines, which would hold it.
        turn.lines = set()

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, "coda_fs_session aio")

    def after_fork(self) -> None:
        """In a child of os.fork: the threads are the parent's, and what waits for them as well."""
        self._lock = threading.Lock()
        self._lines, self._ready, self._workers = {}, deque(), 0
        self._pool = self._new_pool()


def in_thread(work: Callable[[], _T], over: Callable[[], None], name: str) -> Turn[_T]:
    """Run what may wait for long in a thread of its own, which does not hold up the end of the program."""
    turn = Turn(work, over)
    threading.Thread(target=turn.run, name=name, daemon=True).start()
    return turn
