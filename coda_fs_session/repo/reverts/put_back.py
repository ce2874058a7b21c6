"""Refs of this replica that were reverted: what this machine had saved is put back where something older stands.

An old copy of the store put over the current one, a restored backup, a ref deleted: the record that the machine keeps
of its own refs tells. Only opening a manager and writing put anything back; reading says what it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple, TypeVar

from ...backends.base import (
    Marker,
    PlannedError,
    RecordAheadError,
    RefChangedError,
    RefKey,
    RefTakenError,
    Token,
    folder_of,
)
from ...errors import StoreError, warn
from ...format.names import session_key
from ..lookup.names import related
from ..notes import decode_note, encode_note
from ..replica_files import put_said_back
from ..repository import Repository
from ..writing.refs import create_free, paths_for
from .marker import Look, look
from .plans import finish
from .verdict import Comparison, Verdict, agrees, compare
from .which_store import is_of_this_store, sort_records

_T = TypeVar("_T")

_Checked = dict[str, list[list[int]]]
"""The tokens of each ref and of its record under which they were found to agree."""


def at_open(repo: Repository, seen: Look | None = None) -> None:
    """Put back what was reverted since the store was last looked at; quick where nothing moved.

    A store that cannot be written or read is left alone: whoever reads it is told.

    Args:
        seen: what a look a moment ago has found.
    """
    with suppress(StoreError):
        seen = seen or look(repo.backend, repo.machine)
        if seen.moved != [] and not _has_the_newest(repo):
            put_back(repo, seen)


def at_close(repo: Repository) -> None:
    """Hold the records against the store where our own writes moved it, so that who opens it next need not."""
    with suppress(StoreError):
        marker, moved = look(repo.backend, repo.machine, changed=repo.index.freshness.written)
        # Which replica we are is asked last: it takes the index, which many who close a store have not needed.
        if moved == [] or not repo.machine.record.replicas() or (replica := repo.replica) is None:
            return
        if moved is None:
            marker = repo.backend.replica_marker(replica)
        # What moved a moment ago the next one has to look at anyway: a further change may not show.
        settled = None if moved is None else [folder for folder in moved if marker and marker.get(folder)]
        if marker and settled != []:
            found = _find_differing(repo, replica, settled)
            if not found.differing:
                _keep(repo, marker, found, set(moved or ()) - set(settled or ()))


def _has_the_newest(repo: Repository) -> bool:
    """Tell whether a store that can only be reverted as a whole has what this machine saved last."""
    record = repo.machine.record
    newest = record.newest() if repo.backend.capabilities.whole else None
    # A record that is gone tells nothing of the store.
    return newest is not None and record.end(newest) is not None and agrees(repo.backend, record, newest)


def retried(repo: Repository, write: Callable[[], _T]) -> _T:
    """Call what writes, until nobody interferes; what it would write over is put back before.

    Raises:
        StoreError: what was saved before cannot be put back.
    """
    while True:
        try:
            return write()
        except PlannedError:
            finish(repo)
        except RecordAheadError:
            put_back(repo)
        except RefChangedError:
            continue


def put_back(repo: Repository, seen: Look | None = None) -> None:
    """Hold every record against its ref, and put back what the store lacks; what is of another store is kept aside.

    Of a store that is only read, what it lacks is found, and left.

    Args:
        seen: records of refs in other folders than it names agree, which need not be found out.

    Raises:
        StoreError: it cannot be written, or a ref or record not be understood; nothing is lost by that.
    """
    while True:
        with suppress(PlannedError):
            if not repo.settings.read_only:
                sort_records(repo)
                put_said_back(repo)
                finish(repo)
            _put_back(repo, seen)
            return


def _put_back(repo: Repository, seen: Look | None) -> None:
    replica = repo.find_replica()
    if replica is None or (not repo.backend.has_refs(replica) and repo.machine.record.is_empty(replica)):
        # This replica has written nothing yet.
        return
    marker, moved = seen or Look(None, None)
    if marker is None or replica not in marker:
        # Before the refs are looked at: what happens to them meanwhile must not pass for seen.
        marker, moved = repo.backend.replica_marker(replica), None
    found = _find_differing(repo, replica, moved)
    if repo.settings.read_only:
        # What is kept of the index may be of a time at which the very same refs lacked nothing.
        repo.index.look_again(found.differing)
        return
    reconcile_alone(repo, found.differing)
    if marker is not None and repo.replica == replica:
        _keep(repo, marker, found, {folder_of(key.path) for key in found.differing if key.replica == replica})


def lacking(repo: Repository) -> Iterator[tuple[Comparison, str]]:
    """Yield each ref that lacks what this machine saved in it, be it gone, with what it lacks; nothing is changed.

    Raises:
        StoreError: the store or the records cannot be listed.
    """
    replica, record = repo.find_replica(), repo.machine.record
    ours = {name for name in record.replicas() if is_of_this_store(repo, name)}
    if replica is None or not ours:
        return
    for key in _find_differing(repo, replica, None).differing:
        with suppress(StoreError):
            found = compare(repo, key) if key.replica in ours else None
            if found is not None and found.verdict in (Verdict.REVERTED, Verdict.GONE):
                yield found, _what(found)


def mend(repo: Repository, name: str) -> bool:
    """Go on from the record where a ref of our own is damaged, in a file beside it; False where that cannot be."""
    with suppress(StoreError, PlannedError):
        own = [key for row in related(repo.index, name) if (key := RefKey(row.path)).replica == repo.replica]
        damaged = [key for key in own if compare(repo, key).verdict is Verdict.DAMAGED]
        reconcile_alone(repo, damaged)
        return bool(damaged)
    return False


def reconcile_alone(repo: Repository, keys: list[RefKey]) -> None:
    """Make records and refs agree, losing nothing of either, while other processes wait; raises as `_reconcile`."""
    if keys:
        with repo.machine.lock(".put-back"):
            _reconcile(repo, keys)
        repo.index.look_again(keys)


class _Found(NamedTuple):
    """How records compare with their refs.

    Attributes:
        agreeing: the tokens of refs and records that agree, by the folder of the refs; `before`: as last kept.
    """

    agreeing: dict[str, _Checked]
    before: dict[str, _Checked]
    differing: list[RefKey]


def _find_differing(repo: Repository, own: str, folders: Collection[str] | None) -> _Found:
    """Find the refs that differ from their records, reading only what moved since they were last found to agree.

    Args:
        own: our replica; folders: of its refs only those in these, None for all.
    """
    record = repo.machine.record
    records: dict[RefKey, Token] = {}
    # Those of an id that we have left, too: another process may have been late to notice.
    for replica in {*record.replicas(), own}:
        records |= record.tokens(replica, folders if replica == own else None)
    places = {*map(folder_of, (key.path for key in records)), *(folders or ())}
    tokens = repo.backend.ref_tokens() if folders is None else repo.backend.ref_tokens_in(places)
    before = {folder: _load_checked(record.load_checked(folder)) for folder in places}
    found = _Found({folder: {} for folder in places}, before, [])
    for key, token in records.items():
        there, folder = tokens.get(key.path), folder_of(key.path)
        seen = [there.numbers(), token.numbers()] if there is not None else None
        if seen is not None and (before[folder].get(key.path) == seen or agrees(repo.backend, record, key)):
            found.agreeing[folder][key.path] = seen
        else:
            found.differing.append(key)
    return found


def _keep(repo: Repository, marker: Marker, found: _Found, doubtful: Collection[str]) -> None:
    """Keep for the next process what was found; it is to look at the records of `doubtful` folders again."""
    assert repo.replica is not None
    checked = {folder: now for folder, now in found.agreeing.items() if now != found.before[folder]}
    if marker or checked:
        repo.note_store(repo.replica)
        kept = marker | {folder: [] for folder in doubtful} if marker else {}
        repo.machine.record.keep_checked(
            encode_note([repo.replica, kept]), {folder: encode_note(each) for folder, each in checked.items()}
        )


def _load_checked(data: bytes | None) -> _Checked:
    try:
        checked = decode_note(data or b"{}")
    except ValueError:
        return {}
    return checked if isinstance(checked, dict) else {}


def _reconcile(repo: Repository, keys: Iterable[RefKey]) -> None:
    """Make records and refs agree, losing nothing of either; other processes that do the same must be kept waiting.

    Raises:
        StoreError: of some that is not possible; it was done for the others.
    """
    # Whatever was taken out of the store, be it its folders.
    repo.backend.prepare()
    # Whoever was here before us may have chosen another id.
    own = repo.find_replica()
    comparisons: list[Comparison] = []
    failures: list[StoreError] = []
    for key in keys:
        with _collecting(failures):
            comparisons.append(compare(repo, key))
    foreign = any(found.verdict is Verdict.FOREIGN for found in comparisons)
    left = {found.key.replica for found in comparisons} - {own}
    if foreign and own is not None:
        _, is_new = repo.leave_replica()
        warn(
            f"somebody else writes into the store as the replica {own!r} too: a copy of this machine, or of its state "
            f"folder. {f'This one goes on as {repo.replica!r}' if is_new else 'Give each its own `replica`'}",
        )
        if is_new:
            left.add(own)
    for found in comparisons:
        with _collecting(failures):
            while not _act(repo, found.key, in_place=found.key.replica not in left):
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
        found = compare(repo, key)
        if found.verdict in (Verdict.AGREES, Verdict.UNTOLD):
            if found.data and found.recorded is None:
                record.set_aside(key.replica, key)
                warn(
                    f"the record of {repo.backend.locate(key)} is damaged, and cannot tell whether that was reverted; "
                    "it is kept aside, see manager.kept_aside()"
                )
            if found.snapshot is not None:
                record.keep(key, found.snapshot.data)
            else:
                record.forget(key)
            return True
        if in_place and found.verdict in (Verdict.REVERTED, Verdict.GONE):
            # Nobody may write over what differs from the record; a torn end of that is nothing to put back.
            record.keep(key, found.data)
            try:
                if found.snapshot is not None:
                    repo.backend.replace_ref(key, found.snapshot.token, found.data)
                else:
                    repo.backend.create_ref(key, found.data)
            except PlannedError:
                raise
            except (RefChangedError, RefTakenError):
                return False
            _tell(repo, key, found)
            return True
    assert found.recorded is not None, "it agrees otherwise"
    _tell(repo, _place(repo, found.recorded.name, found.data), found)
    if found.snapshot is None or found.current is None:
        record.forget(key)
    else:
        record.keep(key, found.snapshot.data)
    return True


def _place(repo: Repository, name: str, data: bytes) -> RefKey:
    """Keep a ref's bytes under a free key of ours."""
    assert repo.replica is not None
    with repo.machine.lock(session_key(name)):
        return put_beside(repo, repo.replica, name, data)


def put_beside(repo: Repository, replica: str, name: str, data: bytes) -> RefKey:
    """Keep a ref's bytes under a free key of this replica; the name's lock must be held."""
    return create_free(repo, paths_for(repo, replica, name), data)[0]


def _what(found: Comparison) -> str:
    """Return what the record has, and the ref has not."""
    recorded, current = found.recorded, found.current
    assert recorded is not None
    if current is not None and current.last_id in recorded.line_ids:
        lost = len(recorded.line_ids) - 1 - recorded.line_ids.index(current.last_id)
        return f"{lost} save{'s' * (lost != 1)}"
    lost = recorded.live_count - (current.live_count if current else 0)
    return f"{lost} message{'s' * (lost != 1)}" if lost > 0 else "its newer state"


def _tell(repo: Repository, key: RefKey, found: Comparison) -> None:
    assert found.recorded is not None
    reason = {
        Verdict.GONE: "was gone from the store",
        Verdict.REVERTED: "had been reverted to an older copy",
        Verdict.DAMAGED: "is damaged, and stays as it is",
    }.get(found.verdict, "lacks what this machine had saved")
    warn(
        f"session {found.recorded.name!r}: {repo.backend.locate(found.key)} {reason}; {_what(found)} put back"
        + (f", into {repo.backend.locate(key)}" if key != found.key else ""),
    )
