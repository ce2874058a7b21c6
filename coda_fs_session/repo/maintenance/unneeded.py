"""What nothing in a store needs any more, what keeps the rest, and what keeps gc from telling.

An object is needed where a ref leads to it: now, through a tag, or through history that has not expired. What a replica
file names is needed too, and what stands for an object that was purged.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from ...backends.base import OBJECT_LIMIT, RefKey, StoredObject, Unfinished
from ...errors import StoreError
from ...format.commits import decode_commit
from ...format.ids import ObjectId
from ...format.lists import LIST_LIMIT, can_list, decode_list
from ...format.replica_file import ReplicaFile
from .. import replica_files
from ..repository import Repository
from .check import Check
from .findings import CheckReport

_RECORD = b'{"coda_fs_session":'
WHY = ("sessions", "tags", "history", "replicas", "grace")
"""What an object can be kept by: sessions as they are, states with a tag, other earlier states, what replicas say, or
its age alone."""


@dataclass(slots=True)
class Unneeded:
    """What a look at a store has found.

    Attributes:
        files: the places of each object that nothing needs, by its id; and by its name each file that a tool has made
            of an object which is here once more.
        needed: by what the others are kept, of `WHY`, with the places of each; ids: of these objects, but for those in
            `past`. past: those that hold messages which only history needs; whoever condemns these goes by their age.
        expired: which objects among those in `files` history needed until it expired.
        unfinished: files that were not finished, or are being written. superseded: refs of this replica that are
            damaged, and of which another ref has all that is intact.
        missing: those that are needed, and cannot be had.
        blocked: why it cannot be told what is needed; where there is anything, nothing may be deleted.
        others: the ids of the other replicas, retired ones left out: of what they need not all may be here yet.
        known: the ids of all replicas of which there is a word here, this one and retired ones too.
        said: what each replica says; lists: the file names on each list that one of them names.
    """

    files: dict[str, list[StoredObject]] = field(default_factory=dict)
    needed: dict[str, list[StoredObject]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    past: dict[str, list[StoredObject]] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    unfinished: list[Unfinished] = field(default_factory=list)
    superseded: dict[RefKey, Unfinished] = field(default_factory=dict)
    missing: set[ObjectId] = field(default_factory=set)
    blocked: list[str] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    said: dict[str, ReplicaFile] = field(default_factory=dict)
    lists: dict[ObjectId, frozenset[str]] = field(default_factory=dict)

    def on(self, lists: Iterable[ObjectId]) -> list[StoredObject]:
        """Return the files here that are on any of these lists."""
        names = frozenset().union(*(self.lists.get(each, frozenset()) for each in lists))
        kept = (*self.files.values(), *self.needed.values())
        return [place for places in kept for place in places if place.name in names]

    def free_on(self, lists: Iterable[ObjectId]) -> list[StoredObject]:
        """Return those of which nothing has to be written elsewhere before they go."""
        return [place for place in self.on(lists) if place.id not in self.ids or place.name in self.files]

    @property
    def done(self) -> set[ObjectId]:
        """The lists of what some replica has deleted."""
        return {each for said in self.said.values() for each in said.done}

    def let_expire(self, expired: Collection[str]) -> None:
        """Take what only history needs, and has expired, for what nothing needs."""
        self.expired.update(expired)
        for name in expired:
            self.files[name] = self.past.pop(name)
        gone = {place.path for name in expired for place in self.files[name]}
        self.needed["history"] = [place for place in self.needed.get("history", []) if place.path not in gone]


def unneeded(repo: Repository, *, to_act: bool = False) -> Unneeded:
    """Look at every ref, and at what it leads to, and tell which objects nothing needs.

    Args:
        to_act: something is to be said or deleted by it. So nothing of this machine is about to be written, then or
            later, that needs files on these lists.
    """
    # Before the refs: a list that is named later is of objects that were there.
    said = replica_files.read_all(repo)
    found = Unneeded(said=said.said, lists=_read_lists(repo, said.said.values()))
    if to_act:
        repo.machine.wait_for_naming()
    check = Check(repo, full=False)
    report = check.run()
    found.missing, found.unfinished = check.lost, list(repo.backend.unfinished())
    own = replica_files.own_id(repo)
    if not repo.backend.capabilities.whole:
        # Those of other replicas are theirs to write, and may be good where they are.
        for read in check.superseded:
            if read.key.replica == own:
                found.superseded[read.key] = Unfinished(read.path, len(repo.backend.read_file(read.path)))
    found.blocked = [*doubts(report), *(str(error) for error in said.unread.values())]
    # What is brought back from there may need what is in the store.
    found.blocked += [f"something is kept aside, see kept_aside(): {each}" for each in repo.machine.record.aside()]
    there = {replica for key, header in check.headers.items() for replica in (key.replica, header.replica)}
    retired = {replica for each in said.said.values() for replica in each.retired}
    own = replica_files.own_id(repo)
    found.known = {*there, *said.said, *said.unread, *retired, *repo.machine.record.replicas(), own or ""}
    found.others = {*there, *said.said, *said.unread} - retired - {own}
    purged = repo.objects.purged
    purged.look(repo.backend)
    records = {record for each in said.said.values() for record in each.purged}
    found.blocked += [
        f"purge record {record} cannot be read" for record in sorted(records) if not purged.has_read(record)
    ]
    named = {*(each for one in said.said.values() for each in one.named), *purged.objects.values()}
    listed = frozenset().union(*found.lists.values())
    for name, places in check.stored.items():
        uses = check.reach.uses.get(ObjectId(name))
        if uses is not None:
            places = _without_spare(repo, places, listed, found)
            why: str = min((use.why for use in uses.values()), key=WHY.index)
        elif name in named:
            places = _without_spare(repo, places, listed, found)
            why = "replicas"
        else:
            found.files[name] = places
            continue
        found.needed.setdefault(why, []).extend(places)
        if uses is not None and check.reach.is_history(ObjectId(name)):
            found.past[name] = places
        else:
            found.ids.add(name)
    return found


def _read_lists(repo: Repository, said: Iterable[ReplicaFile]) -> dict[ObjectId, frozenset[str]]:
    """Return the names on the lists that replicas name, but for those that are not here or are damaged."""
    found: dict[ObjectId, frozenset[str]] = {}
    for each in (each for one in said for each in one.lists):
        if each not in found:
            with suppress(StoreError, ValueError):
                found[each] = decode_list(repo.backend.get_object(each, size=None, limit=LIST_LIMIT))
    return found


def _without_spare(
    repo: Repository, places: list[StoredObject], listed: Container[str], found: Unneeded
) -> list[StoredObject]:
    """Note copies of an object that tools have made, and return the other places."""
    going = [each for each in places if each.name in listed]
    staying = [each for each in places if each not in going] if going else places
    # Under its own name it is what readers look for, and what a repair mends.
    spare = [each for each in repo.backend.spare_copies(staying) if each.plain is None and can_list(each.name)]
    if staying:
        spare += going
    found.files |= {each.name: [each] for each in spare}
    return [each for each in places if each not in spare]


def strangers(repo: Repository, found: Unneeded, places: Iterable[StoredObject]) -> list[str]:
    """Return what tells that objects came before the refs of the machine that made them: commits name it."""
    makers: dict[str, str] = {}
    for place in places:
        with suppress(StoreError, ValueError):
            data = repo.backend.get_object(place.id, size=None, limit=OBJECT_LIMIT)
            if data.startswith(_RECORD) and (maker := decode_commit(data).replica):
                makers.setdefault(maker, place.path)
    return [
        f"{path}: the replica {maker} made it, of which no ref and no replica file is here yet: let the sync finish"
        for maker, path in sorted(makers.items())
        if maker not in found.known
    ]


def doubts(report: CheckReport) -> list[str]:
    """Return what may hide which objects are needed: all that is no note, and a ref of which nothing can be read."""
    return [
        f"{each.path}: {each.what}"
        for each in report.findings
        if each.severity != "note" or (each.rule == "ref-replaced" and each.line == 1)
    ]
