"""How a ref of our own compares with the record of it: whether it was reverted, is gone, or somebody else writes it."""

from __future__ import annotations

from contextlib import suppress
from enum import Enum, auto
from typing import NamedTuple

from ...backends.base import NO_TOKEN, Backend, Record, RefKey, Snapshot, replica_of
from ...errors import CorruptionError, StoreError
from ..ancestry.ancestors import covers, is_seen_in, same_life
from ..content.state import State
from ..repository import Repository


class Verdict(Enum):
    """How a ref compares with the record of it."""

    AGREES = auto()
    """It holds all that the record has."""
    UNTOLD = auto()
    """There is no record, or a damaged one."""
    REVERTED = auto()
    """The record went on from it."""
    GONE = auto()
    """There is none."""
    DAMAGED = auto()
    """The ref is damaged: it is to stay as it is."""
    APART = auto()
    """It cannot be told, for want of an object: the ref is to stay as it is."""
    FOREIGN = auto()
    """Somebody else writes under this replica's id: both have what the other lacks."""


class Comparison(NamedTuple):
    """A ref beside the record of it, as `Verdict` sums it up.

    Attributes:
        current: what the ref says, None where it is gone or damaged.
        recorded: what the record says; data: its bytes, without a torn end. Of a damaged record only its bytes.
    """

    key: RefKey
    verdict: Verdict
    snapshot: Snapshot | None
    current: State | None = None
    recorded: State | None = None
    data: bytes = b""


def is_reverted(repo: Repository, head: State) -> bool:
    """Tell whether this machine had saved more than a ref of its own holds."""
    if differs(repo.machine.record, head):
        with suppress(StoreError):
            verdict = compare(repo, head.key).verdict
            return verdict not in (Verdict.AGREES, Verdict.UNTOLD, Verdict.GONE)
    return False


def differs(record: Record, head: State) -> bool:
    """Tell whether a ref ends otherwise than this machine's record of it; False where there is none."""
    end = record.end(head.key)
    return end is not None and not head.ends_as(end)


def agrees(backend: Backend, record: Record, key: RefKey) -> bool:
    """Tell whether a ref ends as its record does; True where there is no record."""
    # The record first: it is written after the ref.
    end = record.end(key)
    try:
        return end is None or end == backend.ref_end(key)
    except KeyError:
        return False


def compare(repo: Repository, key: RefKey, *, ref: RefKey | None = None) -> Comparison:
    """Compare a ref with its record.

    Args:
        ref: compare this one with the record of `key`, which may be kept aside.

    Raises:
        StoreError: one of them is of a newer version, or cannot be read.
    """
    data = repo.machine.record.read(key) or b""
    snapshot: Snapshot | None = None
    with suppress(KeyError):
        snapshot = repo.backend.read_ref(ref or key)
    recorded = intact(repo, key, data) if data else None
    if recorded is None:
        return Comparison(key, Verdict.UNTOLD, snapshot, data=data)
    data = data[: recorded.size]
    if snapshot is None:
        return Comparison(key, Verdict.GONE, None, None, recorded, data)
    current = intact(repo, ref or key, snapshot.data)
    if current is None:
        return Comparison(key, Verdict.DAMAGED, snapshot, None, recorded, data)
    if snapshot.data.startswith(data):
        return Comparison(key, Verdict.AGREES, snapshot, current, recorded, data)
    return Comparison(key, _verdict(current, recorded), snapshot, current, recorded, data)


def intact(repo: Repository, key: RefKey, data: bytes) -> State | None:
    """Fold a ref's bytes; None where they are damaged."""
    try:
        head = repo.fold(key, Snapshot(data, NO_TOKEN))
    except CorruptionError:
        return None
    return head if head.damage is None else None


def has_all_of(newer: State, older: State) -> bool:
    """Tell whether one state went on from another, metadata included, which plays no part in what covers what.

    Raises:
        StoreError: an object is missing or damaged that decides it.
    """
    if is_seen_in(older, newer):
        return True
    if not covers(newer, older):
        return False
    return not same_life(newer, older) or newer.has_values_of(older)


def ref_of(key: RefKey) -> RefKey:
    """Return the ref that a record is of, be it kept aside or not."""
    _, _, name = key.path.partition("/")
    return RefKey(f"{replica_of(key.replica)}/{name}")


def _verdict(current: State, recorded: State) -> Verdict:
    try:
        if is_seen_in(current, recorded):
            return Verdict.REVERTED
        if has_all_of(current, recorded):
            return Verdict.AGREES
        return Verdict.REVERTED if has_all_of(recorded, current) else Verdict.FOREIGN
    except StoreError:
        return Verdict.APART
