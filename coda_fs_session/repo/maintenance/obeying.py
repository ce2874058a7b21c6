"""Taking out here what other replicas have purged: of what this replica writes, and of what a tool has brought back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ...backends.base import OBJECT_LIMIT
from ...errors import StoreError, UnsupportedError, warn
from ...format.ids import ObjectId
from ..content.purged import Purged
from ..notes import decode_note, encode_note
from ..repository import Repository
from .check import fresh_objects
from .everything import Everything
from .needs import had_again
from .purge import purge
from .texts import ByHash, without
from .whole import obey_session

_TOPIC = "purged"
_MASKS = b"*0123456789"


def obey(repo: Repository, purge_from: str | Sequence[str], *, again: bool = False) -> None:
    """Take out here what others have purged, once for each of their records, and warn of the sessions that had it.

    What cannot be done now is done the next time. Nothing is done where this machine has written nothing.

    Args:
        purge_from: "any", the ids of the replicas that are obeyed, or "none".
        again: go by every record once more, our own too: a tool has changed refs of ours, perhaps back.
    """
    if purge_from == "none" or repo.replica is None or not repo.backend.replica_files():
        return
    purged = repo.objects.purged
    purged.look(repo.backend)
    if not purged.said_by:
        return
    try:
        with repo.machine.keeping_house("purge"):
            _obey(repo, purged, purge_from, again=again)
    except (StoreError, UnsupportedError) as error:
        warn(f"what other machines have purged is not taken out here yet ({error}); the next time does it")


def _obey(repo: Repository, purged: Purged, purge_from: str | Sequence[str], *, again: bool) -> None:
    own = repo.replica
    heeded = {
        record
        for record, replica in purged.said_by.items()
        if replica == own or purge_from == "any" or replica in purge_from
    }
    done = _recall(repo)
    new = heeded if again else {record for record in heeded - done if purged.said_by[record] != own}
    waiting = set[ObjectId]()
    # Once more than once: a tool may bring old files back, and the tombstone may come later than the record.
    back = {each for record in heeded for each in purged.records[record].objects if _is_here(repo, each)}
    of_sessions = (purged.records[record].objects for record in heeded if purged.records[record].is_of_session)
    again_whole = again or not all(map(back.isdisjoint, of_sessions))
    for record in heeded:
        for deleted, session in purged.records[record].sessions.items():
            if record not in done or again_whole:
                taken = obey_session(repo, deleted)
                if taken is not None and taken.taken and purged.said_by[record] != own:
                    kept = f"; {taken.kept} messages that were added here stay in it" if taken.kept else ""
                    by = purged.said_by[record]
                    warn(f"session {session.name!r} was taken out here too, as {by} has purged it{kept}")
                if taken is None:
                    waiting.add(record)
    if new:
        lines = {line: change for record in new for line, change in purged.records[record].lines.items()}
        report = purge(repo, ByHash(lines))
        if report.places:
            names = ", ".join(repr(place.session) for place in report.places)
            others = ", ".join(sorted({purged.said_by[record] for record in new}))
            warn(f"what {others} purged was taken out of {names} here too")
    here = {each for each in back if _is_here(repo, each)}
    # What a session had is perhaps another one's by now.
    for identity in here - had_again(here, repo.backend, fresh_objects(repo)):
        _discard(repo, identity, purged.stand_in(identity))
    # What waits again is done again: until then the index of this machine has what an old ref says.
    if (now := (done | heeded) - waiting) != done:
        repo.machine.remember(_TOPIC, encode_note(sorted(now)))


def _recall(repo: Repository) -> set[ObjectId]:
    try:
        known = decode_note(repo.machine.recall(_TOPIC) or b"[]")
        return {ObjectId(each) for each in known if isinstance(each, str)}
    except (ValueError, TypeError):
        return set()


def _is_here(repo: Repository, identity: ObjectId) -> bool:
    with suppress(StoreError):
        repo.backend.get_object(identity, size=None, limit=OBJECT_LIMIT)
        return True
    return False


def _discard(repo: Repository, identity: ObjectId, stand_in: ObjectId | None) -> None:
    """Remove an object that is gone, and that a tool has brought back, if what stands for it is here and is a mask."""
    with suppress(StoreError):
        before = repo.backend.get_object(identity, size=None, limit=OBJECT_LIMIT)
        if stand_in is None:
            return
        after = repo.backend.get_object(stand_in, size=len(before), limit=len(before))
        is_mask = all(new in _MASKS for old, new in zip(before, after, strict=True) if old != new)
        if is_mask or without(before, Everything()) == after:
            repo.backend.discard_object(identity)
