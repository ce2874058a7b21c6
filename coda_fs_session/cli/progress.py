"""How far a long verb is: one line on stderr, where that is a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from .run import Run


class Progress:
    """A line that is written again and again, and gone at the end of the block.

    Attributes:
        is_shown: somebody can see it.
    """

    def __init__(self, run: Run) -> None:
        self.is_shown = sys.stderr is not None and sys.stderr.isatty() and not run.out.quiet
        self._width = 0

    def show(self, line: str) -> None:
        stream: Any = sys.stderr
        stream.write(f"\r{line:{self._width}}")
        stream.flush()
        self._width = len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._width:
            # The second one puts the cursor back.
            self.show("")
            self.show("")
