"""What nothing in a store needs any more, what keeps the rest, and what keeps gc from telling.

An object is needed where a ref leads to it: now, through a tag, or through history that has not expired. What a replica
file names is needed too, and what stands for an object that was purged.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ...backends.base import StoredObject, Unfinished
from ...format.ids import ObjectId
from ...format.lists import can_list
from .. import replica_files
from ..repository import Repository
from .check import Check
from .findings import CheckReport

WHY = ("sessions", "tags", "history", "replicas", "grace")
"""What an object can be kept by: sessions as they are, states with a tag, other earlier states, what replicas say, or
its age alone."""


@dataclass(slots=True)
class Unneeded:
    """What a look at a store has found.

    Attributes:
        files: the places of each object that nothing needs, by its id; and by its name each file that a tool has made
            of an object which is here once more.
        needed: by what the others are kept, of `WHY`, with the places of each; past: those of objects that hold
            messages which only history needs, by their ids, once more.
        expired: which objects among these in `files` were needed by history that has expired.
        unfinished: files that were not finished, or are being written.
        missing: those that are needed, and cannot be had.
        blocked: why it cannot be told what is needed; where there is anything, nothing may be deleted.
        others: the ids of the other replicas, retired ones left out: of what they need not all may be here yet.
    """

    files: dict[str, list[StoredObject]] = field(default_factory=dict)
    needed: dict[str, list[StoredObject]] = field(default_factory=dict)
    past: dict[str, list[StoredObject]] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    unfinished: list[Unfinished] = field(default_factory=list)
    missing: set[ObjectId] = field(default_factory=set)
    blocked: list[str] = field(default_factory=list)
    others: set[str] = field(default_factory=set)

    def let_expire(self, expired: Collection[str]) -> None:
        """Take what only history needs, and has expired, for what nothing needs."""
        self.expired.update(expired)
        for name in expired:
            self.files[name] = self.past.pop(name)
        gone = {place.path for name in expired for place in self.files[name]}
        self.needed["history"] = [place for place in self.needed.get("history", []) if place.path not in gone]


def unneeded(repo: Repository) -> Unneeded:
    """Look at every ref, and at what it leads to, and tell which objects nothing needs."""
    # Before the refs: a list that is named later is of objects that were there.
    said = replica_files.read_all(repo)
    check = Check(repo, full=False)
    report = check.run()
    found = Unneeded(missing=check.lost, unfinished=list(repo.backend.unfinished()))
    found.blocked = [*doubts(report), *(str(error) for error in said.unread.values())]
    # What is brought back from there may need what is in the store.
    found.blocked += [f"something is kept aside, see kept_aside(): {each}" for each in repo.machine.record.aside()]
    there = {replica for key, header in check.headers.items() for replica in (key.replica, header.replica)}
    retired = {replica for each in said.said.values() for replica in each.retired}
    found.others = {*there, *said.said, *said.unread} - retired - {replica_files.own_id(repo)}
    purged = repo.objects.purged
    purged.look(repo.backend)
    records = {record for each in said.said.values() for record in each.purged}
    found.blocked += [
        f"purge record {record} cannot be read" for record in sorted(records) if not purged.has_read(record)
    ]
    lists = {name for each in said.said.values() for name in (each.condemned, *each.done, *each.acknowledged)}
    named = {*lists, *records, *purged.objects.values()}
    for name, places in check.stored.items():
        uses = check.reach.uses.get(ObjectId(name))
        if uses is not None:
            places = _without_spare(repo, places, found)
            why: str = min((use.why for use in uses.values()), key=WHY.index)
            if check.reach.is_history(ObjectId(name)):
                found.past[name] = places
        elif name in named:
            places = _without_spare(repo, places, found)
            why = "replicas"
        else:
            found.files[name] = places
            continue
        found.needed.setdefault(why, []).extend(places)
    return found


def _without_spare(repo: Repository, places: list[StoredObject], found: Unneeded) -> list[StoredObject]:
    """Note copies of an object that tools have made, and return the other places."""
    # Under its own name it is what readers look for, and what a repair mends.
    spare = [each for each in repo.backend.spare_copies(places) if each.plain is None and can_list(each.name)]
    found.files |= {each.name: [each] for each in spare}
    return [each for each in places if each not in spare]


def doubts(report: CheckReport) -> list[str]:
    """Return what may hide which objects are needed: all that is no note, and a ref of which nothing can be read."""
    return [
        f"{each.path}: {each.what}"
        for each in report.findings
        if each.severity != "note" or (each.rule == "ref-replaced" and each.line == 1)
    ]
