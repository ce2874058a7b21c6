"""What tells the other processes of this machine that something was purged, so that they do not write it down again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ...backends.base import MachineState

_TOPIC = "last-purge"


class LastPurge:
    """The last purge that was noted when the index was opened.

    Attributes:
        then: forgets what else was read, where another process has purged something since.
    """

    then: Callable[[], None]

    def __init__(self, machine: MachineState) -> None:
        self._machine = machine
        self._known: bytes | None = None

    def may_go_on_in(self, folders: Iterable[str]) -> bool:
        """Tell whether others may have taken something out of these folders of refs, as a purge that was noted asks."""
        return self._known is not None and not {each.partition("/")[0] for each in folders}.issubset(
            self._machine.record.replicas()
        )

    def look(self) -> None:
        """Take in what is noted. To be called before anything is read that a purge takes something out of."""
        self._known = self._machine.recall(_TOPIC)

    def note(self) -> None:
        """Let no other process keep what it knows by now."""
        self._known = os.urandom(8).hex().encode()
        self._machine.remember(_TOPIC, self._known)

    def is_past(self) -> bool:
        """Tell whether another process has purged something since, and forget then what else was read."""
        if self._machine.recall(_TOPIC) == self._known:
            return False
        self.then()
        return True
