"""Bringing two stores to hold the same: objects first, then the refs that name them, nothing ever removed.

Both stores may be written meanwhile, by anybody, and a sync may be killed anywhere and run again. A ref at
the same path on both sides has one writer, so one of the two states contains the other, and goes there.
Where neither does, a replica was reverted or cloned: each side keeps its own, and gets the other's beside it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from ...backends.base import RefChangedError, RefKey, Token
from ...errors import ObjectNotYetHereError, StoreError, UnsupportedError
from ...storage import SessionStorage
from ..ancestry.ancestors import covers, same_life
from ..content.state import State
from ..dry_run import dry
from ..reverts.plans import finish
from ..storage import RepoStorage, engine_of
from . import hub, replica_files
from .chosen import chosen
from .memory import Memory, hash_of, pair_of
from .named import NamedObjects
from .objects import AllObjects, ObjectExchange
from .report import Direction, ProgressCallback, SyncReport
from .side import AT_ONCE, Found, Side
from .telling import Notes

_TURNED: dict[Direction, Direction] = {"both": "both", "push": "pull", "pull": "push"}
_REFS_AT_ONCE = 256
_BYTES_AT_ONCE = 16 * 1024 * 1024
_TRIES = 8


def sync(
    ours: RepoStorage,
    theirs: RepoStorage,
    *,
    direction: Direction = "both",
    progress: ProgressCallback | None = None,
    dry_run: bool = False,
    names: Sequence[str] | None = None,
) -> SyncReport:
    """Copy what is missing or further on from one store to the other; see `SessionManager.sync`."""
    if ours.repo.backend.capabilities.costly:
        if theirs.repo.backend.capabilities.costly:
            raise UnsupportedError("two stores in buckets are not synced with each other: sync both with one on a disk")
        report = sync(*(theirs, ours), direction=_TURNED[direction], progress=progress, dry_run=dry_run, names=names)
        return SyncReport(report.pulled, report.pushed, report.problems)
    if dry_run:
        ours, theirs = dry(ours, theirs), dry(theirs, ours)
    return _Sync(ours, theirs, direction, Notes(progress)).run(names)


def take_refs(ours: RepoStorage, theirs: RepoStorage) -> None:
    """Bring refs here to what those of another store have more, or keep both; their objects are all here."""
    theirs.repo.objects = ours.repo.objects
    _Sync(ours, theirs, "pull", Notes(None)).take_refs()


def syncable(storage: SessionStorage) -> RepoStorage:
    """Return a storage that can be synced.

    Raises:
        UnsupportedError: this one cannot, since it is not one of this package's.
    """
    engine = engine_of(storage)
    if engine is not None:
        return engine
    raise UnsupportedError(
        f"a {type(storage).__name__} cannot be synced: only stores of this package can; "
        "export_session and import_session carry its sessions over"
    )


def refuse_overlap(one: str, other: str) -> None:
    """Refuse two places of which one is, or is within, the other.

    Raises:
        ValueError: they are.
    """
    if f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/"):
        raise ValueError(f"a store cannot be synced with itself or with a folder within: {one} and {other}")


class _Sync:
    def __init__(self, ours: RepoStorage, theirs: RepoStorage, direction: Direction, notes: Notes) -> None:
        self._ours = Side(ours, receives=direction != "push", notes=notes)
        self._theirs = Side(theirs, receives=direction != "pull", notes=notes)
        self._sides = (self._ours, self._theirs)
        self._notes = notes
        self._memory = Memory()
        self._objects: ObjectExchange = AllObjects(self._sides, self._memory, notes)
        # The tokens of refs that say the same on both sides; those that lack objects are looked at again.
        self._same: dict[str, tuple[Token, Token]] = {}
        self._lacking: set[str] = set()
        # Where looking is costly, what refs there are by now.
        self._there: dict[str, list[Any]] = {}
        # Where several are written at a time, what is to go there.
        self._waiting: list[tuple[Found, Found]] = []

    def run(self, names: Sequence[str] | None) -> SyncReport:
        ours, theirs = self._sides
        refuse_overlap(ours.backend.address(), theirs.backend.address())
        self._recall(all_objects=names is None and not theirs.costly)
        if not theirs.costly and theirs.backend.place().store is None:
            self._make(theirs)
        # Refs before objects: what a ref names was there before it.
        ours.look()
        theirs.look()
        if theirs.costly:
            self._objects.memory = self._memory = hub.begin(ours, theirs, self._memory, look=names is None)
            if not theirs.refs and not theirs.receives:
                self._make(theirs)
        paths = self._differing(None if names is None else chosen(names, ours, theirs))
        self._objects.before_refs()
        # A state is compared without what was purged, be it that only one side has been told.
        for side in self._sides:
            side.repo.objects.purged.learn(self._other(side).repo.objects.purged)
        known = [set(side.repo.objects.purged.records) for side in self._sides]
        self._exchange_refs(paths)
        said = replica_files.exchange(ours, theirs)
        self._objects.after_refs()
        self._remember(said)
        if known[0] != known[1] or (known[0] and theirs.repo.replica is None):
            # What this machine keeps of lists of the other store, in which others take out later what they have
            # written. Its own is looked after as a manager closes.
            theirs.repo.index.forget()
            theirs.repo.machine.scrub(lambda data: False, index=True)
        return SyncReport(theirs.transfer(), ours.transfer(), self._notes.problems)

    def _recall(self, *, all_objects: bool) -> None:
        ours, theirs = self._sides
        self._memory = Memory.recall(ours.repo.machine, ours.backend.place(), hub.place_of(theirs))
        exchange = AllObjects if all_objects else NamedObjects
        self._objects = exchange(self._sides, self._memory, self._notes)

    def take_refs(self) -> None:
        ours, theirs = self._sides
        ours.look()
        theirs.look()
        self._exchange_refs(sorted(theirs.refs))

    def _make(self, target: Side) -> None:
        if target.receives:
            target.prepare()
            finish(target.repo)
        elif not target.list_refs() and not any(target.backend.object_groups()):
            path = target.backend.place().path
            raise StoreError(f"there is no store at {path} to pull from: is the disk there?", path)

    def _other(self, side: Side) -> Side:
        return self._theirs if side is self._ours else self._ours

    def _differing(self, chosen: Container[str] | None) -> list[str]:
        """Return the paths of refs that may have to go somewhere, of those that were chosen if only some were."""
        known, there = self._memory.refs, self._theirs.refs
        paths = []
        for path, token in self._ours.refs.items():
            other = there.get(path)
            if other is None:
                if self._theirs.receives:
                    paths.append(path)
            elif known.get(path) != pair_of(token.numbers(), other.numbers()):
                paths.append(path)
        if self._ours.receives:
            paths += there.keys() - self._ours.refs.keys()
        return sorted(paths) if chosen is None else sorted(path for path in paths if path in chosen)

    # Refs

    def _exchange_refs(self, paths: list[str]) -> None:
        self._notes.expect("refs", len(paths))
        missing = [[path for path in paths if path not in side.refs] for side in self._sides]
        both = [path for path in paths if all(path in side.refs for side in self._sides)]
        for side, new in zip(self._sides, missing, strict=True):
            self._create(side, new)
        for start in range(0, len(both), _REFS_AT_ONCE):
            self._reconcile_all(both[start : start + _REFS_AT_ONCE])

    def _create(self, side: Side, paths: list[str]) -> None:
        """Write the refs that a side does not have."""
        for batch in self._batches(self._other(side), paths):
            alone = {found.path: found for found in batch if not side.family(found.path)}
            taken = side.create(list(alone.values())) if alone else ()
            for found in batch:
                if found.path in taken or found.path not in alone:
                    self._bring(side, found)
                elif found.path in side.seen:
                    self._note_same(found)
            self._notes.tell("refs", len(batch))

    def _batches(self, source: Side, paths: list[str]) -> Iterator[list[Found]]:
        """Read good refs, some at a time, the objects of which have arrived."""
        batch: list[Found] = []
        size = 0
        for start in range(0, len(paths), AT_ONCE):
            for found in source.read_many(paths[start : start + AT_ONCE]).values():
                if found is None or found.head is None:
                    self._notes.tell("refs", 1)
                    continue
                batch.append(found)
                size += len(found.data)
            if len(batch) >= _REFS_AT_ONCE or size >= _BYTES_AT_ONCE:
                self._bring_objects(source, batch)
                yield batch
                batch, size = [], 0
        if batch:
            self._bring_objects(source, batch)
            yield batch

    def _bring_objects(self, source: Side, found: Sequence[Found]) -> None:
        self._lacking |= self._objects.bring(source, found)

    def _reconcile_all(self, paths: Sequence[str]) -> None:
        """Bring refs that both sides have to the newer of their two states."""
        if self._theirs.costly:
            paths = self._reconcile_at_once(paths)
        for path in paths:
            self._reconcile(path)
            self._notes.tell("refs", 1)

    def _reconcile_at_once(self, paths: Sequence[str]) -> list[str]:
        """Reconcile many refs where every look is a request; return those that were written to meanwhile."""
        ours, theirs = self._sides
        left = ours.read_many(paths)
        right, known = hub.read(theirs, left, self._memory)
        pairs = [(mine, found) for path in paths if (mine := left[path]) and (found := right[path])]
        if ours.receives:
            # Before they are compared, as that may take some of them.
            self._bring_objects(theirs, [found for _, found in pairs if found.head and found.path not in known])
        changed = []
        for mine, found in pairs:
            try:
                self._decide(mine, found)
            except RefChangedError:
                changed.append(mine.path)
        waiting, self._waiting = self._waiting, []
        # Also what both have: an object of it may be gone from there.
        same = [mine for mine, found in pairs if theirs.receives and mine.head and mine.data == found.data]
        self._bring_objects(ours, [*same, *(new for _, new in waiting)])
        refused = theirs.advance_all(waiting)
        for _, new in waiting:
            if theirs.refs[new.path] == theirs.seen[new.path] and new.path not in refused:
                self._note_same(new)
        self._notes.tell("refs", len(paths) - len(changed) - len(refused))
        return [*changed, *sorted(refused)]

    def _reconcile(self, path: str) -> None:
        """Bring a ref that both sides have to the newer of its two states."""
        for _ in range(_TRIES):
            left, right = self._ours.read(path), self._theirs.read(path)
            if left is None or right is None:
                return
            try:
                return self._decide(left, right)
            except RefChangedError:
                # A writer was faster.
                continue
        where = self._ours.backend.locate(RefKey(path))
        self._notes.note_problem(StoreError(f"{where} was written to again and again: sync once more", where))

    def _decide(self, left: Found, right: Found) -> None:
        if left.data == right.data:
            return self._note_same(left)
        newer: Found | None = None
        if left.head and right.head:
            forward, backward = self._contains(left, right), self._contains(right, left)
            if forward and backward:
                newer = max(left, right, key=_progress)
            elif forward or backward:
                newer = left if forward else right
            elif forward is None or backward is None:
                return
        for side, own, incoming in ((self._ours, left, right), (self._theirs, right, left)):
            if not side.receives or incoming.head is None or newer is own:
                continue
            if newer is incoming and side.costly:
                self._waiting.append((own, incoming))
                continue
            self._bring_objects(self._other(side), [incoming])
            if newer is incoming:
                side.advance(own, incoming)
                self._note_same(incoming)
            else:
                self._bring(side, incoming)

    def _bring(self, side: Side, found: Found) -> None:
        """Keep a ref on a side that has something else at its path, or near it."""
        elsewhere = self._other(side).refs
        kept = [member for path in side.family(found.path) if (member := side.read(path)) and member.head]
        if any(self._contains(member, found) is not False for member in kept):
            return
        for member in kept:
            # A copy that an earlier sync put there. What the other side has at this path too goes on by itself.
            if member.path not in elsewhere and self._contains(found, member):
                return side.advance(member, found)
        if found.path in side.refs or side.create([found]):
            side.create_beside(found, elsewhere)

    def _contains(self, newer: Found, older: Found) -> bool | None:
        """Tell whether one state has everything of another; None where only an object that is missing would tell."""
        assert newer.head is not None
        assert older.head is not None
        try:
            if newer.data.startswith(older.data) or _is_ahead(_purged(newer.head), _purged(older.head)):
                return True
            # As they are, too: of a text that stands in another replica's ref alone, no record tells the chain hashes.
            return bool(newer.head.messages.objects.purged.lines) and _is_ahead(newer.head, older.head)
        except ObjectNotYetHereError as error:
            self._notes.note_problem(error)
            return None
        except StoreError as error:
            self._notes.note_problem(error)
            return False

    def _note_same(self, found: Found) -> None:
        """Note that the states that were last read or written at a path are this one."""
        ours, theirs = self._sides
        self._same[found.path] = (ours.seen[found.path], theirs.seen[found.path])
        if theirs.costly:
            self._there[found.path] = hash_of(theirs.seen[found.path], found.data)

    def _remember(self, said: dict[str, list[Any]]) -> None:
        """Keep for the next time what is the same on both sides, as far as it still is."""
        ours, theirs = self._sides
        old = self._memory
        if not self._same and not self._objects.has_news() and said == old.said and theirs.looked == old.looked:
            return
        # What was written is known: where looking is costly nothing is looked at twice.
        here, there = ours.list_refs(), theirs.refs if theirs.costly else theirs.list_refs()
        new = Memory(ready=theirs.costly and theirs.ready, looked=theirs.looked)
        new.refs = {path: pair for path, pair in old.refs.items() if path in here and path in there}
        for path, tokens in self._same.items():
            # Not of a file so young that another change could hide behind its time: its token equals no other.
            if (here.get(path), there.get(path)) == tokens and path not in self._lacking:
                new.refs[path] = pair_of(tokens[0].numbers(), tokens[1].numbers())
        if theirs.costly:
            new.said = said
            new.there = {**old.there, **self._there}
            for path in self._lacking:
                new.there.pop(path, None)
        self._objects.remember(new)
        if new != old:
            new.remember(ours.repo.machine, ours.backend.place(), hub.place_of(theirs))


def _is_ahead(newer: State, older: State) -> bool:
    if not covers(newer, older):
        return False
    # Messages are not all: metadata counts unless the name was deleted or created anew in between.
    return not same_life(newer, older) or newer.has_values_of(older)


def _purged(head: State) -> State:
    """Return a state without what was purged, so that it is compared with others that are without it."""
    return head.without_purged() if head.messages.objects.purged.lines else head


def _progress(found: Found) -> tuple[object, ...]:
    """Order two states that contain each other, as where a message was taken back: more history is newer.

    That from which something was purged is newer in any case.
    """
    head = found.head
    assert head is not None
    commits = head.header.commit.depth + 1 if head.header.commit else 0
    edits = sum(save.replace is not None for save in head.saves)
    return found.is_purged(), commits, edits, head.header.base.messages, head.count, head.updated, found.data
