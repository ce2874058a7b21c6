"""Finishing what a transaction was about to write when its process ended or the disk failed.

The plan says what each ref is to hold. A ref that is as it was then gets that, and one that holds it already is left
alone. What has gone on in another way stays, as a ref only moves forward: then what was planned goes into a file beside
it, as a save of another machine would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from typing import NamedTuple

from ...backends.base import RefChangedError, RefEnd, RefKey, RefTakenError, RefWrite, Snapshot
from ...errors import CorruptionError, StoreError, StoreFormatError, warn
from ..content.state import State
from ..notes import decode_note, encode_note
from ..repository import TRANSACTION, Repository
from ..writing.refs import create_free, paths_for
from .verdict import has_all_of, intact

_VERSION = 1


class Step(NamedTuple):
    """What a ref is to hold, and how it ended before; None where there was none."""

    key: RefKey
    before: RefEnd | None
    data: bytes


class Plan(NamedTuple):
    """What a transaction writes.

    Attributes:
        store: tells the store from another one at its place; keys: those whose locks the transaction holds.
    """

    store: object
    keys: Sequence[str]
    steps: Sequence[Step]


def encode_plan(repo: Repository, keys: Iterable[str], writes: Iterable[tuple[RefWrite, Snapshot | None]]) -> bytes:
    """Return a plan as it is kept; with each write comes what the ref holds before."""
    steps, parts = [], []
    for write, before in writes:
        end = None if before is None else [len(before.data), before.data[-_END:].hex()]
        steps.append([write.key.path, end, len(write.data)])
        parts.append(write.data)
    head = {"version": _VERSION, "store": repo.backend.place().store, "keys": sorted(keys), "steps": steps}
    body = encode_note(head) + b"\n" + b"".join(parts)
    # What is kept in the state folder has a checksum that finds accidents; this must not be wrong at all.
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode_plan(data: bytes) -> Plan:
    """Return what `encode_plan` was given.

    Raises:
        CorruptionError: it is damaged; StoreFormatError: a newer version of this package has written it.
    """
    digest, _, body = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CorruptionError("what was written down of a transaction is damaged")
    line, _, rest = body.partition(b"\n")
    head = decode_note(line)
    if head["version"] != _VERSION:
        raise StoreFormatError(
            "a transaction was left unfinished by a newer version of coda_fs_session: open the store once with that"
        )
    steps, place = [], 0
    for path, end, size in head["steps"]:
        before = None if end is None else RefEnd(end[0], bytes.fromhex(end[1]))
        steps.append(Step(RefKey(path), before, rest[place : place + size]))
        place += size
    return Plan(head["store"], head["keys"], steps)


_END = 32


def at_open(repo: Repository) -> None:
    """Finish what a transaction has left, or say that it cannot be finished now: reading must work on."""
    try:
        # One that is not there now may come back; to write would make another.
        if repo.backend.place().store is not None:
            finish(repo)
    except StoreError as error:
        warn(f"a transaction was left unfinished, and cannot be finished now ({error}); the next write tries again")


def finish(repo: Repository) -> None:
    """Finish what a transaction has left, if one has; one that is under way is waited for.

    Raises:
        StoreError: it cannot be finished; it is tried again before the next write.
    """
    if not repo.machine.record.is_planned():
        return
    with repo.machine.lock(TRANSACTION):
        plan = _read(repo)
        if plan is not None:
            with repo.machine.lock(*plan.keys), repo.machine.record.carry_out(None):
                # Whatever was taken out of the store, be it its folders.
                repo.backend.prepare()
                carry_out(repo, plan)


def carry_out(repo: Repository, plan: Plan) -> list[RefKey]:
    """Do what a plan says that is not done yet, and return where each of its steps is; the locks must be held.

    Raises:
        StoreError: it cannot be done; the plan is kept.
    """
    written = [_write(repo, step) for step in plan.steps]
    repo.machine.record.drop_plan()
    repo.index.look_again(written)
    return written


def _read(repo: Repository) -> Plan | None:
    """Read the plan that is left; one that cannot be carried out here is kept aside."""
    record = repo.machine.record
    try:
        data = record.plan()
        plan = None if data is None else decode_plan(data)
    except CorruptionError as error:
        aside = record.set_plan_aside()
        warn(f"a transaction was left unfinished and cannot be finished ({error}); what is known of it is in {aside}")
        return None
    if plan is not None and not _is_of_this_store(repo, plan):
        aside = record.set_plan_aside()
        warn(
            f"a transaction was left unfinished in another store than the one at {repo.backend.place().path} now; what "
            f"it was about to write is kept aside in {aside}"
        )
        return None
    return plan


def _is_of_this_store(repo: Repository, plan: Plan) -> bool:
    store = repo.backend.place().store
    if store is not None and list(store) == plan.store:
        return True
    return any(step.before is not None and repo.backend.ref_token(step.key) is not None for step in plan.steps)


def _write(repo: Repository, step: Step) -> RefKey:
    """Let a ref hold what was planned; return its key, or where that is otherwise."""
    planned = intact(repo, step.key, step.data)
    if planned is None:
        raise CorruptionError("what was written down of a transaction is damaged", step.key.path)
    while True:
        with suppress(RefChangedError, RefTakenError):
            return _write_planned(repo, step, planned)


def _write_planned(repo: Repository, step: Step, planned: State) -> RefKey:
    key, backend, record = step.key, repo.backend, repo.machine.record
    recorded = record.read(key)
    if recorded not in (None, step.data) and _has_all_of(intact(repo, key, recorded or b""), planned):
        # It has gone on from there. Where the ref has lost that since, what is recorded is put back.
        return key
    there = backend.ref_token(key) is not None
    with backend.hold(key) if there else nullcontext():
        snapshot = None
        with suppress(KeyError):
            snapshot = backend.read_ref(key) if there else None
        if snapshot is None:
            # First, as nobody may write what differs from the record.
            record.keep(key, step.data)
            backend.create_ref(key, step.data)
            return key
        current = intact(repo, key, snapshot.data)
        data = None
        if snapshot.data.startswith(step.data):
            # It need not be durable: the process may have been killed before its sync, and this one cannot tell.
            data = snapshot.data
        elif current is not None and (_was(step, current) or step.data.startswith(snapshot.data[: current.size])):
            data = step.data
        if data is not None:
            record.keep(key, data)
            backend.replace_ref(key, snapshot.token, data)
            return key
    if _has_all_of(current, planned):
        return key
    key, _ = create_free(repo, paths_for(repo, repo.replica or key.replica, planned.name), step.data)
    warn(
        f"session {planned.name!r} was changed before a transaction that a crash had cut short was finished; what that "
        f"was to write is in {repo.backend.locate(key)} beside it: list_sessions() shows both"
    )
    return key


def _was(step: Step, current: State) -> bool:
    return step.before is not None and current.ends_as(step.before)


def _has_all_of(newer: State | None, planned: State) -> bool:
    with suppress(StoreError):
        return newer is not None and has_all_of(newer, planned)
    return False
