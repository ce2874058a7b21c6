"""Bringing objects to the side that lacks them: all that there are, each of them verified on both sides.

So what a tool has carried without its ref arrives too, and what is damaged on one side is mended from the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import NamedTuple

from ...backends.base import NewObject, RefKey
from ...errors import CorruptionError, ObjectNotYetHereError, StoreError
from ...format.ids import ObjectId
from ...format.refs import parse_ref
from ..content.objects import Objects
from ..maintenance.reach import Reach
from .anew import said_anew
from .memory import Memory, pair_of, short
from .side import Found, Side
from .telling import Notes

LARGE = 4 * 1024 * 1024
"""Bytes: an object of more is copied piece by piece."""


class ObjectExchange(ABC):
    """The part of a sync that moves objects, in the order that keeps every ref readable.

    Args:
        sides: ours and theirs; memory: what the last sync left.
    """

    def __init__(self, sides: tuple[Side, Side], memory: Memory, notes: Notes) -> None:
        self.sides = sides
        self.memory = memory
        self.notes = notes

    def other(self, side: Side) -> Side:
        ours, theirs = self.sides
        return theirs if side is ours else ours

    @abstractmethod
    def before_refs(self) -> None:
        """Bring what can be told without reading a ref, and let each side look at what was purged."""

    @abstractmethod
    def bring(self, source: Side, found: Sequence[Found]) -> set[str]:
        """Bring what refs of one side need to the other, which gets them next.

        Returns:
            The paths of refs that need what could not be brought: they are to be looked at again.
        """

    def after_refs(self) -> None:
        """Do what is to be done once refs and replica files have arrived. The default has nothing to do."""
        return

    @abstractmethod
    def has_news(self) -> bool:
        """Tell whether there is something to remember."""

    @abstractmethod
    def remember(self, new: Memory) -> None:
        """Note in a new memory what the next sync need not look at."""

    def anew(
        self, objects: Objects, gone: Iterable[str], refs: Callable[[], Mapping[str, Found | None]]
    ) -> set[ObjectId]:
        """Return which of some objects were purged with a session, and are another one's by now; see `said_anew`."""
        known = [side.repo.objects.purged for side in self.sides]
        maybe = {ObjectId(each) for each in gone} & (known[0].of_sessions | known[1].of_sessions)
        if not maybe:
            return set()
        found = [each for each in refs().values() if each is not None]
        return said_anew(found, objects, maybe, {**known[0].sessions, **known[1].sessions})

    def copy_large(self, side: Side, identity: str, size: int) -> bool:
        """Copy one object from the other side piece by piece; False where that had to be left alone."""
        pieces = self.other(side).backend.object_pieces(identity)
        try:
            first = next(pieces, b"")
            compress = side.repo.objects.copied(identity, first).compress
            side.backend.put_large_object(identity, size, chain([first], pieces), compress=compress)
        except (ObjectNotYetHereError, CorruptionError) as error:
            # It was there, and good, a moment ago.
            self.notes.note_problem(error)
            return False
        self.note_copy(side, size)
        return True

    def note_copy(self, side: Side, size: int) -> None:
        side.objects_in += 1
        side.object_bytes += size
        self.notes.moved["objects"] += size


class _Looked(NamedTuple):
    """A good object: its size, and its bytes where they were asked for and are not too many."""

    size: int
    data: bytes | None


class Going:
    """The objects whose files are on lists: a sync brings only what a ref or a replica file needs of them."""

    def __init__(self, sides: Sequence[Side]) -> None:
        for side in sides:
            side.repo.listed()
        self._listed = frozenset[str]().union(*(side.repo.listed.ids for side in sides))
        self._needed: dict[Side, set[str]] = {}

    def needed(self, source: Side, identities: set[str]) -> set[str]:
        """Return these without those that nothing on their side needs."""
        going = identities & self._listed
        return identities - (going - self._needed_on(source)) if going else identities

    def _needed_on(self, side: Side) -> set[str]:
        if side not in self._needed:
            reach = Reach(side.repo.objects)
            for path in side.list_refs():
                # One that cannot be read is told of where it is brought.
                with suppress(KeyError, StoreError):
                    reach.add_ref(parse_ref(side.backend.read_ref(RefKey(path)).data, path), path)
            reach.follow()
            named = {each for said in side.said().values() for each in said.named}
            self._needed[side] = {*reach.uses, *named, *side.repo.objects.purged.objects.values()}
        return self._needed[side]


class AllObjects(ObjectExchange):
    """Brings every object, whoever needs it; one that both have is read once, as writers never trust it."""

    def __init__(self, sides: tuple[Side, Side], memory: Memory, notes: Notes) -> None:
        super().__init__(sides, memory, notes)
        # By group the objects that are good on both sides.
        self._good: dict[str, set[str]] = {}

    def before_refs(self) -> None:
        ours, theirs = self.sides
        wanted: dict[Side, list[str]] = {ours: [], theirs: []}
        here, there = dict(ours.backend.object_groups()), dict(theirs.backend.object_groups())
        purged = ours.purged() | theirs.purged()
        again: dict[Side, set[str]] = {ours: set(), theirs: set()}
        going = Going(self.sides)
        for group in sorted(here.keys() | there.keys()):
            known = self.memory.groups.get(group)
            if known is not None and group in here and group in there and known == pair_of(here[group], there[group]):
                continue
            left, right = set(ours.backend.object_ids(group)), set(theirs.backend.object_ids(group))
            wanted[ours] += sorted(going.needed(theirs, right - left - purged))
            wanted[theirs] += sorted(going.needed(ours, left - right - purged))
            again[ours] |= (right - left) & purged
            again[theirs] |= (left - right) & purged
            verified, good = self.memory.verified_in(group), self._good.setdefault(group, set())
            good |= {each for each in left & right if short(each) in verified}
            for identity in sorted((left & right) - good):
                bad = [side for side in self.sides if self._look_at(side, identity) is None]
                if not bad:
                    good.add(identity)
                elif len(bad) == 1:
                    wanted[bad[0]].append(identity)
        for side in self.sides:
            source = self.other(side)
            found = self.anew(source.repo.objects, again[side], partial(source.read_many, [*source.refs]))
            wanted[side] += sorted(found)
        receiving = [side for side in self.sides if side.receives and wanted[side]]
        self.notes.expect("objects", sum(len(wanted[side]) for side in receiving))
        for side in receiving:
            side.backend.prepare()
            large: list[tuple[str, int]] = []
            side.backend.put_objects(self._objects_for(side, wanted[side], large))
            for identity, size in large:
                if self.copy_large(side, identity, size):
                    self._good[identity[:2]].add(identity)
                self.notes.tell("objects", 1)

    def bring(self, source: Side, found: Sequence[Found]) -> set[str]:
        """Bring the objects of refs that moved on after the objects were listed."""
        moved = {each.path: each.token for each in found if source.refs.get(each.path) != each.token}
        if moved:
            source.refs |= moved
            self.before_refs()
        return set()

    def has_news(self) -> bool:
        return bool(self._good)

    def remember(self, new: Memory) -> None:
        ours, theirs = self.sides
        new.groups, new.verified = dict(self.memory.groups), dict(self.memory.verified)
        left, right = dict(ours.backend.object_groups()), dict(theirs.backend.object_groups())
        for group, good in self._good.items():
            both = group in left and group in right
            same = both and good == set(ours.backend.object_ids(group)) == set(theirs.backend.object_ids(group))
            new.note_group(group, (left[group], right[group]) if same else None, good)

    def _objects_for(self, side: Side, identities: list[str], large: list[tuple[str, int]]) -> Iterator[NewObject]:
        """Yield objects to be written; those that memory is not to hold go to `large`, with their sizes."""
        for identity in identities:
            found = self._look_at(self.other(side), identity, keep=LARGE)
            if found is not None and found.data is None:
                large.append((identity, found.size))
                continue
            if found is not None and found.data is not None:
                yield side.repo.objects.copied(identity, found.data)
                self._good[identity[:2]].add(identity)
                self.note_copy(side, found.size)
            self.notes.tell("objects", 1)

    def _look_at(self, side: Side, identity: str, *, keep: int = 0) -> _Looked | None:
        """Verify an object, None where it is damaged or gone since it was listed.

        Args:
            keep: return its bytes if it has no more than this.
        """
        size = 0
        kept: list[bytes] = []
        try:
            for piece in side.backend.object_pieces(identity):
                size += len(piece)
                if size <= keep:
                    kept.append(piece)
                else:
                    kept.clear()
        except ObjectNotYetHereError:
            return None
        except StoreError as error:
            self.notes.note_problem(error)
            return None
        return _Looked(size, b"".join(kept) if size <= keep else None)
