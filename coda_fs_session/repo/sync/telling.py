"""What a sync notes while it runs: how far it is, and what was left alone."""

from __future__ import annotations

from typing import Literal

from ...errors import StoreError
from .report import ProgressCallback, SyncProgress


class Notes:
    """How far a sync is, and what it has met.

    Args:
        callback: is told of each step, if there is one.

    Attributes:
        problems: what was left alone; moved: by phase, the bytes that were written so far.
    """

    def __init__(self, callback: ProgressCallback | None) -> None:
        self.moved = {"objects": 0, "refs": 0}
        self._callback = callback
        self._counts = {"objects": [0, 0], "refs": [0, 0]}
        self._problems: dict[str, StoreError] = {}

    @property
    def problems(self) -> tuple[StoreError, ...]:
        return tuple(self._problems.values())

    def note_problem(self, error: StoreError) -> None:
        self._problems[str(error)] = error

    def expect(self, phase: Literal["objects", "refs"], count: int) -> None:
        """Note that so many more are to be looked at."""
        self._counts[phase][1] += count

    def tell(self, phase: Literal["objects", "refs"], done: int) -> None:
        """Note that so many more were looked at."""
        counts = self._counts[phase]
        counts[0] += done
        if self._callback is not None:
            self._callback(SyncProgress(phase, counts[0], counts[1], self.moved[phase]))
