"""Several system calls at a time, for syncs: a journaling file system commits together those that wait together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ...process.parallel import in_parallel as in_parallel
from .files import Files

_T = TypeVar("_T")


def sync_in_parallel(files: Files, sync: Callable[[_T], None], items: Sequence[_T]) -> None:
    """Make each item durable with a call, where that was not declined: threads for nothing take as long as the rest."""
    if files.durable:
        in_parallel(sync, items)
