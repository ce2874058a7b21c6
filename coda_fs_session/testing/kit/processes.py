"""Other processes for the tests that need some: forked, so that they may run anything."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import pytest

_SECONDS = 60


def run_processes(count: int, work: Callable[[int], object]) -> None:
    """Call ``work(0)`` to ``work(count - 1)``, each in a process of its own, all at once.

    Raises:
        AssertionError: one of them raised; what, is on standard error. Or it did not come to an end.
    """
    processes = _forking()
    start = processes.Barrier(count)

    def run(number: int) -> None:
        start.wait(_SECONDS)
        work(number)

    children = [processes.Process(target=run, args=(number,), daemon=True) for number in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join(_SECONDS)
    endings = [child.exitcode for child in children]
    for child in children:
        child.kill()
    assert endings == [0] * count, "these ended otherwise than by returning; standard error says how"


@contextmanager
def process_to_kill(work: Callable[[Callable[[int], None]], object], *, part: float) -> Iterator[Callable[[], int]]:
    """Run ``work(acknowledge)`` in a process that is killed, by SIGKILL, when the block ends.

    Args:
        part: how much of its next step it may still do, measured by how long the last one took: 0.5 is in the middle.

    Yields:
        A function that waits for the next number that the process acknowledges, and returns it.
    """
    processes = _forking()
    receiving, sending = processes.Pipe(duplex=False)

    def run(channel: Connection) -> None:
        receiving.close()
        work(channel.send)

    child = processes.Process(target=run, args=(sending,), daemon=True)
    child.start()
    sending.close()

    moments = [time.monotonic()]

    def acknowledged() -> int:
        assert receiving.poll(_SECONDS), "the other process acknowledged nothing for a minute"
        try:
            number = int(receiving.recv())
        except EOFError:
            raise AssertionError("the other process ended by itself; standard error says how") from None
        moments.append(time.monotonic())
        return number

    try:
        yield acknowledged
        time.sleep((moments[-1] - moments[-2]) * part)
    finally:
        child.kill()
        child.join(_SECONDS)
        receiving.close()


def _forking() -> Any:
    """Return what makes processes; a test that needs some is skipped on a system that forks none."""
    if not hasattr(os, "fork"):
        pytest.skip("it needs os.fork")
    return multiprocessing.get_context("fork")
