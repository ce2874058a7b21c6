"""Bringing two stores to hold the same: objects first, then the refs that name them, nothing ever removed.

Both stores may be written meanwhile, by anybody, and a sync may be killed anywhere and run again. A ref at
the same path on both sides has one writer, so one of the two states contains the other, and goes there.
Where neither does, a replica was reverted or cloned: each side keeps its own, and gets the other's beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Literal, NamedTuple

from ...backends.base import NewObject, RefChangedError, RefKey, Token
from ...errors import CorruptionError, ObjectNotYetHereError, StoreError, UnsupportedError
from ...storage import SessionStorage
from ..ancestry.ancestors import covers, same_life
from ..content.state import State
from ..dry_run import dry
from ..reverts.plans import finish
from ..storage import RepoStorage, engine_of
from . import replica_files
from .memory import Memory, pair_of, short
from .report import Direction, ProgressCallback, SyncProgress, SyncReport
from .side import Found, Side

_LARGE = 4 * 1024 * 1024
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
) -> SyncReport:
    """Copy what is missing or further on from one store to the other; see `SessionManager.sync`."""
    if dry_run:
        ours, theirs = dry(ours, theirs), dry(theirs, ours)
    return _Sync(ours, theirs, direction, progress).run()


def take_refs(ours: RepoStorage, theirs: RepoStorage) -> None:
    """Bring refs here to what those of another store have more, or keep both; their objects are all here."""
    theirs.repo.objects = ours.repo.objects
    _Sync(ours, theirs, "pull", None).take_refs()


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


class _Looked(NamedTuple):
    """A good object: its size, and its bytes where they were asked for and are not too many."""

    size: int
    data: bytes | None


class _Sync:
    def __init__(
        self, ours: RepoStorage, theirs: RepoStorage, direction: Direction, progress: ProgressCallback | None
    ) -> None:
        self._problems: dict[str, StoreError] = {}
        self._ours = Side(ours, receives=direction != "push", problem=self._note_problem)
        self._theirs = Side(theirs, receives=direction != "pull", problem=self._note_problem)
        self._sides = (self._ours, self._theirs)
        self._callback = progress
        self._counts = {"objects": [0, 0], "refs": [0, 0]}
        self._memory = Memory()
        # The tokens of refs that say the same on both sides, and by group the objects that are good on both.
        self._same: dict[str, tuple[Token, Token]] = {}
        self._good: dict[str, set[str]] = {}

    def run(self) -> SyncReport:
        ours, theirs = self._sides
        refuse_overlap(ours.backend.place().path, theirs.backend.place().path)
        self._memory = Memory.recall(ours.repo.machine, ours.backend.place(), theirs.backend.place())
        if theirs.backend.place().store is None:
            self._make(theirs)
        # Refs before objects: what a ref names was there before it.
        ours.refs, theirs.refs = ours.list_refs(), theirs.list_refs()
        paths = self._differing()
        self._exchange_objects()
        self._exchange_refs(paths)
        replica_files.exchange(ours, theirs)
        self._remember()
        return SyncReport(theirs.transfer(), ours.transfer(), tuple(self._problems.values()))

    def take_refs(self) -> None:
        ours, theirs = self._sides
        ours.refs, theirs.refs = ours.list_refs(), theirs.list_refs()
        self._exchange_refs(sorted(theirs.refs))

    def _make(self, target: Side) -> None:
        if target.receives:
            target.backend.prepare()
            finish(target.repo)
        elif not target.list_refs() and not any(target.backend.object_groups()):
            path = target.backend.place().path
            raise StoreError(f"there is no store at {path} to pull from: is the disk there?", path)

    def _note_problem(self, error: StoreError) -> None:
        self._problems[str(error)] = error

    def _other(self, side: Side) -> Side:
        return self._theirs if side is self._ours else self._ours

    def _differing(self) -> list[str]:
        """Return the paths of refs that may have to go somewhere."""
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
        return sorted(paths)

    # Objects

    def _exchange_objects(self) -> None:
        """Bring every object to the sides that receive; one that both have is read once, as writers never trust it."""
        ours, theirs = self._sides
        wanted: dict[Side, list[str]] = {ours: [], theirs: []}
        here, there = dict(ours.backend.object_groups()), dict(theirs.backend.object_groups())
        purged = ours.purged() | theirs.purged()
        for group in sorted(here.keys() | there.keys()):
            known = self._memory.groups.get(group)
            if known is not None and group in here and group in there and known == pair_of(here[group], there[group]):
                continue
            left, right = set(ours.backend.object_ids(group)), set(theirs.backend.object_ids(group))
            wanted[ours] += sorted(right - left - purged)
            wanted[theirs] += sorted(left - right - purged)
            verified, good = self._memory.verified_in(group), self._good.setdefault(group, set())
            good |= {each for each in left & right if short(each) in verified}
            for identity in sorted((left & right) - good):
                bad = [side for side in self._sides if self._look_at(side, identity) is None]
                if not bad:
                    good.add(identity)
                elif len(bad) == 1:
                    wanted[bad[0]].append(identity)
        receiving = [side for side in self._sides if side.receives and wanted[side]]
        self._counts["objects"][1] += sum(len(wanted[side]) for side in receiving)
        for side in receiving:
            side.backend.prepare()
            large: list[tuple[str, int]] = []
            side.backend.put_objects(self._objects_for(side, wanted[side], large))
            for identity, size in large:
                self._copy_large(side, identity, size)

    def _objects_for(self, side: Side, identities: list[str], large: list[tuple[str, int]]) -> Iterator[NewObject]:
        """Yield objects to be written; those that memory is not to hold go to `large`, with their sizes."""
        for identity in identities:
            found = self._look_at(self._other(side), identity, keep=_LARGE)
            if found is not None and found.data is None:
                large.append((identity, found.size))
                continue
            if found is not None and found.data is not None:
                yield side.repo.objects.copied(identity, found.data)
                self._note_copy(side, identity, found.size)
            self._tell("objects", 1)

    def _copy_large(self, side: Side, identity: str, size: int) -> None:
        pieces = self._other(side).backend.object_pieces(identity)
        try:
            first = next(pieces, b"")
            compress = side.repo.objects.copied(identity, first).compress
            side.backend.put_large_object(identity, size, chain([first], pieces), compress=compress)
        except (ObjectNotYetHereError, CorruptionError) as error:
            # It was there, and good, a moment ago.
            self._note_problem(error)
        else:
            self._note_copy(side, identity, size)
        self._tell("objects", 1)

    def _note_copy(self, side: Side, identity: str, size: int) -> None:
        self._good[identity[:2]].add(identity)
        side.objects_in += 1
        side.object_bytes += size

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
            self._note_problem(error)
            return None
        return _Looked(size, b"".join(kept) if size <= keep else None)

    # Refs

    def _exchange_refs(self, paths: list[str]) -> None:
        self._counts["refs"][1] += len(paths)
        missing = [[path for path in paths if path not in side.refs] for side in self._sides]
        both = [path for path in paths if all(path in side.refs for side in self._sides)]
        for side, new in zip(self._sides, missing, strict=True):
            self._create(side, new)
        for path in both:
            self._reconcile(path)
            self._tell("refs", 1)

    def _create(self, side: Side, paths: list[str]) -> None:
        """Write the refs that a side does not have."""
        for batch in self._batches(self._other(side), paths):
            alone = {found.path: found for found in batch if not side.family(found.path)}
            taken = side.create(list(alone.values())) if alone else ()
            for found in batch:
                if found.path in taken or found.path not in alone:
                    self._bring(side, found)
                elif found.path in side.seen:
                    self._note_same(found.path)
            self._tell("refs", len(batch))

    def _batches(self, source: Side, paths: list[str]) -> Iterator[list[Found]]:
        """Read good refs, some at a time, the objects of which have arrived."""
        batch: list[Found] = []
        size = 0
        for path in paths:
            found = source.read(path)
            if found is None or found.head is None:
                self._tell("refs", 1)
                continue
            batch.append(found)
            size += len(found.data)
            if len(batch) == _REFS_AT_ONCE or size >= _BYTES_AT_ONCE:
                self._catch_up(source, batch)
                yield batch
                batch, size = [], 0
        if batch:
            self._catch_up(source, batch)
            yield batch

    def _catch_up(self, source: Side, batch: list[Found]) -> None:
        """Bring the objects of refs that moved on after the objects were listed."""
        moved = {found.path: found.token for found in batch if source.refs.get(found.path) != found.token}
        if moved:
            source.refs |= moved
            self._exchange_objects()

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
        self._note_problem(StoreError(f"{where} was written to again and again: sync once more", where))

    def _decide(self, left: Found, right: Found) -> None:
        if left.data == right.data:
            return self._note_same(left.path)
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
            self._catch_up(self._other(side), [incoming])
            if newer is incoming:
                side.advance(own, incoming)
                self._note_same(own.path)
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
            return newer.data.startswith(older.data) or _is_ahead(newer.head, older.head)
        except ObjectNotYetHereError as error:
            self._note_problem(error)
            return None
        except StoreError as error:
            self._note_problem(error)
            return False

    def _note_same(self, path: str) -> None:
        """Note that the states that were last read or written at a path say the same."""
        self._same[path] = (self._ours.seen[path], self._theirs.seen[path])

    def _remember(self) -> None:
        """Keep for the next time what is the same on both sides, as far as it still is."""
        if not self._same and not self._good:
            return
        ours, theirs = self._sides
        old = self._memory
        here, there = ours.list_refs(), theirs.list_refs()
        refs = {path: pair for path, pair in old.refs.items() if path in here and path in there}
        for path, tokens in self._same.items():
            # Not of a file so young that another change could hide behind its time: its token equals no other.
            if (here.get(path), there.get(path)) == tokens:
                refs[path] = pair_of(tokens[0].numbers(), tokens[1].numbers())
        new = Memory(refs, dict(old.groups), dict(old.verified))
        left, right = dict(ours.backend.object_groups()), dict(theirs.backend.object_groups())
        for group, good in self._good.items():
            both = group in left and group in right
            same = both and good == set(ours.backend.object_ids(group)) == set(theirs.backend.object_ids(group))
            new.note_group(group, (left[group], right[group]) if same else None, good)
        if new != old:
            new.remember(ours.repo.machine, ours.backend.place(), theirs.backend.place())

    def _tell(self, phase: Literal["objects", "refs"], done: int) -> None:
        counts = self._counts[phase]
        counts[0] += done
        if self._callback is not None:
            moved = sum(side.object_bytes if phase == "objects" else side.ref_bytes for side in self._sides)
            self._callback(SyncProgress(phase, counts[0], counts[1], moved))


def _is_ahead(newer: State, older: State) -> bool:
    if not covers(newer, older):
        return False
    # Messages are not all: metadata counts unless the name was deleted or created anew in between.
    return not same_life(newer, older) or newer.has_values_of(older)


def _progress(found: Found) -> tuple[object, ...]:
    """Order two states that contain each other, as where a message was taken back: more history is newer."""
    head = found.head
    assert head is not None
    commits = head.header.commit.depth + 1 if head.header.commit else 0
    edits = sum(save.replace is not None for save in head.saves)
    return commits, edits, head.header.base.messages, head.count, head.updated, found.data
