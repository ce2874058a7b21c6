"""Repairing a store: what is intact comes back, nothing good is overwritten, and what is lost is named.

First the objects, from wherever their bytes stand once more; then the refs, each into a new file. A damaged ref stays
as it is, and counts for nothing beside the new one. So a repair may be killed anywhere, and run again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

from ...backends.base import RefKey
from ...errors import StoreError, printable
from ...format.ids import ObjectId
from ...format.names import key_of_ref, number_of_ref, ref_paths, session_key
from ...format.refs import parse_ref
from ..ancestry.ancestors import covers
from ..content.state import State
from ..repository import Repository
from ..reverts.put_back import put_beside, reconcile_alone, retried
from ..reverts.verdict import Verdict, compare
from ..writing.refs import create_free
from .check import Check, fresh_objects
from .losses import let_go, losses
from .reach import Reach
from .ref_rules import ReadRef
from .report import Lost, Mended, RepairReport
from .salvage import salvaged
from .sources import Regained, among, in_store, runs_of_objects, runs_of_refs


def repair(
    repo: Repository, *, dry_run: bool = True, other: Repository | None = None, without_lost: bool = False
) -> RepairReport:
    """Bring back what can be; see `Maintenance.repair`."""
    return _Repair(repo, other, dry_run=dry_run, without_lost=without_lost).run()


@dataclass(frozen=True, slots=True)
class _NewRef:
    """A ref that is to stand in for a damaged one: of this replica, or of the one that the damaged one is of."""

    read: ReadRef
    name: str
    data: bytes
    ours: bool


class _Repair:
    def __init__(self, repo: Repository, other: Repository | None, *, dry_run: bool, without_lost: bool) -> None:
        self._repo, self._other = repo, other
        self._dry_run, self._without_lost = dry_run, without_lost
        self._first = Check(repo, full=True)
        self._regained = Regained(repo.backend)
        self._mended: list[Mended] = []
        self._lost: list[Lost] = []
        self._new_refs: list[_NewRef] = []
        self._recorded: list[RefKey] = []

    def run(self) -> RepairReport:
        first = self._first
        report = first.run()
        for read in first.damaged:
            self._plan_ref(read)
        for key in first.reverted:
            self._recorded.append(key)
            self._note(self._repo.backend.locate(key), "what this machine recorded of it is put back")
        last = self._regain(first)
        for identity, where in self._regained.found.items():
            self._note(self._repo.backend.locate(identity), f"the object is brought back from {where}")
        if not self._dry_run:
            self._regained.write(self._repo.objects)
            self._write_refs()
        for loss in list(losses(self._repo, last)):
            self._lost.append(let_go(self._repo, loss, last) if self._without_lost and not self._dry_run else loss)
        mended = {each.path for each in self._mended}
        left = tuple(each for each in report.findings if each.severity != "note" and each.path not in mended)
        return RepairReport(tuple(self._mended), tuple(self._lost), left, self._dry_run)

    def _note(self, path: str, what: str) -> None:
        # As findings have it: which of them stay is told by the paths.
        self._mended.append(Mended(printable(path), printable(what)))

    # Objects

    def _regain(self, first: Check) -> Check:
        """Find the bytes of lost objects; those of a list node or a commit name others, which may be lost too."""
        bad, check = first.bad, first
        # Needed or not: what needs it may be a ref that is put right now.
        self._from_elsewhere(check.lost | bad)
        self._from_other(check.lost)
        self._from_messages(check)
        while True:
            known = len(self._regained.found)
            view = Repository(self._regained, self._repo.machine, self._repo.settings)
            check = Check(view, full=False)
            check.run()
            check.lost |= bad & check.reach.uses.keys() - self._regained.found.keys()
            self._from_elsewhere(check.lost - self._regained.found.keys())
            self._from_trash(check.lost - self._regained.found.keys())
            self._from_other(check.lost)
            self._from_messages(check)
            if len(self._regained.found) == known:
                return check

    def _from_elsewhere(self, wanted: Collection[ObjectId]) -> None:
        """Look where a tool may have put them: in folders of another name, and files in another case."""
        if wanted:
            for identity, path, data in self._repo.backend.misplaced_objects(wanted):
                self._regained.add(identity, path, data)

    def _from_trash(self, wanted: Iterable[ObjectId]) -> None:
        for identity in wanted:
            data = self._repo.machine.read_deleted(identity)
            if data is not None:
                self._regained.add(identity, "what gc had deleted", data)

    def _from_other(self, wanted: Iterable[ObjectId]) -> None:
        if self._other is not None:
            backend = self._other.backend
            for identity in in_store(backend, sorted(set(wanted) - self._regained.found.keys())):
                self._regained.add(identity, backend.locate(identity), backend)

    def _from_messages(self, check: Check) -> None:
        """Look for messages in a row that are a lost object: in refs, in this machine's record, in other objects."""
        wanted = {
            identity: use.bytes
            for identity in check.lost - self._regained.found.keys()
            for use in check.reach.uses.get(identity, ())
            if use.kind in ("chunk", "tail")
        }
        if not wanted:
            return
        refs = []
        for key in check.headers:
            with suppress(StoreError, KeyError):
                path = self._repo.backend.locate(key)
                refs.append((parse_ref(self._repo.backend.read_ref(key).data, path), path))
        good = (identity for identity, _ in self._repo.backend.objects() if identity not in check.lost)
        for runs in (runs_of_refs(self._repo, refs), runs_of_objects(self._repo.backend, good)):
            for identity, data, where in among(runs, wanted):
                self._regained.add(identity, where, data)

    # Refs

    def _plan_ref(self, read: ReadRef) -> None:
        """Choose what is to stand in for a damaged ref: this machine's record, the other store, or its intact part."""
        key, record = read.key, self._repo.machine.record
        if record.end(key) is not None:
            with suppress(StoreError):
                if compare(self._repo, key).verdict is Verdict.DAMAGED:
                    self._recorded.append(key)
                    self._note(read.path, "what this machine recorded of it is put into a new file")
                    return
        if self._plan_line_ends(read):
            return
        head = self._head(read)
        if self._other is not None and self._plan_from_other(self._other, read, head):
            return
        if head is None:
            name = key_of_ref(key.path) or key.path
            why = "the first line of the file is damaged, so nobody can tell what is in it; the file stays as it is"
            self._lost.append(Lost(name, read.path, (), why))
            return
        with suppress(KeyError):
            found = salvaged(head, self._repo.backend.read_ref(key).data)
            self._new_refs.append(_NewRef(read, head.name, found.data, ours=True))
            behind = f", and {found.kept} messages from behind the damage" if found.kept else ""
            self._note(read.path, f"what is intact of it is put into a new file: {head.count} messages{behind}")
            if found.lost or found.uncounted:
                start = head.start
                places = tuple(range(each.start - start, each.stop - start) for each in found.lost)
                self._lost.append(Lost(head.name, read.path, places, "they stood in the lines that are damaged"))

    def _plan_line_ends(self, read: ReadRef) -> bool:
        """Take a ref as it was before a tool for texts gave each line another end: no line has a carriage return."""
        with suppress(StoreError, KeyError):
            data = self._repo.backend.read_ref(read.key).data.replace(b"\r\n", b"\n")
            ref = parse_ref(data, read.path)
            if ref.damage is None:
                self._new_refs.append(_NewRef(read, ref.header.name, data[: ref.size], ours=False))
                self._note(read.path, "it is put into a new file with the line ends that it had")
                return True
        return False

    def _plan_from_other(self, other: Repository, read: ReadRef, head: State | None) -> bool:
        """Take a good ref of the other store in, with the objects that it needs, if it has all that is intact here."""
        key = read.key
        if other.backend.ref_token(key) is None:
            return False
        with suppress(StoreError, KeyError):
            path, snapshot = other.backend.locate(key), other.backend.read_ref(key)
            ref = parse_ref(snapshot.data, path)
            state = State.of(key, snapshot.token, ref, other.objects, other.sizes)
            if state.damage is not None or (head is not None and not covers(state, head)):
                return False
            reach = Reach(fresh_objects(other))
            reach.add_ref(ref, read.path)
            reach.follow()
            self._from_other(reach.uses.keys() - self._good)
            self._new_refs.append(_NewRef(read, state.name, snapshot.data[: state.size], ours=False))
            self._note(read.path, f"{path} is put into a new file: {state.count} messages")
            return True
        return False

    @cached_property
    def _good(self) -> set[str]:
        """The objects that the store has, those excepted that are damaged, needed or not."""
        return {identity for identity, _ in self._repo.backend.objects()} - self._first.bad

    def _head(self, read: ReadRef) -> State | None:
        if read.ref is not None:
            with suppress(StoreError, KeyError):
                return self._repo.read(read.key)
        return None

    def _write_refs(self) -> None:
        if self._recorded:
            retried(self._repo, partial(reconcile_alone, self._repo, self._recorded))
        for new in self._new_refs:
            retried(self._repo, partial(self._write_ref, new))

    def _write_ref(self, new: _NewRef) -> None:
        repo, key = self._repo, new.read.key
        with repo.writing() as replica, repo.lock(session_key(new.name)):
            if new.ours:
                put_beside(repo, replica, new.name, new.data)
                return
            # As a sync keeps what it cannot put in place: of the same replica, and under the same key.
            folder, _, _ = key.path.rpartition("/")
            stem = key_of_ref(key.path) or session_key(new.name)
            create_free(repo, ref_paths([folder], stem, number_of_ref(key.path) + 1), new.data)
