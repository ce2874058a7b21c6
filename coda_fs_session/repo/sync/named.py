"""Bringing objects where looking is costly, or where only some sessions are wanted: those that refs lead to.

Nothing is listed there, nothing is read there that is here, and what is fetched is verified. An object that is known to
be there is there with all that it names: it is noted only once a ref that needs it has found all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from ...backends.base import OBJECT_LIMIT, NewObject
from ...errors import CorruptionError, ObjectNotYetHereError, StoreError
from ...format.ids import ObjectId
from ...format.lists import decode_list, id_of
from ...format.refs import parse_ref
from ...process.parallel import in_parallel
from ..maintenance.reach import Named, Reach
from ..replica_files import own_id
from . import hub
from .memory import Memory, short
from .objects import LARGE, ObjectExchange
from .side import AT_ONCE, Found, Side
from .telling import Notes

_BYTES_AT_ONCE = 16 * 1024 * 1024
_OBJECTS_AT_ONCE = 256
_NODE_BYTES = 64 * 1024


class NamedObjects(ObjectExchange):
    """Brings what refs need, each just before the refs that need it."""

    def __init__(self, sides: tuple[Side, Side], memory: Memory, notes: Notes) -> None:
        super().__init__(sides, memory, notes)
        # Of a side that is listed, what it has in the groups that were asked for.
        self._listed: dict[Side, dict[str, set[str]]] = {side: {} for side in sides}
        # Of one that is not, what has arrived there with all that it names.
        self._whole: dict[str, set[str]] = {}
        self._mutex = threading.Lock()
        self._news = False
        # What this machine has purged since the other side was told, with what stands for it.
        self._gone: dict[str, str] = {}
        self._lists: dict[str, frozenset[str]] = {}

    def before_refs(self) -> None:
        """Bring what replica files name: lists of what is to be deleted, and purge records."""
        for side in self.sides:
            if side.receives:
                source = self.other(side)
                named = {
                    each
                    for replica, said in source.said().items()
                    for each in said.named
                    if replica not in self.sides[1].known
                }
                self._copy(side, dict.fromkeys(sorted(named), _NODE_BYTES), limit=OBJECT_LIMIT)
        self._gone = self._own_purges()
        stand_ins = {each for each in self._gone.values() if self._has(self.sides[0], each)}
        self._copy(self.sides[1], dict.fromkeys(sorted(stand_ins), _NODE_BYTES), limit=OBJECT_LIMIT)
        for side in self.sides:
            side.purges()

    def after_refs(self) -> None:
        """Remove where looking is costly what this machine has purged."""
        theirs = self.sides[1]
        if theirs.costly:
            # Others may need what stands for it.
            hub.discard(theirs, [old for old, after in self._gone.items() if self._has(theirs, after)])

    def _let_go(self) -> frozenset[str]:
        """Return which objects are on lists of either side, as far as these are here."""
        found: set[str] = set()
        for side in self.sides:
            lists = {each for said in side.said().values() for each in said.lists}
            for each in sorted(lists - self._lists.keys()):
                with suppress(StoreError, ValueError):
                    data = self.sides[0].backend.get_object(each, size=None, limit=OBJECT_LIMIT)
                    self._lists[each] = frozenset(map(id_of, decode_list(data)))
            found.update(*(self._lists.get(each, ()) for each in lists))
        return frozenset(found)

    def _own_purges(self) -> dict[str, str]:
        """Return what this machine has purged since the side that receives was told, with what stands for it."""
        ours, theirs = self.sides
        own = own_id(ours.repo) if theirs.receives else None
        if own is None or own in theirs.known or own not in ours.said():
            return {}
        ours.purged()
        there = theirs.said().get(own)
        told = there.purged if there is not None else ()
        records = ours.repo.objects.purged.records
        new = [records[each] for each in ours.said()[own].purged if each in records and each not in told]
        return {old: after for record in new for old, after in record.objects.items()}

    def bring(self, source: Side, found: Sequence[Found]) -> set[str]:
        target = self.other(source)
        if not target.receives:
            return set()
        reader = target if source.costly else source
        objects = reader.repo.objects
        objects.heed_lists(self._let_go())
        reach = Reach(objects, self._known() if target.costly else ())
        for each in found:
            reach.add_ref(parse_ref(each.data, each.path), each.path)
        handled: set[ObjectId] = set()
        bad: set[str] = set()
        while True:
            # What expired on either side is brought by nobody.
            expired = {each for each in reach.uses if objects.is_let_go(each) and reach.is_history(each)}
            new = reach.uses.keys() - handled - expired
            handled |= new
            sizes = {identity: _size(reach.uses[identity]) for identity in new}
            # By what stands for an object, too, where it went on being needed as that.
            names = {after: each for each in new for after in reader.repo.objects.purged.stand_ins(each)}
            names |= {each: each for each in new}
            again = self.anew(reader.repo.objects, names, lambda: {each.path: each for each in found})
            again -= {ObjectId(each) for each in self._copy(target, {each: sizes[names[each]] for each in again})}
            rest = new - {names[each] for each in again}
            for identity in self._copy(target, self._not_purged({each: sizes[each] for each in rest})):
                bad |= {use.by for use in reach.uses.get(ObjectId(identity), {}).values()} or {
                    each.path for each in found
                }
            if not reach.follow_once():
                break
        for error in reach.unread.values():
            self.notes.note_problem(error)
        if not bad and not reach.unread:
            self._note_whole(handled)
        return bad | {use.by for identity in reach.unread for use in reach.uses[identity].values()}

    def has_news(self) -> bool:
        return self._news

    def remember(self, new: Memory) -> None:
        new.groups, new.verified = dict(self.memory.groups), dict(self.memory.verified)
        if any(side.costly for side in self.sides):
            for group, whole in self._whole.items():
                new.verified[group] = "".join(sorted(whole))

    # What is where

    def _known(self) -> _Whole:
        return _Whole(self)

    def is_whole(self, identity: str) -> bool:
        """Tell whether an object is there, as everything is that it names."""
        return short(identity) in self._whole_in(identity[:2])

    def _whole_in(self, group: str) -> set[str]:
        if group not in self._whole:
            self._whole[group] = self.memory.verified_in(group)
        return self._whole[group]

    def _note_whole(self, identities: Iterable[str]) -> None:
        for identity in identities:
            whole = self._whole_in(identity[:2])
            if short(identity) not in whole:
                whole.add(short(identity))
                self._news = True

    def _has(self, side: Side, identity: str) -> bool:
        if side.costly:
            return identity in side.there or self.is_whole(identity)
        group = identity[:2]
        listed = self._listed[side]
        if group not in listed:
            listed[group] = set(side.backend.object_ids(group))
        return identity in listed[group]

    def _note_put(self, side: Side, identity: str) -> None:
        if side.costly:
            side.there.add(identity)
        else:
            self._listed[side][identity[:2]].add(identity)

    def _not_purged(self, sizes: Mapping[ObjectId, int]) -> Mapping[str, int]:
        """Return what is to be brought: for what was purged, what stands for it."""
        maps = [side.repo.objects.purged for side in self.sides if side.purged()]
        if not maps:
            return {str(identity): size for identity, size in sizes.items()}
        return {
            next((stand_in for each in maps if (stand_in := each.stand_in(identity))), identity): size
            for identity, size in sizes.items()
        }

    # Copying

    def _copy(self, side: Side, sizes: Mapping[str, int], *, limit: int = 0) -> Collection[str]:
        """Copy what a side lacks of some objects; return which of them had to be left alone.

        Args:
            sizes: how many bytes each has, or may have; limit: how many more it may have than that.
        """
        wanted = [identity for identity in sizes if not self._has(side, identity)]
        if not wanted:
            return ()
        self.notes.expect("objects", len(wanted))
        side.prepare()
        left: set[str] = set()
        for batch in _batches(wanted, sizes):
            if sizes[batch[0]] <= LARGE:
                left |= self._copy_batch(side, batch, sizes, limit)
            elif self.copy_large(side, batch[0], sizes[batch[0]]):
                self._note_put(side, batch[0])
            else:
                left.add(batch[0])
            self.notes.tell("objects", len(batch))
        return left

    def _copy_batch(self, side: Side, batch: Sequence[str], sizes: Mapping[str, int], limit: int) -> set[str]:
        source = self.other(side)
        got: dict[str, NewObject] = {}
        left: set[str] = set()

        def get(identity: str) -> None:
            try:
                data = source.backend.get_object(identity, size=None, limit=max(limit, sizes[identity]))
            except (ObjectNotYetHereError, CorruptionError) as error:
                self._leave(identity, error, left)
            else:
                got[identity] = side.repo.objects.copied(identity, data)

        in_parallel(get, batch, threads=AT_ONCE if source.costly else 1)
        new = [got[identity] for identity in batch if identity in got]
        if side.costly:
            in_parallel(lambda each: side.backend.put_objects([each]), new, threads=AT_ONCE)
        elif new:
            side.backend.put_objects(new)
        for each in new:
            self._note_put(side, each.id)
            self.note_copy(side, len(each.data))
        return left

    def _leave(self, identity: str, error: StoreError, left: set[str]) -> None:
        with self._mutex:
            left.add(identity)
            self.notes.note_problem(error)


class _Whole:
    """The objects that are there with all that they name, as a container."""

    def __init__(self, exchange: NamedObjects) -> None:
        self._exchange = exchange

    def __contains__(self, identity: object) -> bool:
        return self._exchange.is_whole(str(identity))


def _size(uses: Iterable[Named]) -> int:
    """Return how many bytes an object may have by what is said of it; what is said of a node is of what is below it."""
    return max(_NODE_BYTES if each.kind == "node" else each.bytes for each in uses)


def _batches(identities: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield objects to be held in memory at once, and each large one alone."""
    batch: list[str] = []
    held = 0
    for identity in identities:
        size = sizes[identity]
        if size > LARGE:
            yield [identity]
            continue
        if batch and (held + size > _BYTES_AT_ONCE or len(batch) == _OBJECTS_AT_ONCE):
            yield batch
            batch, held = [], 0
        batch.append(identity)
        held += size
    if batch:
        yield batch
