"""Loading a part of the package when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

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
        yield
    except OSError as error:
        if error.errno is None:
            # Not from the system: what a signal handler raised.
            raise
        raise StoreError(f"cannot load a part of coda_fs_session: {error}; nothing was changed: close files") from error
    finally:
        _threads.discard(thread)
