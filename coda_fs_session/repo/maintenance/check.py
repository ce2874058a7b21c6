"""Checking a store: every rule, over every ref and object; nothing is changed, and nothing found ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ...backends.base import OBJECT_LIMIT, RefKey, StoredObject
from ...errors import CorruptionError, StoreError
from ...format.ids import ObjectId
from ...format.names import key_of_ref
from ...format.refs import Header
from ...format.replica_file import ReplicaFile
from .. import replica_files
from ..content.objects import Objects
from ..repository import Repository
from ..reverts.put_back import lacking
from . import object_rules, ref_rules, replica_rules
from .findings import CheckReport, Finding, sorted_findings
from .needs import had_again
from .reach import Reach
from .ref_rules import ReadRef


def check(repo: Repository, *, full: bool = False) -> CheckReport:
    """Find what is wrong with a store; see `Maintenance.check`."""
    return Check(repo, full=full).run()


class Check:
    """One check.

    Attributes:
        stored: the places at which each object is kept, by its id.
        reach: what the refs need; damaged: the refs that hold less than was written, and no other has it.
        reverted: the refs that lack what this machine has recorded of them.
        headers: those of refs that can be read, be it in part.
        lost: the objects that are needed, or named by a replica file, and cannot be had; bad: those that are damaged,
            needed or not.
    """

    def __init__(self, repo: Repository, *, full: bool) -> None:
        self.repo = repo
        self.reach = Reach(fresh_objects(repo))
        self.stored: dict[str, list[StoredObject]] = {}
        self.damaged: list[ReadRef] = []
        self.superseded: list[ReadRef] = []
        self.reverted: list[RefKey] = []
        self.headers: dict[RefKey, Header] = {}
        self.lost: set[ObjectId] = set()
        self.bad: set[ObjectId] = set()
        self._backend = repo.backend
        self._full = full
        self._findings: list[Finding] = []
        self._good: dict[str | None, list[RefKey]] = {}
        self._said: dict[str, ReplicaFile] = {}
        self._lists: dict[ObjectId, str] = {}
        self._records: dict[ObjectId, str] = {}
        self._refs = self._objects = self._bytes = 0

    def run(self) -> CheckReport:
        # Refs first: what they name was there before them.
        self._check_refs()
        self._check_record()
        self.reach.follow()
        self._read_replica_files()
        self._check_objects()
        self._check_links()
        self._check_replica_files()
        try:
            for rule, path, what in self._backend.oddities(full=self._full):
                self._findings.append(Finding.of(rule, path, what))
        except StoreError as error:
            self._findings.append(Finding.of("listing", self._backend.place().path, error))
        return CheckReport(sorted_findings(self._findings), self._refs, self._objects, self._bytes, self._full)

    def _check_refs(self) -> None:
        try:
            tokens = self._backend.ref_tokens()
        except StoreError as error:
            self._findings.append(Finding.of("listing", self._backend.place().path, error))
            return
        suspects = []
        for path, token in sorted(tokens.items()):
            read = ref_rules.read_ref(self.repo, RefKey(path), self.reach.objects) if _is_within(path) else None
            if read is None:
                continue
            self._refs += 1
            self._bytes += token.size
            if read.ref is not None:
                self.reach.add_ref(read.ref, read.path)
                self.headers[read.key] = read.ref.header
            if read.damage is not None:
                suspects.append(read)
            else:
                for name in (*read.names, key_of_ref(path)):
                    self._good.setdefault(name, []).append(read.key)
            self._findings += self._of_ref(read)
        for read in suspects:
            self._check_damaged(read)

    def _check_record(self) -> None:
        # What keeps it from being told is found elsewhere.
        with suppress(StoreError):
            for found, what in lacking(self.repo):
                self.reverted.append(found.key)
                told = f"this machine saved more in it: {what}"
                self._findings.append(Finding.of("ref-reverted", self._backend.locate(found.key), told))

    def _read_replica_files(self) -> None:
        try:
            self._said, unread = replica_files.read_all(self.repo)
        except StoreError as error:
            self._findings.append(Finding.of("listing", self._backend.place().path, error))
            return
        for replica, why in unread.items():
            self._findings += replica_rules.unread_file(self.repo, replica, why)
        self._lists = replica_rules.named_by(self._said, lists=True)
        self._records = replica_rules.named_by(self._said, lists=False)

    def _check_replica_files(self) -> None:
        backend = self._backend
        found = replica_rules.Named(backend)
        self._findings += replica_rules.lost_list(backend, self._lists, found)
        self._findings += replica_rules.lost_purge_record(backend, self._records, found)
        self._findings += replica_rules.listed_file(self._said, found, self.stored)
        if self._records:
            self.reach.objects.purged.look(backend)
            purged = self.reach.objects.purged
            again = had_again(self.stored, backend, self.reach.objects)
            self._findings += replica_rules.purged_object(purged, self.stored, again, backend)
        self.lost |= found.lost

    def _of_ref(self, read: ReadRef) -> Iterator[Finding]:
        yield from ref_rules.torn_line(read)
        if self._full:
            yield from ref_rules.bad_messages(read)
            yield from ref_rules.hidden_size(read, self.repo, self.reach.objects)

    def _check_damaged(self, read: ReadRef) -> None:
        found = [*ref_rules.unreadable_ref(read), *ref_rules.damaged_line(read)]
        if not any(each.severity == "damage" for each in found):
            self._findings += found
            return
        where = ref_rules.superseded(self.repo, read, self._good)
        if where is None:
            self.damaged.append(read)
            self._findings += found
        else:
            line = found[0].line
            self.superseded += [read] if line != 1 else []
            what = f"it is damaged, and {where} has all that is intact of it"
            self._findings.append(Finding.of("ref-replaced", read.path, what, line))

    def _check_objects(self) -> None:
        stored = self.stored
        try:
            for place in self._backend.stored_objects():
                stored.setdefault(place.id, []).append(place)
        except StoreError as error:
            self._findings.append(Finding.of("listing", self._backend.place().path, error))
            return
        for places in stored.values():
            self._objects += 1
            self._bytes += sum(place.bytes for place in places)
        missing = self.reach.uses.keys() - stored.keys()
        purged = self.reach.objects.purged
        if missing:
            purged.look(self._backend)
        for identity in missing:
            if self.reach.has_expired(identity):
                continue
            stand_in = purged.stand_in(identity)
            if stand_in is not None and stand_in in stored:
                self._check_object(identity, stored[stand_in])
                continue
            found = object_rules.missing_object(self._backend, identity, self.reach.uses[identity].values())
            self._note(identity, found)
        for name, places in sorted(stored.items()):
            self._check_object(ObjectId(name), places)

    def _check_object(self, identity: ObjectId, places: list[StoredObject]) -> None:
        if self._is_to_be_read(identity, places):
            self._note(identity, self._of_read(identity, places))
        else:
            self._note(identity, self._of_object(identity, places))

    def _note(self, identity: ObjectId, found: Iterator[Finding]) -> None:
        for each in found:
            self._findings.append(each)
            if each.rule.endswith(("-damaged", "-unreadable")):
                self.bad.add(identity)
            if each.rule.endswith(("-missing", "-damaged", "-unreadable")) and identity in self.reach.uses:
                self.lost.add(identity)

    def _of_object(self, identity: ObjectId, places: list[StoredObject]) -> Iterator[Finding]:
        uses = self.reach.uses.get(identity, {}).values()
        yield from object_rules.compressed_record(uses, places)
        if identity in self.reach.unread:
            yield from object_rules.unread_object(self._backend, identity, uses, places, self.reach.unread[identity])

    def _is_to_be_read(self, identity: ObjectId, places: list[StoredObject]) -> bool:
        """Tell whether an object is to be read that was not read on the way.

        Under another name, and where the size is wrong, only that tells what is wrong with it.
        """
        reach = self.reach
        if identity in reach.nodes or identity in reach.commits or identity in reach.unread:
            return False
        here = self._backend.locate(ObjectId(places[0].id))
        elsewhere = any(place.plain is None and place.path != here for place in places)
        return self._full or elsewhere or object_rules.has_wrong_size(reach.uses.get(identity, {}), places)

    def _of_read(self, identity: ObjectId, places: list[StoredObject]) -> Iterator[Finding]:
        uses = self.reach.uses.get(identity, {}).values()
        try:
            data = self.reach.objects.get(identity, size=None, limit=OBJECT_LIMIT)
        except StoreError as error:
            # What replica files name has rules of its own.
            is_named = identity in self._lists or identity in self._records
            if uses or (isinstance(error, CorruptionError) and not is_named):
                yield from object_rules.unread_object(self._backend, identity, uses, places, error)
            return
        path = places[0].path
        if uses:
            yield from object_rules.other_content(path, uses, data)
            tails = self.reach.tails.get(identity)
            if tails:
                yield from object_rules.other_tail(path, tails, data, self.reach)

    def _check_links(self) -> None:
        backend, reach = self._backend, self.reach
        for rule in object_rules.OF_LINKS:
            self._findings += rule(backend, reach)
        for key, header in self.headers.items():
            self._findings += ref_rules.begins_elsewhere(header, backend.locate(key), reach)


def fresh_objects(repo: Repository) -> Objects:
    """Return objects of which none was read before: what is on the disk counts."""
    settings = repo.settings
    objects = Objects(
        repo.backend,
        cached_messages=0,
        compress_threshold=settings.compress_threshold_bytes,
        most_bytes=settings.max_session_bytes,
    )
    # Records never change, and what was read of them stays true.
    objects.purged = repo.objects.purged
    objects.listed = repo.objects.listed
    objects.heed_lists()
    return objects


def _is_within(path: str) -> bool:
    # A backend is not asked for a path that leads out of its store, whoever made it up.
    return path[0] not in "./" and "/." not in path
