"""What a replica does about lists: it tells that nothing here needs what is on one, and deletes what all have let go.

Before either, what is needed all the same is put into a file that is on no list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from ...backends.base import OBJECT_LIMIT, StoredObject
from ...errors import CorruptionError, StoreError
from ...format.ids import ObjectId
from ...format.lists import LIST_LIMIT
from ...format.replica_file import ReplicaFile
from .. import replica_files
from ..notes import decode_note, encode_note
from ..repository import Repository
from ..reverts.put_back import put_back
from .ages import Ages
from .joining import needed_to_join
from .unneeded import Unneeded, unneeded

_DONE = "lists-done"
_BLOCKED = "lists-blocked"
_PAUSE = 600
"""Seconds after which it is tried again."""


def at_close(repo: Repository) -> None:
    """Answer the lists that have come, where this machine writes; what cannot be done now is done the next time."""
    own = replica_files.own_id(repo)
    if own is None:
        return
    with suppress(StoreError):
        said = replica_files.read_all(repo).said
        done = {each for one in said.values() for each in one.done}
        news = _to_acknowledge(said, said.get(own)) | (done - _recall(repo))
        if not news or _was_blocked(repo) or not any(_is_here(repo, each) for each in news):
            return
        with repo.machine.keeping_house("acknowledge"):
            store = repo.backend.place().store
            ages, found = Ages.recall(repo.machine, store), look(repo)
            answer(repo, found, ages)
            ages.keep(repo.machine, store)
            if found.blocked:
                repo.machine.remember(_BLOCKED, encode_note(repo.settings.clock().timestamp()))


def _was_blocked(repo: Repository) -> bool:
    """Tell whether it was found a moment ago that nothing can be answered: to find that takes a look at every ref."""
    with suppress(ValueError, TypeError):
        then = decode_note(repo.machine.recall(_BLOCKED) or b"")
        return isinstance(then, float) and 0 <= repo.settings.clock().timestamp() - then < _PAUSE
    return False


def _is_here(repo: Repository, identity: ObjectId) -> bool:
    with suppress(StoreError):
        repo.backend.get_object(identity, size=None, limit=LIST_LIMIT)
        return True
    return False


def look(repo: Repository) -> Unneeded:
    """Look at what the refs need, with all that this machine knows of in the store.

    Raises:
        StoreError: it cannot be written.
    """
    # What this machine has saved, and what a transaction of it has begun.
    put_back(repo)
    found = unneeded(repo, to_act=True)
    deleted = ((each, repo.machine.read_deleted(each)) for each in sorted(found.missing))
    back = [repo.objects.copied(each, data) for each, data in deleted if data is not None]
    repo.objects.put(back)
    return unneeded(repo, to_act=True) if back else found


def answer(repo: Repository, found: Unneeded, ages: Ages) -> bool:
    """Acknowledge lists, and delete here what is on those that are done; False where no file came or went.

    Nothing is done where it cannot be told what is needed. What is done is to be looked at once more.

    Raises:
        StoreError: it cannot be written, or not all of it; the next time goes on.
    """
    if found.blocked:
        return False
    own = replica_files.own_said(repo)
    condemned = _to_acknowledge(found.said, own) & found.lists.keys()
    going = {place.id for place in found.on(condemned | found.done)} & found.past.keys()
    if going:
        # Of history that others let go all goes here, but for what the sessions of this machine take.
        found.ids |= going & needed_to_join(repo)
    moved = _put_elsewhere(repo, found, found.on(condemned))
    if condemned:
        # After the copies are there: others count on it.
        replica_files.say(repo, lambda said: replace(said, acknowledged=(*said.acknowledged, *sorted(condemned))))
    done = found.done
    gone = bury(repo, found, done, ages)
    if done <= found.lists.keys() and not done <= _recall(repo):
        repo.machine.remember(_DONE, encode_note(sorted(done)))
    return moved or gone


def bury(repo: Repository, found: Unneeded, lists: Iterable[ObjectId], ages: Ages) -> bool:
    """Delete the files on these lists; what is needed is put elsewhere before. False where none was here."""
    places = found.on(lists)
    _put_elsewhere(repo, found, places)
    gone = [place for place in places if delete(repo, place, ages)]
    return bool(gone)


def delete(repo: Repository, place: StoredObject, ages: Ages) -> bool:
    """Delete what is kept at a place, and keep the object aside; False where nothing was there."""
    with suppress(CorruptionError):
        # What is damaged is not what its name says, and nothing can use it.
        data = repo.backend.get_object(place.id, size=None, limit=OBJECT_LIMIT)
        repo.machine.keep_deleted(place.id, data)
        ages.deleted[place.id] = ages.credit
    return repo.backend.remove_object(place)


def _put_elsewhere(repo: Repository, found: Unneeded, places: Sequence[StoredObject]) -> bool:
    """Put what is needed of these into files that are on no list, if it is in none; False where nothing is needed.

    Raises:
        StoreError: one cannot be read or written.
    """
    needed = sorted({place.id for place in places} & found.ids)
    get, copied = repo.backend.get_object, repo.objects.copied
    repo.backend.put_objects(copied(each, get(each, size=None, limit=OBJECT_LIMIT)) for each in needed)
    return bool(needed)


def waiting_for(found: Unneeded, condemned: ObjectId) -> list[str]:
    """Return the replicas that have not acknowledged a list."""
    heard = {replica for replica, said in found.said.items() if condemned in said.acknowledged}
    return sorted(found.others - heard)


def _to_acknowledge(said: dict[str, ReplicaFile], own: ReplicaFile | None) -> set[ObjectId]:
    known = own.acknowledged if own is not None else ()
    return {each.condemned for each in said.values() if each.condemned is not None and each.condemned not in known}


def _recall(repo: Repository) -> set[ObjectId]:
    """Return the lists that were done when what is on them was last deleted here."""
    try:
        known = decode_note(repo.machine.recall(_DONE) or b"[]")
        return {ObjectId(each) for each in known if isinstance(each, str)}
    except (ValueError, TypeError):
        return set()
