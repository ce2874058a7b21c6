"""How long each object has been seen unneeded, in time that this machine has seen pass.

A clock that jumps spends nothing: one gc counts a third of the grace at most, and of the retention for what only
history needs. Losing the ages only begins anew.
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
        past: how much time had passed for history when only history was first seen to need an object; kept: and now.
    """

    credit: float = 0.0
    last: float | None = None
    first: dict[str, float] = field(default_factory=dict)
    condemned: dict[str, float] = field(default_factory=dict)
    deleted: dict[str, float] = field(default_factory=dict)
    said: dict[str, float] = field(default_factory=dict)
    past: dict[str, float] = field(default_factory=dict)
    kept: float = 0.0

    @classmethod
    def recall(cls, machine: MachineState, store: object) -> Ages:
        """Return the ages that were kept for the store that is at the place; none for another one."""
        with suppress(ValueError, TypeError):
            of, credit, last, kept, *rest = decode_note(machine.recall(_TOPIC) or b"")
            if of == _as_json(store):
                first, condemned, deleted, told, past = ({str(k): float(v) for k, v in each.items()} for each in rest)
                return cls(float(credit), float(last), first, condemned, deleted, told, past, float(kept))
        return cls()

    def keep(self, machine: MachineState, store: object) -> None:
        times = [self.credit, self.last, self.kept]
        content = [_as_json(store), *times, self.first, self.condemned, self.deleted, self.said, self.past]
        machine.remember(_TOPIC, encode_note(content))

    def pass_time(self, now: datetime, grace_days: float, retention_days: float) -> None:
        """Count what has passed since the last gc, a third of the grace and of the retention at most."""
        moment = now.timestamp()
        if self.last is not None:
            self.credit += max(0.0, min(moment - self.last, grace_days * _DAY / 3))
            self.kept += max(0.0, min(moment - self.last, retention_days * _DAY / 3))
        self.last = moment

    def see(self, unneeded: Collection[str]) -> None:
        """Note what nothing needs now; what is needed again begins anew."""
        self.first = {each: self.first.get(each, self.credit) for each in unneeded}

    def expired(self, past: Collection[str], retention_days: float) -> set[str]:
        """Note what only history needs now, and return of it what only history has needed for the retention."""
        self.past = {each: self.past.get(each, self.kept) for each in past}
        return {each for each, since in self.past.items() if self.kept - since >= retention_days * _DAY}

    def has_passed(self, since: Mapping[str, float], what: str, grace_days: float) -> bool:
        """Tell whether the grace has passed since something was noted; never where it was not."""
        return what in since and self.credit - since[what] >= grace_days * _DAY


def _as_json(store: object) -> object:
    return list(store) if isinstance(store, tuple) else store
