"""Several calls at a time, where each of them waits for something else than this process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

_WORTH_THREADS = 4
_THREADS = 8

_T = TypeVar("_T")


def in_parallel(
    call: Callable[[_T], None], items: Sequence[_T], *, threads: int = _THREADS, worth: int = _WORTH_THREADS
) -> None:
    """Call for each item, several at a time if there are many, or as many as given, and threads can be started.

    This thread takes items too. So all calls are made without any other thread: a container may be at its limit,
    and a program that ends may start none. A thread pool would be of no use then: it refuses work.

    Raises:
        BaseException: what the first call that failed has raised. Calls that had not begun by then are not made.
    """
    left = list(reversed(items))
    failures: list[BaseException] = []

    def work() -> None:
        while not failures:
            try:
                item = left.pop()
            except IndexError:
                return
            try:
                call(item)
            except BaseException as error:
                failures.append(error)

    helpers: list[threading.Thread] = []
    try:
        if len(items) >= worth:
            _start(work, min(len(items), threads) - 1, helpers)
        work()
    finally:
        # Not left alone: the caller closes the descriptors next.
        for helper in helpers:
            helper.join()
    if failures:
        raise failures[0]


def _start(work: Callable[[], None], count: int, started: list[threading.Thread]) -> None:
    """Start up to `count` threads, as many as there may be, and note each in `started`."""
    # A thread that begins while the interpreter is taken down never reports that it has begun, in Python 3.11.
    while len(started) < count and not sys.is_finalizing():
        thread = threading.Thread(target=work, name="coda_fs_session sync", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return
        started.append(thread)
