"""The operations of a manager: one at a time in each thread, and an interrupted one keeps nothing locked.

Python runs a signal handler, or a finalizer, between any two steps of whatever the thread is doing. An operation that
begins in there finds half of another one's work, and locks which only that one gives back. And an interrupt, such as
Ctrl-C, may come where no ``finally`` is reached.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from threading import get_ident
from types import CodeType, FrameType
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ..errors import SessionError, under_way

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Operations:
    """Which threads have an operation under way.

    Args:
        recover: gives back what this thread holds, its operation having been interrupted; may be called more often than
            needed.
    """

    def __init__(self, recover: Callable[[], None]) -> None:
        self._recover = [recover]
        # True for a thread that runs code of the user, such as a hook: that may begin an operation within the other.
        self.running: dict[int, bool] = {}
        # Threads whose operation may have been interrupted by what went on within it.
        self._disturbed: set[int] = set()

    def also_recover(self, recover: Callable[[], None]) -> None:
        """Have something more given back, as the argument `recover` says."""
        self._recover.append(recover)

    def begin_within(self) -> bool:
        """Begin an operation in a thread that had one under way; True where that is still so.

        Raises:
            SessionError: it is, and cannot go on before this one is done.
        """
        thread = get_ident()
        if not _is_on_stack(self):
            # Interrupted where it could not tidy up.
            self._give_back(thread)
            return False
        if not self.running[thread]:
            self._disturbed.add(thread)
            raise under_way()
        return True

    def end_by(self, error: BaseException, *, within: bool) -> None:
        """End an operation by an error."""
        thread = get_ident()
        if within:
            self._disturbed.add(thread)
        elif thread in self._disturbed or not isinstance(error, SessionError) or error.__context__ is not None:
            # An error of this package that was made of another one may have been made of what a handler raised.
            try:
                self._give_back(thread)
            except BaseException:
                # The next operation of this thread would do it; but others may be waiting.
                self._give_back(thread)
                raise
        else:
            self.running.pop(thread, None)

    def _give_back(self, thread: int) -> None:
        if _is_in_session():
            # Begun by a handler, while a method of a session has its own locks. The next operation does it.
            return
        for recover in self._recover:
            recover()
        self._disturbed.discard(thread)
        self.running.pop(thread, None)

    def __enter__(self) -> None:
        """Let code of the user in a block begin operations of its own."""
        if (thread := get_ident()) in self.running:
            self.running[thread] = True

    def __exit__(self, *_: object) -> None:
        if (thread := get_ident()) in self.running:
            self.running[thread] = False

    def pausing(self, call: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return a function that lets a function of the user begin operations of its own."""

        def paused(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with self:
                return call(*args, **kwargs)

        return paused

    def after_fork(self) -> None:
        """In a child of os.fork: other threads are gone."""
        thread = get_ident()
        self.running = {key: value for key, value in self.running.items() if key == thread}
        self._disturbed.clear()


class Operating(Protocol):
    _operations: Operations


_Self = TypeVar("_Self", bound=Operating)


def operation(method: Callable[Concatenate[_Self, _P], _R]) -> Callable[Concatenate[_Self, _P], _R]:
    """Make a method an operation: what it leaves locked when it is interrupted is given back.

    Called while another one is under way in the same thread, other than from code that the other one calls on purpose,
    it raises a `SessionError` at once: it could only wait for itself.
    """

    def run(self: _Self, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        operations = self._operations
        running, thread = operations.running, get_ident()
        within = thread in running and operations.begin_within()
        running[thread] = False
        try:
            result = method(self, *args, **kwargs)
        except BaseException as error:
            operations.end_by(error, within=within)
            if within:
                running[thread] = True
            raise
        if within:
            running[thread] = True
        else:
            running.pop(thread, None)
        return result

    global _code
    _code = run.__code__
    return wraps(method)(run)


_code: CodeType | None = None
_SESSION = f"{__name__.partition('.')[0]}.session.session"
"""The module of `Session`, which stands above this one."""


def _is_on_stack(operations: Operations) -> bool:
    """Tell whether an operation is under way further out in this thread."""
    frame: FrameType | None = sys._getframe(3)
    while frame is not None:
        if frame.f_code is _code and frame.f_locals.get("operations") is operations:
            return True
        frame = frame.f_back
    return False


def _is_in_session() -> bool:
    """Tell whether a method of a session is at work further out in this thread: it needs the lock of that session."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not _code:
        frame = frame.f_back
    while frame is not None:
        if frame.f_globals.get("__name__") == _SESSION:
            return True
        frame = frame.f_back
    return False
