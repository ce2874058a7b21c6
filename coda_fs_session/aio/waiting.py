"""Waiting in an event loop for what a thread does."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import suppress
from typing import Any

from anyio import Event


class Bell:
    """Wakes tasks of one event loop from any thread; those that are to wake at the same time at the cost of one."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        # Of trio, or of asyncio.
        self._call = loop.run_sync_soon if hasattr(loop, "run_sync_soon") else loop.call_soon_threadsafe
        self._wanted: deque[Event] = deque()
        self._rung = False

    def ring(self, event: Event) -> None:
        self._wanted.append(event)
        if not self._rung:
            self._rung = True
            # Where the loop has ended meanwhile, nobody waits any more.
            with suppress(RuntimeError):
                self._call(self._wake)

    def _wake(self) -> None:
        # Before the look, so that what comes after it rings again.
        self._rung = False
        while self._wanted:
            self._wanted.popleft().set()


def running_loop() -> object:
    """Return what stands for the running event loop."""
    trio = sys.modules.get("trio")
    if trio is not None:
        with suppress(RuntimeError):
            token: object = trio.lowlevel.current_trio_token()
            return token
    import asyncio

    return asyncio.get_running_loop()
