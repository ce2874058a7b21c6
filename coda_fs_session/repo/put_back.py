"""Refs of this replica that were reverted: what this machine had saved is put back where something older stands.

An old copy of the store put over the current one, a restored backup, a ref deleted: the record that the machine keeps
of its own refs tells. Only opening a manager and writing put anything back; reading says what it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum, auto
from typing import NamedTuple, TypeVar

from ..backends.base import RecordAheadError, RefChangedError, RefKey, RefTakenError, Snapshot, Token
from ..errors import CorruptionError, StoreError, warn
from ..format.names import ref_path, session_key
from .history import covers, is_seen_in, same_life
from .notes import decode_note, encode_note
from .repository import Repository
from .state import Head

_T = TypeVar("_T")

_Checked = dict[str, list[list[int]]]
"""The tokens of each ref and of its record under which they were found to agree."""


class Verdict(Enum):
    """How a ref stands to the record of it."""

    SETTLED = auto()
    """It holds all that the record has; or the record is damaged, and tells nothing."""
    REVERTED = auto()
    """The record went on from it."""
    GONE = auto()
    """There is none."""
    APART = auto()
    """It cannot be told, for want of an object; or the ref is damaged: it is to stay as it is."""
    FOREIGN = auto()
    """Somebody else writes under this replica's id: both have what the other lacks."""


class Standing(NamedTuple):
    """A ref beside the record of it, as `Verdict` sums it up.

    Attributes:
        recorded: what the record says; data: its bytes, without a torn end.
    """

    key: RefKey
    verdict: Verdict
    snapshot: Snapshot | None
    current: Head | None = None
    recorded: Head | None = None
    data: bytes = b""


def at_open(repo: Repository) -> None:
    """Put back what was reverted since the store was last looked at; quick where nothing moved.

    A store that cannot be written or read is left alone: whoever reads it is told.
    """
    with suppress(StoreError):
        if not _is_as_marked(repo) and repo.machine.record.replicas():
            put_back(repo)


def at_close(repo: Repository) -> None:
    """Hold the records against the store once more, so that who opens it next need not: our own writes moved it."""
    with suppress(StoreError):
        # Which replica we are is asked last: it takes the index, which many who close a store have not needed.
        if _is_as_marked(repo) or not repo.machine.record.replicas() or (replica := repo.replica) is None:
            return
        marker = repo.backend.replica_marker(replica)
        found, uneven = _uneven(repo)
        if marker and not uneven:
            _keep(repo, marker, found)


def _is_as_marked(repo: Repository) -> bool:
    try:
        replica, marker = decode_note(repo.machine.record.load_marker() or b"[null,[]]")
    except (ValueError, TypeError):
        return False
    return bool(marker) and repo.backend.replica_marker(replica, marker) == marker


def _keep(repo: Repository, marker: list[int] | None, found: _Checked) -> None:
    repo.machine.record.keep_checked(encode_note([repo.replica, marker]), encode_note(found))


def retried(repo: Repository, write: Callable[[], _T]) -> _T:
    """Call what writes, until nobody interferes; what it would write over is put back before.

    Raises:
        StoreError: what was saved before cannot be put back.
    """
    while True:
        try:
            return write()
        except RecordAheadError:
            put_back(repo)
        except RefChangedError:
            continue


def is_reverted(repo: Repository, head: Head) -> bool:
    """Tell whether this machine had saved more than a ref of its own holds."""
    if differs(repo, head):
        with suppress(StoreError):
            return _standing(repo, head.key).verdict not in (Verdict.SETTLED, Verdict.GONE)
    return False


def differs(repo: Repository, head: Head) -> bool:
    """Tell whether a ref ends otherwise than this machine's record of it; False where there is none."""
    end = repo.machine.record.end(head.key)
    return end is not None and not (end.size == head.size and end.end.endswith(head.last_id.encode() + b'"}\n'))


def put_back(repo: Repository) -> None:
    """Hold every record against its ref, and put back what the store lacks.

    Raises:
        StoreError: it cannot be written, or a ref or record not be understood; nothing is lost by that.
    """
    replica = repo.replica
    marker = repo.backend.replica_marker(replica) if replica is not None else None
    if replica is None or marker is None:
        # Another store has come to stand here: what was saved in that one is no business of this one.
        repo.forget_replica()
        return
    found, uneven = _uneven(repo)
    if uneven and not found and _is_given(repo) and not any(_is_of_one_birth(repo, key) for key in uneven):
        # The id was not made up for this store: it may be that of another one at this place, too.
        repo.machine.record.forget_replica(replica)
        repo.forget_replica()
        return
    if uneven:
        with repo.machine.lock(".put-back"):
            _settle(repo, uneven)
        for key in uneven:
            repo.index.look_again(key)
    _keep(repo, marker, found)


def _uneven(repo: Repository) -> tuple[_Checked, list[RefKey]]:
    """Find the refs that differ from their records, reading only what moved since they were last found to agree."""
    record = repo.machine.record
    checked = _load_checked(record.load_checked())
    found: _Checked = {}
    uneven: list[RefKey] = []
    # Those of an id that we have left, too: another process may have been late to notice.
    records: dict[RefKey, Token] = {}
    for replica in record.replicas():
        # Not of replicas that this store has not seen: the records may be of another one.
        if repo.backend.replica_marker(replica) is not None:
            records |= record.tokens(replica)
    tokens = repo.backend.ref_tokens()
    for key, token in records.items():
        there = tokens.get(key.path)
        seen = [list(there), list(token)] if there is not None else None
        if seen is not None and (checked.get(key.path) == seen or _is_even(repo, key)):
            found[key.path] = seen
        else:
            uneven.append(key)
    return found, uneven


def _is_given(repo: Repository) -> bool:
    """Tell whether the replica's id is the same in every store."""
    return repo.machine.replica(()) is not None


def _is_of_one_birth(repo: Repository, key: RefKey) -> bool:
    """Tell whether a ref and its record are of one session, however they parted."""
    standing = _standing(repo, key)
    if standing.verdict is Verdict.SETTLED:
        return standing.recorded is not None
    current, recorded = standing.current, standing.recorded
    return current is not None and recorded is not None and current.header.created == recorded.header.created


def _load_checked(data: bytes | None) -> _Checked:
    try:
        checked = decode_note(data or b"{}")
    except ValueError:
        return {}
    return checked if isinstance(checked, dict) else {}


def _is_even(repo: Repository, key: RefKey) -> bool:
    """Tell whether a ref ends as its record does; True where there is no record."""
    # The record first: it is written after the ref.
    end = repo.machine.record.end(key)
    try:
        return end is None or end == repo.backend.ref_end(key)
    except KeyError:
        return False


def _standing(repo: Repository, key: RefKey) -> Standing:
    """Compare a ref with its record.

    Raises:
        StoreError: one of them is of a newer version, or cannot be read.
    """
    data = repo.machine.record.read(key)
    snapshot: Snapshot | None = None
    with suppress(KeyError):
        snapshot = repo.backend.read_ref(key)
    recorded = _intact(repo, key, data) if data is not None else None
    if data is None or recorded is None:
        # Lost or damaged: it tells nothing.
        return Standing(key, Verdict.SETTLED, snapshot)
    data = data[: recorded.size]
    if snapshot is None:
        return Standing(key, Verdict.GONE, None, None, recorded, data)
    if snapshot.data.startswith(data):
        return Standing(key, Verdict.SETTLED, snapshot, None, recorded)
    current = _intact(repo, key, snapshot.data)
    verdict = _verdict(current, recorded) if current is not None else Verdict.APART
    return Standing(key, verdict, snapshot, current, recorded, data)


def _intact(repo: Repository, key: RefKey, data: bytes) -> Head | None:
    """Fold a ref's bytes; None where they are damaged."""
    try:
        head = repo.fold(key, Snapshot(data, Token(())))
    except CorruptionError:
        return None
    return head if head.damage is None else None


def _verdict(current: Head, recorded: Head) -> Verdict:
    try:
        if is_seen_in(current, recorded):
            return Verdict.REVERTED
        if _has_all_of(current, recorded):
            return Verdict.SETTLED
        return Verdict.REVERTED if _has_all_of(recorded, current) else Verdict.FOREIGN
    except StoreError:
        return Verdict.APART


def _has_all_of(newer: Head, older: Head) -> bool:
    """Tell whether one state went on from another, metadata included, which plays no part in what covers what."""
    if is_seen_in(older, newer):
        return True
    if not covers(newer, older):
        return False
    stamps = {key: item.stamp for key, item in newer.metadata.items()}
    return not same_life(newer, older) or all(stamps.get(key, "") >= item.stamp for key, item in older.metadata.items())


def _settle(repo: Repository, keys: Iterable[RefKey]) -> None:
    """Make records and refs agree, losing nothing of either; other processes that do the same must be kept waiting.

    Raises:
        StoreError: of some that is not possible; it was done for the others.
    """
    # Whoever was here before us may have chosen another id.
    repo.forget_replica()
    own = repo.replica
    standings: list[Standing] = []
    failures: list[StoreError] = []
    for key in keys:
        with _collecting(failures):
            standings.append(_standing(repo, key))
    foreign = any(standing.verdict is Verdict.FOREIGN for standing in standings)
    left = {standing.key.replica for standing in standings} - {own}
    if foreign and own is not None:
        _, is_new = repo.leave_replica()
        warn(
            f"somebody else writes into the store as the replica {own!r} too: a copy of this machine, or of its state "
            f"folder. {f'This one goes on as {repo.replica!r}' if is_new else 'Give each its own `replica`'}",
        )
        if is_new:
            left.add(own)
    for standing in standings:
        with _collecting(failures):
            while not _act(repo, standing.key, in_place=standing.key.replica not in left):
                pass
    if failures:
        raise failures[0]
    for replica in left:
        # Only now that all they had is in files of ours.
        repo.machine.record.forget_replica(replica)


@contextmanager
def _collecting(failures: list[StoreError]) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        failures.append(error)


def _act(repo: Repository, key: RefKey, *, in_place: bool) -> bool:
    """Bring one ref and its record together, as they are now; False where somebody interfered.

    Args:
        in_place: the ref is ours to replace; else what its record has goes into a file of ours.
    """
    record = repo.machine.record
    with ExitStack() as stack:
        if in_place:
            with suppress(RefChangedError):
                stack.enter_context(repo.backend.hold(key))
        standing = _standing(repo, key)
        if standing.verdict is Verdict.SETTLED:
            if standing.snapshot is not None:
                record.keep(key, standing.snapshot.data)
            else:
                record.forget(key)
            return True
        if in_place and standing.verdict in (Verdict.REVERTED, Verdict.GONE):
            # Nobody may write over what differs from the record; a torn end of that is nothing to put back.
            record.keep(key, standing.data)
            try:
                if standing.snapshot is not None:
                    repo.backend.replace_ref(key, standing.snapshot.token, standing.data)
                else:
                    repo.backend.create_ref(key, standing.data)
            except (RefChangedError, RefTakenError):
                return False
            _tell(repo, key, standing)
            return True
    assert standing.recorded is not None, "it is settled otherwise"
    _tell(repo, _place(repo, standing.recorded.name, standing.data), standing)
    if standing.snapshot is None or standing.current is None:
        record.forget(key)
    else:
        record.keep(key, standing.snapshot.data)
    return True


def _place(repo: Repository, name: str, data: bytes) -> RefKey:
    """Keep a ref's bytes under a free key of ours."""
    assert repo.replica is not None
    number = 1
    with repo.machine.lock(session_key(name)):
        while True:
            key = RefKey(ref_path(repo.replica, session_key(name), number))
            try:
                repo.backend.create_ref(key, data)
                return key
            except (RefTakenError, RecordAheadError):
                number += 1


def _tell(repo: Repository, key: RefKey, standing: Standing) -> None:
    recorded, current = standing.recorded, standing.current
    assert recorded is not None
    if current is not None and current.last_id in recorded.line_ids:
        lost = len(recorded.line_ids) - 1 - recorded.line_ids.index(current.last_id)
        what = f"{lost} save{'s' * (lost != 1)}"
    else:
        lost = recorded.live_count - (current.live_count if current else 0)
        what = f"{lost} message{'s' * (lost != 1)}" if lost > 0 else "its newer state"
    reason = {
        Verdict.GONE: "was gone from the store",
        Verdict.REVERTED: "had been reverted to an older copy",
    }.get(standing.verdict, "lacks what this machine had saved")
    warn(
        f"session {recorded.name!r}: {repo.backend.locate(standing.key)} {reason}; {what} put back"
        + (f", into {repo.backend.locate(key)}" if key != standing.key else ""),
    )
