"""Deleting objects that nothing needs, as page 50 of the design has it; where anything is in doubt they stay.

A run condemns what nothing has needed for the grace: it writes a list, and no file of that is named from then on. A run
a grace later looks once more, deletes what is on the list, and keeps it aside for another grace.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from math import inf

from ...backends.base import NewObject, StoredObject, Unfinished
from ...format.ids import ObjectId, object_id
from ...format.lists import encode_list
from .. import replica_files
from ..lookup.answers import local_moment
from ..repository import Repository
from . import letting_go
from .ages import Ages
from .check import Check
from .discarding import throw_away
from .gc_report import GcAmount, GcReport
from .joining import needed_to_join
from .unneeded import WHY, Unneeded, doubts, strangers, unneeded

_LEAST_GRACE_DAYS = 1 / 24
"""Whatever the option says: a process may have found an object here, and be about to write the ref that names it."""


def gc(repo: Repository, *, grace_days: float, retention_days: float = inf, dry_run: bool = True) -> GcReport:
    """Delete what nothing needs; see `Maintenance.gc`. Unless it is told how long, history is kept for ever."""
    run = (OfRows if repo.backend.capabilities.whole else OfFiles)(repo, grace_days, retention_days)
    return run.dry() if dry_run else run.run()


class _Gc(ABC):
    """One gc. Which steps it takes is told by how the store keeps its objects."""

    def __init__(self, repo: Repository, grace_days: float, retention_days: float) -> None:
        self._repo, self._grace, self._retention = repo, max(grace_days, _LEAST_GRACE_DAYS), retention_days
        self._store = repo.backend.place().store
        self._ages = Ages.recall(repo.machine, self._store)

    def dry(self) -> GcReport:
        self._ages.pass_time(self._repo.settings.clock(), self._grace, self._retention)
        found = unneeded(self._repo)
        self._let_expire(found)
        self._ages.see(_seen(found))
        freed, condemned = self._chosen(found)
        late = [] if found.blocked else found.free_on(found.done)
        return self._report(found, [*late, *freed], condemned, dry_run=True)

    def run(self) -> GcReport:
        repo, ages = self._repo, self._ages
        ages.pass_time(repo.settings.clock(), self._grace, self._retention)
        found = letting_go.look(repo)
        late = [] if found.blocked else found.free_on(found.done)
        if letting_go.answer(repo, found, ages):
            found = unneeded(repo, to_act=True)
        self._let_expire(found)
        ages.see(_seen(found))
        freed, condemned = self._chosen(found)
        if condemned:
            # Lost messages may stand in what nothing needs, where a repair finds them.
            found.blocked += [*doubts(Check(repo, full=True).run()), *strangers(repo, found, condemned)]
            if found.blocked:
                freed, condemned = [], []
        for file in self._aged(found.unfinished):
            repo.backend.remove_unfinished(file.path)
        if not found.blocked:
            for key, file in found.superseded.items():
                if self._aged([file]):
                    throw_away(repo, file.path, repo.backend.read_file(file.path), key)
            freed = self._delete(found, freed)
            self._condemn(condemned)
            self._empty_trash()
        ages.keep(repo.machine, self._store)
        return self._report(found, [*late, *freed], condemned, dry_run=False)

    def _let_expire(self, found: Unneeded) -> None:
        """Let go of history that is older than the retention, unless it takes that to bring sessions together."""
        expired = self._ages.expired(found.past, self._retention)
        if expired and not found.blocked:
            found.let_expire(expired - needed_to_join(self._repo))

    @abstractmethod
    def _chosen(self, found: Unneeded) -> tuple[list[StoredObject], list[StoredObject]]:
        """Return what is to be deleted now, and what is to be condemned."""

    def _waiting_since(self) -> datetime | None:
        """Return when what is condemned was; None where that is not known."""
        said = replica_files.own_said(self._repo)
        moment = None if said is None or said.condemned is None else self._ages.said.get(said.condemned)
        return None if moment is None else local_moment(int(moment * 1_000_000))

    @abstractmethod
    def _condemn(self, places: list[StoredObject]) -> None:
        """Condemn these, if there are any."""

    @abstractmethod
    def _delete(self, found: Unneeded, places: list[StoredObject]) -> list[StoredObject]:
        """Delete these, which were condemned a grace ago, and return those that are gone."""

    def _aged(self, files: Iterable[Unfinished]) -> list[Unfinished]:
        """Return what nobody can be writing any more: nothing is in it that is nowhere else, so nobody is asked."""
        return [file for file in files if self._ages.has_passed(self._ages.first, file.path, self._grace)]

    def _empty_trash(self) -> None:
        """Keep no longer what was deleted a grace ago; all that is needed is here."""
        ages, machine = self._ages, self._repo.machine
        for identity in machine.deleted():
            ages.deleted.setdefault(identity, ages.credit)
            if ages.has_passed(ages.deleted, identity, self._grace):
                machine.drop_deleted(identity)
                del ages.deleted[identity]

    def _report(
        self, found: Unneeded, freed: list[StoredObject], condemned: list[StoredObject], *, dry_run: bool
    ) -> GcReport:
        gone: list[StoredObject | Unfinished] = [*freed, *self._aged(found.unfinished)]
        gone += [] if found.blocked else self._aged(found.superseded.values())
        paths = {each.path for each in (*gone, *condemned)}
        young: list[StoredObject | Unfinished] = [*found.unfinished, *found.superseded.values()]
        for places in found.files.values():
            young += places
        young = [each for each in young if each.path not in paths]
        kept: dict[str, Sequence[StoredObject | Unfinished]] = {**found.needed, "grace": young}
        return GcReport(
            _amount(gone),
            _amount(condemned),
            {why: _amount(kept[why]) for why in WHY if kept.get(why)},
            tuple(sorted(found.others)),
            self._waiting_since() if found.others else None,
            tuple(found.blocked),
            dry_run,
        )


class OfFiles(_Gc):
    """In files, which tools carry to other machines: with lists, which all replicas acknowledge first."""

    def _condemned(self) -> ObjectId | None:
        """Return the list that this replica has condemned."""
        said = replica_files.own_said(self._repo)
        return None if said is None else said.condemned

    def _chosen(self, found: Unneeded) -> tuple[list[StoredObject], list[StoredObject]]:
        if found.blocked:
            return [], []
        condemned = self._condemned()
        if condemned is None:
            found.others.clear()
            return [], self._old(found)
        # One list at a time: what is next waits until this one is done.
        if condemned not in found.lists:
            # Whoever cannot tell what is condemned must not condemn anything else.
            found.blocked.append(f"the list of what is condemned cannot be read: {condemned}")
            return [], []
        found.others = set(letting_go.waiting_for(found, condemned))
        self._ages.condemned.setdefault(condemned, self._ages.credit)
        if found.others or not self._has_waited(condemned):
            return [], []
        return found.free_on([condemned]), []

    def _has_waited(self, condemned: ObjectId) -> bool:
        return self._ages.has_passed(self._ages.condemned, condemned, self._grace)

    def _old(self, found: Unneeded) -> list[StoredObject]:
        """Return what nothing has needed for the grace."""
        return [
            place
            for identity, places in found.files.items()
            if self._ages.has_passed(self._ages.first, identity, self._grace)
            for place in places
            if place.name
        ]

    def _condemn(self, places: list[StoredObject]) -> None:
        if not places:
            return
        data = encode_list(place.name for place in places)
        condemned = object_id(data)
        # The list before what names it.
        self._repo.objects.put([NewObject(condemned, data)])
        replica_files.say(
            self._repo,
            lambda said: replace(said, condemned=condemned, acknowledged=_with(said.acknowledged, condemned)),
        )
        self._ages.condemned[condemned] = self._ages.credit
        self._ages.said[condemned] = self._repo.settings.clock().timestamp()

    def _delete(self, found: Unneeded, places: list[StoredObject]) -> list[StoredObject]:
        condemned = self._condemned()
        if condemned is None or found.others or not self._has_waited(condemned):
            return []
        letting_go.bury(self._repo, found, [condemned], self._ages)
        # Last: a run that is killed before this goes on with the same list.
        replica_files.say(self._repo, lambda said: replace(said, condemned=None, done=_with(said.done, condemned)))
        for each in (self._ages.condemned, self._ages.said):
            each.pop(condemned, None)
        return places


class OfRows(_Gc):
    """In a database: no tool carries a deletion into it or out of it, so no other replica is asked."""

    def _chosen(self, found: Unneeded) -> tuple[list[StoredObject], list[StoredObject]]:
        found.others.clear()
        if found.blocked:
            return [], []
        ages = self._ages
        ages.condemned = {each: since for each, since in ages.condemned.items() if each in found.files}
        places = [place for places in found.files.values() for place in places]
        return (
            [place for place in places if ages.has_passed(ages.condemned, place.id, self._grace)],
            [
                place
                for place in places
                if place.id not in ages.condemned and ages.has_passed(ages.first, place.id, self._grace)
            ],
        )

    def _condemn(self, places: list[StoredObject]) -> None:
        if places:
            self._repo.backend.condemn_objects([place.id for place in places])
            self._ages.condemned |= {place.id: self._ages.credit for place in places}

    def _delete(self, found: Unneeded, places: list[StoredObject]) -> list[StoredObject]:
        # First: what is not here, and on no list, was lost.
        self._list([place.id for place in places if place.id in found.expired])
        for place in places:
            del self._ages.condemned[place.id]
        # One that was put again since it was condemned stays.
        return [place for place in places if letting_go.delete(self._repo, place, self._ages)]

    def _list(self, expired: Sequence[str]) -> None:
        """Let a list tell that objects have expired, under the names that files of them would have."""
        if expired:
            data = encode_list(f"objects/{identity[:2]}/{identity}.jsonl" for identity in expired)
            done = object_id(data)
            self._repo.objects.put([NewObject(done, data)])
            replica_files.say(self._repo, lambda said: replace(said, done=_with(said.done, done)))


def _seen(found: Unneeded) -> list[str]:
    return [*found.files, *(file.path for file in (*found.unfinished, *found.superseded.values()))]


def _amount(places: Sequence[StoredObject | Unfinished]) -> GcAmount:
    return GcAmount(len(places), sum(place.bytes for place in places))


def _with(ids: tuple[ObjectId, ...], more: ObjectId) -> tuple[ObjectId, ...]:
    return (*ids, *([] if more in ids else [more]))
