"""What this machine had saved and could not put back into the store: to be listed, and to be brought back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from ...backends.base import NO_TOKEN, RefKey, Snapshot
from ...errors import SessionError, SessionNotFoundError, StoreError
from ...format.names import key_of_ref, session_key
from ...session.info import SessionInfo
from ..content.state import State
from ..index.rows import Row, row_of
from ..lookup.listing import find_info, infos_of_rows
from ..lookup.names import read_refs, related, view_of
from ..repository import Repository
from .put_back import put_beside, retried
from .verdict import has_all_of, ref_of


def kept_aside(repo: Repository) -> list[SessionInfo]:
    """Return what is known of every session that is kept aside, newest first; one that is damaged with its error."""
    infos = _infos(repo, _entries(repo))
    if repo.settings.read_only:
        # What a manager that writes would have put back when it was opened.
        gone = _infos(repo, _read(repo, _gone(repo)))
        for info in gone:
            info.reverted = True
        infos = _newest_first(infos + gone)
    return infos


def _infos(repo: Repository, entries: Iterable[tuple[RefKey, State | SessionError]]) -> list[SessionInfo]:
    rows: list[tuple[str, Row, SessionError | None]] = []
    for key, found in entries:
        if isinstance(found, State):
            rows.append((found.name, row_of(found), found.damage))
        else:
            name = name_recorded(key, found)
            rows.append((name, Row(key.path, NO_TOKEN, name, name, replica=ref_of(key).replica), found))
    return infos_of_rows(rows)


def bring_back(repo: Repository, name: str | None = None) -> list[SessionInfo]:
    """Put into the store what is kept aside; returns as `SessionManager.bring_back`."""
    if name is not None and not any(name_recorded(*each) == name for each in _entries(repo)):
        raise SessionNotFoundError(
            name,
            f"nothing called {name!r} is kept aside: kept_aside() shows what is, list_sessions() what is in the store",
        )
    # By where they stand: a label may change with what is brought back after it.
    brought: dict[RefKey, str] = {}
    retried(repo, partial(_bring_back, repo, name, brought))
    labels = dict.fromkeys(_label(repo, each, key) for key, each in brought.items())
    infos = [info for label in labels if label is not None and (info := find_info(repo, label)) is not None]
    return _newest_first(infos)


def _newest_first(infos: Iterable[SessionInfo]) -> list[SessionInfo]:
    return sorted(sorted(infos, key=lambda info: info.name), key=lambda info: info.updated_at, reverse=True)


def _bring_back(repo: Repository, name: str | None, brought: dict[RefKey, str]) -> None:
    record = repo.machine.record
    problem: SessionError | None = None
    with repo.machine.lock(".bring-back"):
        for key, found in _entries(repo):
            if name is not None and name_recorded(key, found) != name:
                continue
            if not isinstance(found, State) or found.damage is not None:
                problem = problem or (found.damage if isinstance(found, State) else found)
                continue
            brought[_place(repo, key, found)] = found.name
            # Only now that it is in the store, durably.
            record.forget(key)
            if record.is_empty(key.replica):
                record.forget_replica(key.replica)
    if problem is not None and name is not None and not brought:
        raise problem


def _entries(repo: Repository) -> Iterator[tuple[RefKey, State | SessionError]]:
    """Yield what is kept aside, with what is wrong with it; not that a session was deleted, which is no session."""
    record = repo.machine.record
    for name in record.aside():
        yield from _read(repo, sorted(record.tokens(name)))


def _read(repo: Repository, keys: Iterable[RefKey]) -> Iterator[tuple[RefKey, State | SessionError]]:
    """Yield what is recorded under some keys, as `_entries`."""
    for key in keys:
        data = repo.machine.record.read(key)
        if data is None:
            continue
        try:
            head = repo.fold(key, Snapshot(data, NO_TOKEN))
        except SessionError as error:
            yield key, error
        else:
            if not head.deleted:
                yield key, head


def _gone(repo: Repository) -> list[RefKey]:
    """Return the refs of which there is a record, and nothing in the store."""
    there, record = repo.backend.ref_tokens(), repo.machine.record
    return sorted(key for name in record.replicas() for key in record.tokens(name) if key.path not in there)


def _place(repo: Repository, key: RefKey, head: State) -> RefKey:
    """Put a state into a ref of ours, and return that; or the ref of whatever kind that has the state already."""
    data = (repo.machine.record.read(key) or b"")[: head.size]
    with repo.machine.lock(session_key(head.name)):
        other = _that_has(repo, head)
        if other is not None:
            return other.key
        with repo.writing() as replica:
            return put_beside(repo, replica, head.name, data)


def is_in_store(repo: Repository, head: State) -> bool:
    """Tell whether a ref of a store, of whatever kind, has the state."""
    return _that_has(repo, head) is not None


def _that_has(repo: Repository, head: State) -> State | None:
    heads = read_refs(repo, related(repo.index, head.name)).heads
    return next((other for other in heads if _has_it(other, head)), None)


def _has_it(other: State, head: State) -> bool:
    try:
        return other.damage is None and has_all_of(other, head)
    except StoreError:
        return False


def name_recorded(key: RefKey, found: State | SessionError) -> str:
    """Return the name of a session; of one whose header cannot be read, the key in the name of its file."""
    return found.name if isinstance(found, State) else key_of_ref(ref_of(key).path) or key.path


def _label(repo: Repository, name: str, key: RefKey) -> str | None:
    """Return what the session goes by that a ref is of, None where it was deleted since."""
    rows = related(repo.index, name)
    for shown in view_of(repo, read_refs(repo, rows), rows).sessions:
        if key in (shown.head.key, *(head.key for head in shown.covered)):
            return shown.label
    return None
