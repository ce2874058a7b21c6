"""How long each object has been seen unneeded, in time that this machine has seen pass.

A clock that jumps spends nothing: one gc counts a third of the grace at most. Losing the ages only begins anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ...backends.base import MachineState
from ..notes import decode_note, encode_note

_TOPIC = "gc"
_DAY = 86400.0


@dataclass(slots=True)
class Ages:
    """Ages of objects, in seconds of credit.

    Attributes:
        credit: how much time has passed; last: what the clock said at the last gc, None before the first.
        first: the credit at which each object was first seen unneeded; condemned: that at which a list was written.
        deleted: that at which an object was moved into the trash.
        said: what the clock said when a list was written.
    """

    credit: float = 0.0
    last: float | None = None
    first: dict[str, float] = field(default_factory=dict)
    condemned: dict[str, float] = field(default_factory=dict)
    deleted: dict[str, float] = field(default_factory=dict)
    said: dict[str, float] = field(default_factory=dict)

    @classmethod
    def recall(cls, machine: MachineState, store: object) -> Ages:
        """Return the ages that were kept for the store that is at the place; none for another one."""
        with suppress(ValueError, TypeError):
            of, credit, last, *rest = decode_note(machine.recall(_TOPIC) or b"")
            if of == _as_json(store):
                return cls(float(credit), float(last), *({str(k): float(v) for k, v in each.items()} for each in rest))
        return cls()

    def keep(self, machine: MachineState, store: object) -> None:
        content = [_as_json(store), self.credit, self.last, self.first, self.condemned, self.deleted, self.said]
        machine.remember(_TOPIC, encode_note(content))

    def pass_time(self, now: datetime, grace_days: float) -> None:
        """Count what has passed since the last gc, a third of the grace at most."""
        moment = now.timestamp()
        if self.last is not None:
            self.credit += max(0.0, min(moment - self.last, grace_days * _DAY / 3))
        self.last = moment

    def see(self, unneeded: Collection[str]) -> None:
        """Note what nothing needs now; what is needed again begins anew."""
        self.first = {each: self.first.get(each, self.credit) for each in unneeded}

    def has_passed(self, since: Mapping[str, float], what: str, grace_days: float) -> bool:
        """Tell whether the grace has passed since something was noted; never where it was not."""
        return what in since and self.credit - since[what] >= grace_days * _DAY


def _as_json(store: object) -> object:
    return list(store) if isinstance(store, tuple) else store
