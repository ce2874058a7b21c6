"""Backends around a backend: one that fails where it is told to, one that takes its time.

Both keep every promise of what they wrap, as long as no fault is due, and pass the kit themselves.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..backends.base import Backend
from ..backends.wrapper import WRITING as WRITING
from ..backends.wrapper import T
from ..backends.wrapper import WrapperBackend as WrapperBackend
from ..errors import StoreError


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and when.

    Attributes:
        verb: the name of the backend's method that fails; "writing" counts the calls of all that change the store.
        at: which of its calls fails, from 0.
        when: "before" it has done anything, or "after" it has done everything.
        error: makes the error that is raised.
        lasting: how many calls fail, from that one on.
    """

    verb: str
    at: int = 0
    when: Literal["before", "after"] = "before"
    error: Callable[[str], StoreError] = StoreError
    lasting: float = 1


class FaultyBackend(WrapperBackend):
    """Raises chosen errors at chosen calls, before or after they had their effect.

    Attributes:
        faults: what goes wrong; may be changed at any time.
        calls: the verbs that were called, in order: how to find out what there is to fail.
    """

    def __init__(self, inner: Backend, *faults: Fault) -> None:
        super().__init__(inner)
        self.faults = list(faults)
        self.calls: list[str] = []
        self._counts: Counter[str] = Counter()

    def call(self, verb: str, act: Callable[[], T]) -> T:
        self.calls.append(verb)
        due = [fault for fault in self.faults if self._is_due(fault, verb)]
        self._counts.update([verb, "writing"] if verb in WRITING else [verb])
        for fault in due:
            if fault.when == "after":
                act()
            raise fault.error(f"{verb} fails here on purpose, {fault.when} its effect")
        return act()

    def _is_due(self, fault: Fault, verb: str) -> bool:
        concerned = fault.verb == verb or (fault.verb == "writing" and verb in WRITING)
        return concerned and fault.at <= self._counts[fault.verb] < fault.at + fault.lasting


class LatencyBackend(WrapperBackend):
    """Waits before every call, as a backend at the other end of a network does.

    Args:
        reading, writing: seconds to wait before a verb that reads, or changes, the store.
    """

    def __init__(self, inner: Backend, *, reading: float = 0.0, writing: float = 0.0) -> None:
        super().__init__(inner)
        self.reading, self.writing = reading, writing

    def call(self, verb: str, act: Callable[[], T]) -> T:
        time.sleep(self.writing if verb in WRITING else self.reading)
        return act()
