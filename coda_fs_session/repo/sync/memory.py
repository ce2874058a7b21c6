"""What a sync remembers of the last one, so that it sees at once what is unchanged. Losing it loses nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from ...backends.base import MachineState, Place, Sign, Token
from ..notes import decode_note, encode_note

_VERSION = 3
_DIGITS = 16

Pair = list[int]
"""A token, or sign, of our side and after it one of theirs, as JSON has them."""


@dataclass(slots=True)
class Memory:
    """The tokens and signs under which two stores were last found to hold the same.

    Attributes:
        refs: by path, of refs that said the same on both sides.
        groups: by the first two digits, of objects that were on both sides.
        verified: by the first two digits, the next 16 of the id of each object that was found good on both sides; where
            looking is costly, of each that is there with all that it names.
        there: of each ref of theirs where reading is costly, its token, size and a hash.
        said: where reading is costly, by replica, the sign of its file there and a hash of the one here.
        ready: where writing is costly, that the store there was made.
        looked: where looking is costly, when their objects were last listed, in seconds since 1970.
    """

    refs: dict[str, Pair] = field(default_factory=dict)
    groups: dict[str, Pair] = field(default_factory=dict)
    verified: dict[str, str] = field(default_factory=dict)
    there: dict[str, list[Any]] = field(default_factory=dict)
    said: dict[str, list[Any]] = field(default_factory=dict)
    ready: bool = False
    looked: int = 0

    @classmethod
    def recall(cls, machine: MachineState, here: Place, there: Place) -> Memory:
        """Return what was remembered of these two stores, nothing if one of them is another one now."""
        data = machine.recall(_topic(there))
        try:
            version, stores, *content = decode_note(data or b"")
        except (ValueError, TypeError):
            return cls()
        known = version == _VERSION and stores == _stores(here, there)
        return cls(*content) if known else cls()

    def remember(self, machine: MachineState, here: Place, there: Place) -> None:
        stores = _stores(here, there)
        if stores is None:
            return
        content = [_VERSION, stores, *(getattr(self, each.name) for each in fields(self))]
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

    def front_of(self, path: str, token: Token, data: bytes) -> int | None:
        """Return how many bytes a ref of theirs has, if these begin with it; None where that is not known."""
        known = self.there.get(path)
        if known is None or known[0] != token.numbers():
            return None
        size: int = known[1]
        return size if len(data) >= size and digest(data[:size]) == known[2] else None


def short(identity: str) -> str:
    """Return the digits of an object's id by which it is remembered, without those of its group."""
    return identity[2 : 2 + _DIGITS]


def pair_of(ours: Iterable[int], theirs: Iterable[int]) -> Pair:
    return [*ours, *theirs]


def hash_of(token: Token, data: bytes) -> list[Any]:
    """Return what to remember of a ref of theirs."""
    return [token.numbers(), len(data), digest(data)]


def digest(data: bytes) -> str:
    """Return what equal bytes have in common, and others have not."""
    return hashlib.sha256(data).hexdigest()[:32]


def _topic(there: Place) -> str:
    return f"sync-{hashlib.sha256(there.path.encode(errors='surrogateescape')).hexdigest()[:16]}"


def _stores(here: Place, there: Place) -> Pair | None:
    """Return what tells these two stores from others at the same places, None where one is not made yet."""
    return None if here.store is None or there.store is None else pair_of(here.store, there.store)
