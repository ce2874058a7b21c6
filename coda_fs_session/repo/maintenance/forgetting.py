"""Forgetting what this machine keeps of a store that is gone; nothing but a person can tell it from an unplugged disk.

What goes are the records of its refs, and what else of messages is in its state folder. The id of the replica stays,
and what it has said of itself: should the store come back, others may count on both.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...backends.base import NO_TOKEN, RefKey, Snapshot
from ...errors import SessionError
from ...format.records import decode_time, local_time
from ..repository import Repository
from ..reverts.kept_aside import is_in_store, name_recorded
from ..reverts.which_store import is_of_this_store
from .report import ForgetReport, Forgotten


def forget(gone: Repository, here: Repository | None, *, dry_run: bool) -> ForgetReport:
    """Forget what is recorded of a store that is not at its place any more; see `Maintenance.forget`.

    Args:
        gone: the place that it had; here: a store which may have what was in it.
    """
    record = gone.machine.record
    sets = [each for each in (*record.replicas(), *record.aside()) if not is_of_this_store(gone, each)]
    told: list[Forgotten] = []
    size = 0
    for key in sorted(key for each in sets for key in record.tokens(each)):
        data = record.read(key) or b""
        size += len(data)
        told += _forgotten(gone, here, key, data)
    if not dry_run:
        if sets and gone.backend.place().store is None:
            # Nothing of another store is in it.
            gone.machine.scrub(lambda _: True, index=True)
        for each in sets:
            record.forget_replica(each)
    return ForgetReport(tuple(sorted(told, key=lambda each: each.session)), size, dry_run)


def _forgotten(gone: Repository, here: Repository | None, key: RefKey, data: bytes) -> Iterator[Forgotten]:
    """Yield what is forgotten with a record; nothing for one that says that a session was deleted."""
    try:
        head = gone.fold(key, Snapshot(data, NO_TOKEN))
    except SessionError as error:
        yield Forgotten(name_recorded(key, error), 0, range(0), None, str(error))
        return
    if head.deleted:
        return
    problem = "" if head.damage is None else str(head.damage)
    alone = 0 if not problem and here is not None and is_in_store(here, head) else len(head.messages.lines)
    places = range(max(head.count - alone, 0), head.count)
    yield Forgotten(head.name, head.count, places, local_time(decode_time(head.updated)), problem)
