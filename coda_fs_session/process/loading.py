"""Loading a part of the package when it is first needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident, main_thread

from ..errors import StoreError, under_way
from . import forks

_threads: set[int] = set()


def _after_fork() -> None:
    _threads.intersection_update({get_ident()})


forks.call(_after_fork)


@contextmanager
def loading() -> Iterator[None]:
    """Import something late in a block.

    Raises:
        StoreError: it cannot be read now, as where the process has no file descriptor left.
        SessionError: a signal handler came into another such block of this thread. It would get half of a module.
    """
    thread = get_ident()
    if thread in _threads:
        raise under_way()
    try:
        _threads.add(thread)
        with _handlers_waiting():
            yield
    except OSError as error:
        if error.errno is None:
            # Not from the system: what a signal handler raised.
            raise
        raise StoreError(f"cannot load a part of coda_fs_session: {error}; nothing was changed: close files") from error
    finally:
        _threads.discard(thread)


@contextmanager
def _handlers_waiting() -> Iterator[None]:
    """Let signal handlers run after the block, as far as the system can.

    The import system passes over an OSError from a file that it tries, and TimeoutError is one: what a handler raises
    would be lost, or a module not be found. Where another thread takes the signal, that may still happen.
    """
    # A program that has a handler of its own has loaded it. Windows has no masks.
    signals = sys.modules.get("signal")
    mask = getattr(signals, "pthread_sigmask", None)
    if signals is None or mask is None or get_ident() != main_thread().ident:
        yield
        return
    # Asked before: the call that blocks may itself end in the exception of a handler.
    before = mask(signals.SIG_BLOCK, ())
    try:
        mask(signals.SIG_BLOCK, signals.valid_signals())
        yield
    finally:
        mask(signals.SIG_SETMASK, before)
