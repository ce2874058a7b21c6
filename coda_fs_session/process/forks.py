"""`os.fork`: what is made anew in a child, and in which order; and what a child knows of its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from .system import register_at_fork
from .weakly import Weakly

_own, _parent = os.getpid(), 0


class Floor(IntEnum):
    """Where something stands: a child makes it anew after all that is on the floors below."""

    DISK = 0
    BACKEND = 1
    ENGINE = 2
    FRONT = 3


class Forked(Protocol):
    """What has locks, threads or descriptors, and so cannot go on in a child as it is."""

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""


class Holding(Protocol):
    """What writes before a fork what it holds back, so that a child has nothing of it to write."""

    def before_fork(self) -> None: ...


class Quiet(Forked, Protocol):
    """What must also be at rest while the process forks; it makes itself anew only in a child of a fork that it saw."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...


_forked: dict[Floor, Weakly[Forked]] = {floor: Weakly() for floor in Floor}
_holding: Weakly[Holding] = Weakly()
_quiet: Weakly[Quiet] = Weakly()
_at_rest: list[Quiet] = []
_calls: list[Callable[[], object]] = []


def renew(each: Forked, floor: Floor) -> None:
    """Have something made anew in every child from now on, as long as anybody holds it."""
    _forked[floor].add(each)


def write_first(each: Holding) -> None:
    """Have something write what it holds back before every fork from now on, before anything is at rest."""
    _holding.add(each)


def rest(each: Quiet) -> None:
    """Have something at rest at every fork from now on, as long as anybody holds it; it is then made anew first."""
    _quiet.add(each)


def call(function: Callable[[], object]) -> None:
    """Have a function called in every child from now on, before anything else is made anew."""
    _calls.append(function)


def parent() -> int:
    """Return the process that forked this one, 0 if none has since the package was imported."""
    return _parent


def is_gone(process: int) -> bool:
    """Tell whether a process that this one comes from has ended."""
    if process == _parent:
        # Exact, also if another process has its number by now.
        return os.getppid() != process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _is_zombie(process)


def _is_zombie(process: int) -> bool:
    """Tell whether a process has ended and its number is only kept for its own parent to ask."""
    try:
        # It has no program any more.
        os.readlink(f"/proc/{process}/exe")
    except FileNotFoundError:
        return os.path.exists(f"/proc/{process}")
    except OSError:
        pass
    return False


def _before_fork() -> None:
    try:
        for holding in _holding:
            holding.before_fork()
    finally:
        # Also where an interrupt ends the writing: the process forks all the same.
        _at_rest[:] = _quiet
        for each in _at_rest:
            each.before_fork()


def _after_fork_in_parent() -> None:
    for each in _at_rest:
        each.after_fork_in_parent()
    _at_rest.clear()


def _after_fork_in_child() -> None:
    global _own, _parent
    _parent, _own = _own, os.getpid()
    for function in _calls:
        function()
    for resting in _at_rest:
        resting.after_fork()
    _at_rest.clear()
    for floor in Floor:
        for each in _forked[floor]:
            each.after_fork()


register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
