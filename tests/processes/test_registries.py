"""What the package remembers of open stores for a fork, for the end and for a lack of descriptors, beside threads."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections import deque
from collections.abc import Callable

import pytest

from coda_fs_session.process import forks
from coda_fs_session.process.weakly import Weakly

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no process forks here")


class Resting:
    """Notes what is done to it, and may do something itself before the fork."""

    def __init__(self, act: Callable[[], object] = lambda: None) -> None:
        self.calls: list[str] = []
        self._act = act

    def before_fork(self) -> None:
        self.calls.append("before")
        self._act()

    def after_fork_in_parent(self) -> None:
        self.calls.append("parent")

    def after_fork(self) -> None:
        self.calls.append("child")


def test_weak_objects_may_come_and_go_meanwhile() -> None:
    """Going through them goes through those that were there, whatever other threads add and drop in between."""
    known: Weakly[Resting] = Weakly()
    held = [Resting() for _ in range(3)]
    for each in held:
        known.add(each)
    seen = []
    for each in known:
        seen.append(each)
        held.append(Resting())
        known.add(held[-1])
    assert set(seen) == set(held[:3])
    assert len(list(known)) == 6
    known.discard(held[0])
    del held, seen, each
    gc.collect()
    assert not list(known)


def fork_and_ask(check: Callable[[], bool]) -> bool:
    """Fork, and return what the child finds."""
    child = os.fork()
    if not child:
        os._exit(0 if check() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@needs_fork
def test_stores_that_are_opened_while_the_process_forks() -> None:
    """Another thread opens stores while those that are open are put at rest: all of these are, at each fork."""
    open_store = Resting()
    forks.rest(open_store)
    is_done = threading.Event()

    def open_others() -> None:
        held: deque[Resting] = deque(maxlen=1000)
        while not is_done.is_set():
            held.append(Resting())
            forks.rest(held[-1])

    before = sys.getswitchinterval()
    other = threading.Thread(target=open_others)
    other.start()
    try:
        sys.setswitchinterval(1e-6)
        for _ in range(200):
            forks._before_fork()
            forks._after_fork_in_parent()
    finally:
        sys.setswitchinterval(before)
        is_done.set()
        other.join()
    assert open_store.calls == ["before", "parent"] * 200


@needs_fork
def test_an_interrupt_while_something_is_written_before_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process forks all the same: so everything is at rest, and the child makes it anew."""
    told: list[type[BaseException] | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))

    def interrupt() -> None:
        raise KeyboardInterrupt

    writing, resting = Resting(interrupt), Resting()
    forks.write_first(writing)
    forks.rest(resting)
    assert fork_and_ask(lambda: resting.calls == ["before", "child"])
    assert resting.calls == ["before", "parent"]
    assert told == [KeyboardInterrupt]
