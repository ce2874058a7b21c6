"""Interrupting a call at each of its moments, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

KINDS: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit, MemoryError, GeneratorExit, TimeoutError)
"""What comes out of a signal handler, and what the interpreter raises by itself."""


class Interrupter:
    """Raises an exception at one moment of a call: before a line of whatever Python code it runs, or before an opcode.

    Args:
        at: which moment, from 1 on.
        kind: what to raise.
        opcodes: count opcodes and not lines. Between some of them no signal is ever looked at.

    Attributes:
        count: how many moments have come; hit: the one did.
    """

    def __init__(self, at: int, kind: type[BaseException] = KeyboardInterrupt, *, opcodes: bool = False) -> None:
        self._at = at
        self._kind = kind
        self._event = "opcode" if opcodes else "line"
        self.count = 0
        self.hit = False

    def call(self, call: Callable[[], object]) -> None:
        """Call; what is raised because of the interrupt ends here."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            call()
        except BaseException:
            if not self.hit:
                raise
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        # What is raised in a finalizer goes nowhere.
        if frame.f_code.co_filename == __file__ or frame.f_code.co_name in ("__del__", "remove", "_commit_removals"):
            return None
        frame.f_trace_opcodes = self._event == "opcode"
        if event == self._event and not self.hit:
            self.count += 1
            if self.count == self._at:
                self.hit = True
                raise self._kind
        return self._trace
