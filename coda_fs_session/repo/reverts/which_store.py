"""Which records are of the store that is at the place: those of another one are kept aside, and never dropped.

Another store may have taken the place, as with disks that are plugged in by turns; or a tool took away all that this
replica had written. It takes evidence to call it another one: no replica of it is known from before, and no object.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ...backends.base import Backend, Record, RefKey, replica_of
from ...errors import ObjectNotYetHereError, StoreError, warn
from ..content.state import State
from ..notes import decode_note
from ..repository import Repository
from .verdict import agrees, compare, intact, ref_of

_SHOWN = 3
_OBJECT_LIMIT = 2**31


def sort_records(repo: Repository) -> None:
    """Keep aside what is recorded of other stores, and take back what is of this one.

    Raises:
        StoreError: the store cannot be read, or the records not be moved.
    """
    others, back, _ = _misplaced(repo)
    if others or back:
        with repo.machine.lock(".put-back"):
            _sort(repo)


def _misplaced(repo: Repository) -> tuple[list[str], list[str], bool]:
    """Return the sets of records to keep aside and those to take back; whether any is of this store."""
    record = repo.machine.record
    current = [name for name in record.replicas() if not record.is_empty(name)]
    aside = [name for name in record.aside() if not record.is_empty(name)]
    others = [name for name in current if not is_of_this_store(repo, name)]
    back = [name for name in aside if is_of_this_store(repo, name)]
    return others, back, len(others) < len(current) or bool(back)


def _sort(repo: Repository) -> None:
    record = repo.machine.record
    others, back, is_known = _misplaced(repo)
    names = [name for each in others for name in _session_names(repo, each)]
    for each in others:
        record.set_aside(each)
    if others and not is_known:
        # Where a set is of this store, stores take turns here: that was told of when this one was new.
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        warn(
            f"{repo.backend.place().path} has nothing of what this machine had saved there: it is another store, or "
            f"everything was taken out of it. What was saved is kept aside ({len(names)} "
            f"session{'s' * (len(names) != 1)}: {', '.join(map(repr, names[:_SHOWN]))}{more}): manager.kept_aside() "
            "lists it, manager.bring_back() brings it into the store"
        )
    for each in back:
        for key, head in list(_recorded(repo, each)):
            # A damaged one tells nothing here either.
            if head is not None and not record.take_back(key) and _has_it(record, key):
                record.forget(key)
        if record.is_empty(each):
            record.forget_replica(each)


def _has_it(record: Record, key: RefKey) -> bool:
    """Tell whether the present record of a ref holds what one that is kept aside has."""
    return (record.read(ref_of(key)) or b"").startswith(record.read(key) or b"")


def _session_names(repo: Repository, name: str) -> Iterator[str]:
    for key, head in _recorded(repo, name):
        if head is None:
            yield key.path
        elif not head.deleted:
            yield head.name


def is_of_this_store(repo: Repository, name: str) -> bool:
    """Tell whether a set of records is of the store that is at the place now; in doubt it is."""
    backend, record = repo.backend, repo.machine.record
    store, others = _noted(record, name)
    # First, since it is the quickest to tell, and nearly always so.
    if store is not None and store == _as_json(backend.place().store):
        return True
    replica, there = replica_of(name), repo.index.replicas()
    is_given = repo.machine.replica(()) is not None
    if replica in there and not is_given:
        # It was made up for this store.
        return True
    if any(other in there and other != replica for other in others):
        return True
    if replica in there and any(agrees(backend, record, key) for key in record.tokens(name) if key == ref_of(key)):
        return True
    return any(
        head is not None and ((replica in there and _is_of_one_birth(repo, key)) or _names_what_is_here(backend, head))
        for key, head in _recorded(repo, name)
    )


def _noted(record: Record, name: str) -> tuple[object, list[str]]:
    """Return what `Repository.note_store` kept with a set of records."""
    with suppress(ValueError, TypeError):
        store, replicas = decode_note(record.noted(name) or b"")
        return store, list(replicas)
    return None, []


def _as_json(token: tuple[int, ...] | None) -> list[int] | None:
    return None if token is None else list(token)


def _recorded(repo: Repository, name: str) -> Iterator[tuple[RefKey, State | None]]:
    """Yield what is recorded in a set; None for what is damaged, or of a newer version."""
    for key in sorted(repo.machine.record.tokens(name)):
        head = None
        with suppress(StoreError):
            head = intact(repo, key, repo.machine.record.read(key) or b"")
        yield key, head


def _is_of_one_birth(repo: Repository, key: RefKey) -> bool:
    """Tell whether a ref and its record are of one session, however they parted."""
    try:
        found = compare(repo, key, ref=ref_of(key))
    except StoreError:
        return True
    current, recorded = found.current, found.recorded
    return current is not None and recorded is not None and current.header.created == recorded.header.created


def _names_what_is_here(backend: Backend, head: State) -> bool:
    """Tell whether one of the objects that a state is made of is in the store."""
    base, commit = head.header.base, head.header.commit
    identities = [entry.id for level in base.spine.levels for entry in level]
    if base.tail is not None:
        identities.append(base.tail.id)
    if commit is not None:
        identities.append(commit.id)
    for identity in identities:
        try:
            backend.get_object(identity, size=None, limit=_OBJECT_LIMIT)
        except ObjectNotYetHereError:
            continue
        except StoreError:
            # Something is there under its name.
            return True
        return True
    return False
