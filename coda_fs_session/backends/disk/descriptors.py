"""File descriptors kept open only to be quicker next time, and given back when there are none left.

A process may have few of them (macOS: 256), and every manager keeps some.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import ParamSpec, Protocol, TypeVar

from ...process import system
from ...process.weakly import Weakly

NONE_LEFT = frozenset((errno.EMFILE, errno.ENFILE))

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Keeper(Protocol):
    """What keeps descriptors open."""

    def give_back(self) -> None:
        """Close what is not in use, without waiting for other threads; called at any moment, by any thread."""
        ...


def note_keeper(keeper: Keeper) -> None:
    """Have a keeper asked when descriptors are needed, as long as it exists."""
    _keepers.add(keeper)


def give_back() -> None:
    """Close what any store of this process keeps open and does not use."""
    for keeper in _keepers:
        keeper.give_back()


def opened(call: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
    """Make a system call that opens something; without descriptors left, give back what can be, and try once more.

    Raises:
        OSError: as the call; also that there are still none left.
    """
    try:
        return call(*arguments, **options)
    except OSError as error:
        if error.errno not in NONE_LEFT:
            raise
        give_back()
    return call(*arguments, **options)


def scan(folder: str) -> AbstractContextManager[Iterator[system.FolderEntry]]:
    """Do as `os.scandir`."""
    return opened(system.scan, folder)


def names_in(folder: str) -> list[str]:
    """Do as `os.listdir`."""
    return opened(os.listdir, folder)


_keepers: Weakly[Keeper] = Weakly()
