"""Taking a text out of a store: out of every state of every session, and without a trace of it on this machine.

Objects that hold it make way for others of the same length, and a purge record tells every reader which stands for
which. So nothing that names one has to change, and a session is what it was but for the text.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from ...backends.base import NewObject, RefKey
from ...errors import StoreError, printable
from ...format.ids import ObjectId
from ...format.marks import thinned
from ...format.names import origins, session_key
from ...format.refs import parse_ref
from ..content.state import State
from ..lookup.names import resolve
from ..repository import Repository
from ..reverts.plans import finish
from ..reverts.put_back import retried
from ..writing.commits import commit_tail
from ..writing.refs import publish
from .check import fresh_objects
from .replacing import Replacing
from .report import PurgedPlace, PurgeReport
from .texts import Contexts, Found, Wanted, find, without

_PASSES = 8
"""How often a store is looked through: what is saved meanwhile, with the text in it, is found the next time."""


def purge(repo: Repository, wanted: Wanted, *, dry_run: bool = False) -> PurgeReport:
    """Take something out of a store; see `Maintenance.purge_text`."""
    return _Purge(repo, wanted, dry_run=dry_run).run()


class _Purge:
    def __init__(self, repo: Repository, wanted: Wanted, *, dry_run: bool) -> None:
        self._repo, self._wanted, self._dry_run = repo, wanted, dry_run
        self._places: dict[str, PurgedPlace] = {}
        self._replacing = Replacing(repo, wanted)
        self._written: list[RefKey] = []
        self._is_in_old_objects = False

    def run(self) -> PurgeReport:
        repo = self._repo
        if not self._dry_run:
            finish(repo)
            repo.index.last_purge.note()
        repo.objects.purged.look(repo.backend)
        found = find(repo, self._wanted)
        reach = self._reach(found)
        self._note_places(found, reach)
        if not self._dry_run:
            # Also where only others may write what has it: they go by the record.
            self._note_lines(found)
        passes = 0
        while not self._dry_run and (found.objects or self._own(found)) and passes < _PASSES:
            passes += 1
            self._note_lines(found)
            self._is_in_old_objects |= bool(found.objects)
            self._written += self._own(found)
            moved = [made for key in self._own(found) for made in self._move_to_objects(key)]
            self._replacing.replace(dict.fromkeys([*found.objects, *moved]), self._reach(found) if moved else reach)
            found = find(repo, self._wanted)
            reach = self._reach(found)
        left: list[str] = []
        if not self._dry_run:
            repo.objects.forget()
            # Not only after a pass: what a purge did that was killed is done, but perhaps for this.
            left = [*repo.backend.scrub(self._wanted.is_among), *self._scrub()]
        return self._report(found, left)

    def _scrub(self) -> list[str]:
        """Leave nothing of it in what this machine keeps beside the store, and return what is left."""
        repo = self._repo
        # A row of the index is told by the token of a ref, which may be the same, and shows a part of a message. What a
        # purge did that was killed is not known.
        # Once more: a process that was started meanwhile may have read what is to go.
        repo.index.last_purge.note()
        index = self._is_in_old_objects or (not self._written and bool(repo.objects.purged.lines))
        if index:
            repo.index.forget()
        else:
            repo.index.look_again(self._written)
            repo.index.keep()
        return repo.machine.scrub(self._wanted.is_among, index=index)

    def _report(self, found: Found, more: list[str]) -> PurgeReport:
        locate = self._repo.backend.locate
        own = set(self._own(found))
        elsewhere = [
            f"{locate(key)} is the replica {key.replica!r}'s to write, which takes it out once it has the record"
            for key in found.refs
            if key not in own
        ]
        left = [
            f"the name {name!r} has it, and stays, also once it is renamed: only a new store, without it, is free of it"
            for name in sorted(found.named)
        ]
        left += [f"{path} is damaged, so nobody can tell: repair the store first" for path in sorted(found.unread)]
        if not self._dry_run:
            left += [f"{locate(identity)} could not be changed" for identity in found.objects]
            left += [f"{locate(key)} could not be changed" for key in own]
        left += more
        places = tuple(place for _, place in sorted(self._places.items()))
        return PurgeReport(places, tuple(map(printable, elsewhere)), tuple(map(printable, left)), self._dry_run)

    def _own(self, found: Found) -> list[RefKey]:
        """Return the refs that this replica may write, and that are whole."""
        own = self._repo.replica
        return [
            key for key, ref in found.refs.items() if key.replica == own == ref.header.replica and ref.damage is None
        ]

    # Where it stands

    def _reach(self, found: Found) -> Contexts:
        """Follow the refs that may lead to it: all of them only where it stands in objects."""
        reach = Contexts(fresh_objects(self._repo))
        paths = self._repo.backend.ref_tokens() if found.objects else [key.path for key in found.refs]
        for path in sorted(paths):
            with suppress(StoreError, KeyError):
                reach.add_ref(parse_ref(self._repo.backend.read_ref(RefKey(path)).data, path), path)
        reach.follow()
        return reach

    def _note_places(self, found: Found, reach: Contexts) -> None:
        paths = {key.path for key in found.refs} | reach.paths_to(found.objects)
        names = set()
        for path in sorted(paths):
            with suppress(StoreError, KeyError):
                names.add(self._repo.read(RefKey(path)).name)
        for name in sorted(names):
            with suppress(StoreError):
                found_name = resolve(self._repo, name)
                heads = [(each.label, each.head) for each in found_name.sides]
                if not heads and found_name.tombstone is not None:
                    heads = [(name, found_name.tombstone.head)]
                for label, head in heads:
                    self._places[label] = self._place(label, head)
            self._places.setdefault(name, PurgedPlace(name, (), earlier=True, metadata=False))

    def _place(self, label: str, head: State) -> PurgedPlace:
        if head.deleted:
            return PurgedPlace(label, (), earlier=True, metadata=False)
        lines = enumerate(head.messages.read(head.start, head.count))
        messages = tuple(place for place, line in lines if self._wanted.masked(line) != line)
        metadata = self._wanted.in_metadata(head.metadata) != head.metadata
        return PurgedPlace(label, messages, earlier=not messages and not metadata, metadata=metadata)

    # Taking it out

    def _move_to_objects(self, key: RefKey) -> list[ObjectId]:
        """Write a ref anew with all its messages in objects, and without it in its metadata; return the new objects.

        What was an edit in the ref is in commits then, as after every seal.
        """
        return retried(self._repo, partial(self._write_anew, key))

    def _write_anew(self, key: RefKey) -> list[ObjectId]:
        repo = self._repo
        try:
            name = repo.read(key).name
        except KeyError:
            return []
        with repo.lock(*map(session_key, origins(name))), repo.backend.hold(key):
            state = repo.read(key)
            if state.damage is not None or state.name != name:
                return []
            now = repo.now()
            link, new = state.header.commit, list[NewObject]()
            tails = list(state.tails_around_edits())
            for tail, edits in ((tails[0], []), (tails[-1], state.tail_edits())) if tails else ():
                _, link, frozen = commit_tail(repo, state, tail, "seal", now, link, edits)
                repo.objects.put(frozen)
                new += frozen
            base, objects = state.messages.in_objects()
            base = replace(base, metadata=self._wanted.in_metadata(state.metadata), tags=state.tags)
            marks = thinned(state.marks())
            header = replace(state.header, updated=state.updated, base=base, commit=link, marks=marks)
            publish(repo, header, [], state, objects=objects)
            return [ObjectId(each.id) for each in (*new, *objects) if without(each.data, self._wanted) != each.data]

    def _note_lines(self, found: Found) -> None:
        """Tell others, before it is gone here, what is changed in lines and values of metadata that refs hold."""
        for ref in found.refs.values():
            for each in (ref.header.base.metadata, *(save.metadata for save in ref.saves)):
                self._replacing.note_values(each)
            for line in (line for save in ref.saves for line in save.messages):
                self._replacing.note_line(line, self._wanted.masked(line))
        self._replacing.record()
