"""What a sync remembers of the last one, so that it sees at once what is unchanged. Losing it loses nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...backends.base import MachineState, Place, Sign
from ..notes import decode_note, encode_note

_VERSION = 1
_DIGITS = 16

Pair = list[int]
"""A token, or sign, of our side and after it one of theirs, as JSON has them."""


@dataclass(slots=True)
class Memory:
    """The tokens and signs under which two stores were last found to hold the same.

    Attributes:
        refs: by path, of refs that said the same on both sides.
        groups: by the first two digits, of objects that were on both sides.
        verified: by the first two digits, the next 16 of the id of each object that was found good on both sides.
    """

    refs: dict[str, Pair] = field(default_factory=dict)
    groups: dict[str, Pair] = field(default_factory=dict)
    verified: dict[str, str] = field(default_factory=dict)

    @classmethod
    def recall(cls, machine: MachineState, here: Place, there: Place) -> Memory:
        """Return what was remembered of these two stores, nothing if one of them is another one now."""
        data = machine.recall(_topic(there))
        try:
            version, stores, refs, groups, verified = decode_note(data or b"")
        except (ValueError, TypeError):
            return cls()
        known = version == _VERSION and stores == _stores(here, there)
        return cls(refs, groups, verified) if known else cls()

    def remember(self, machine: MachineState, here: Place, there: Place) -> None:
        stores = _stores(here, there)
        if stores is None:
            return
        content = [_VERSION, stores, self.refs, self.groups, self.verified]
        machine.remember(_topic(there), encode_note(content))

    def verified_in(self, group: str) -> set[str]:
        """Return the short ids of a group's objects that need no reading."""
        text = self.verified.get(group, "")
        return {text[start : start + _DIGITS] for start in range(0, len(text), _DIGITS)}

    def note_group(self, group: str, signs: tuple[Sign, Sign] | None, ids: Iterable[str]) -> None:
        """Note which objects are good on both sides; with the signs under which there are no others."""
        if signs is not None:
            self.groups[group] = pair_of(*signs)
        else:
            self.groups.pop(group, None)
        self.verified[group] = "".join(sorted(map(short, ids)))


def short(identity: str) -> str:
    """Return the digits of an object's id by which it is remembered, without those of its group."""
    return identity[2 : 2 + _DIGITS]


def pair_of(ours: Iterable[int], theirs: Iterable[int]) -> Pair:
    return [*ours, *theirs]


def _topic(there: Place) -> str:
    return f"sync-{hashlib.sha256(there.path.encode(errors='surrogateescape')).hexdigest()[:16]}"


def _stores(here: Place, there: Place) -> Pair | None:
    """Return what tells these two stores from others at the same places, None where one is not made yet."""
    return None if here.store is None or there.store is None else pair_of(here.store, there.store)
