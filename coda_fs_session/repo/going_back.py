"""Going back: what the engine does for the history of a session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from ..errors import InvalidNameError, SessionError, SessionNotFoundError
from ..format.names import checked_name, origins
from ..format.records import encode_time
from ..session import Session
from ..session.info import SessionInfo
from . import late
from .ancestry.shown import Shown
from .content.state import Cursor, State
from .history.entries import HistoryEntry, entry_of
from .history.moments import moments
from .history.places import To, find, looks_like_id, tagged, tags_of
from .history.sides import moments_and_sides
from .index.rows import Row, row_of
from .lookup.listing import infos_of_rows
from .lookup.names import is_purged, resolve, tombstones
from .storage import RepoStorage
from .writing.going_back import Gone


class GoingBack:
    """What the engine does to show and to bring back what sessions were; loaded when it is asked for."""

    def __init__(self, storage: RepoStorage) -> None:
        self._storage = storage
        self._repo = storage.repo

    def entries(self, name: str) -> Iterator[HistoryEntry]:
        """Yield the entries of a session's history, newest first; also of a deleted one."""
        return map(entry_of, moments_and_sides(self._head(name)))

    def past(self, name: str, to: To) -> Session:
        """Return the session as it was, for reading only."""
        head = self._head(name)
        moment = find(head, to)
        state = moment.state(head)
        session = self._storage._stored(Shown(name, state), self._storage._cursors.source(Cursor(state)))
        session._state.past = moment.id
        return session

    def branch_at(
        self, parent: str, name: str, to: To, created_at: datetime | None, updated_at: datetime | None
    ) -> Session:
        """Make a session of what another one was."""
        head = self._head(parent)
        state = find(head, to).state(head)
        forked = late.lifecycle.fork(
            *(self._repo, state, late.attempts.append_to(state, []), name),
            parent=head.name if head.name in origins(parent) else parent,
            metadata=dict(state.metadata),
            at=None,
            created=encode_time(created_at) if created_at else None,
            updated=encode_time(updated_at) if updated_at else None,
        )
        return self._storage._open(Shown(name, forked))

    def undo(self, name: str) -> HistoryEntry | None:
        gone = late.going_back.undo(self._repo, name, known=self._known(name))
        return None if gone is None else _entry_made(gone)

    def restore(self, name: str, to: To | None) -> HistoryEntry:
        gone = late.going_back.restore(self._repo, name, to, known=self._known(name))
        return entry_of(next(moments(self._head(name)))) if gone is None else _entry_made(gone)

    def tag(self, name: str, label: str, at: To | None) -> HistoryEntry:
        label = checked_name(label)
        if looks_like_id(label):
            raise InvalidNameError(f"the label {label!r} looks like the id of an entry: take another one")
        return entry_of(late.going_back.tag(self._repo, name, label, at), label)

    def untag(self, name: str, label: str) -> None:
        late.going_back.untag(self._repo, name, label)

    def tags(self, name: str) -> dict[str, HistoryEntry]:
        head = self._head(name)
        return {
            label: entry_of(tagged(head, tag.commit), label)
            for label, tag in sorted(tags_of(head).items())
            if tag.commit is not None
        }

    def deleted(self) -> list[SessionInfo]:
        """Return what is known of the sessions that were deleted; of several of one name each under its own label."""
        found: dict[str, Shown] = {}
        for name in dict.fromkeys(row.name for row in self._repo.index.rows() if row.deleted):
            found |= {shown.head.key.path: shown for shown in tombstones(self._repo, name) if not is_purged(shown.head)}
        return infos_of_rows((shown.label, *_row_of_deleted(shown.head)) for shown in found.values())

    def _head(self, name: str) -> State:
        resolved = resolve(self._repo, name)
        found = resolved.shown or resolved.tombstone
        if found is None or is_purged(found.head):
            raise SessionNotFoundError(name)
        return found.head

    def _known(self, name: str) -> list[State]:
        return [head for _, head in self._storage._cursors.showing(name)]


def _entry_made(gone: Gone) -> HistoryEntry:
    entry = entry_of(next(moments(gone.head)))
    return replace(entry, note=f"{entry.note}; metadata stays as it was") if gone.keeps_metadata else entry


def _row_of_deleted(head: State) -> tuple[Row, SessionError | None]:
    """Return what a session was before a tombstone, with the time of that; the error of one that has not arrived."""
    try:
        before = next((moment for moment in moments(head) if moment.kind != "delete"), None)
        if before is not None:
            return row_of(replace(before.state(head), updated=head.updated)), None
    except SessionError as error:
        return row_of(head), error
    return row_of(head), None
