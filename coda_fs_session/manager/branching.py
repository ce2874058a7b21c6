"""Branching: a new session that begins with what another one holds, saved or not."""

from __future__ import annotations

from datetime import datetime

from ..errors import InvalidMessageError, SessionExistsError, SessionNotFoundError, UnsupportedError
from ..format.names import normalise_name
from ..repo.going_back import GoingBack
from ..session.session import Session
from .checks import checked_at
from .core import Manager


def branch(
    core: Manager,
    name: str,
    parent_name: str,
    at: int | str | datetime | None,
    *,
    created_at: datetime | None = None,
    updated_at: datetime | None = None,
) -> Session:
    """Return the branch of a session, made or as it is there; see `SessionManager.create_session`."""
    # A storage of a program's own may know of no times.
    given = {"created_at": created_at, "updated_at": updated_at}
    times = {argument: moment for argument, moment in given.items() if moment is not None}
    if isinstance(at, (str, datetime)):
        return _branch_of_past(core, name, parent_name, at, created_at, updated_at)
    with core._sessions.lock:
        if core._may_exist(name):
            there = core._branch_there(name, parent_name, at)
            if there is not None:
                return there
        core._refuse_if_read_only("branch a session")
        parent = core._sessions.find(parent_name)
        if parent is None:
            raise SessionNotFoundError(parent_name)
        try:
            with parent._lock:
                at = checked_at(at, parent)
                try:
                    return _stored(core, name, parent, at, times)
                except InvalidMessageError:
                    # A branch has what the parent holds unsaved.
                    if not core._made_storable(parent):
                        raise
                    return _stored(core, name, parent, at, times)
        except SessionExistsError:
            # Another process was faster, perhaps with the same branch.
            there = core._branch_there(name, parent_name, at)
            if there is None:
                raise
            return there


def _branch_of_past(
    core: Manager,
    name: str,
    parent_name: str,
    to: str | datetime,
    created_at: datetime | None,
    updated_at: datetime | None,
) -> Session:
    """Return the branch of what a session was."""
    engine = core._engine
    if engine is None:
        raise UnsupportedError(
            f"{type(core._storage).__name__} keeps no history: at= must be a number of messages, not {to!r}"
        )
    past = GoingBack(engine)
    with core._sessions.lock:
        parent_name = core._sessions.meant(parent_name)
        if core._may_exist(name):
            there = core._branch_there(name, parent_name, len(past.past(parent_name, to)))
            if there is not None:
                return there
        core._refuse_if_read_only("branch a session")
        live = core._sessions.get(parent_name)
        if live is not None and live.has_unsaved_changes:
            core._save(live)
        made = past.branch_at(parent_name, normalise_name(name), to, created_at, updated_at)
        return core._sessions.add(made)


def _stored(core: Manager, name: str, parent: Session, at: int | None, times: dict[str, datetime]) -> Session:
    """Store the branch of an open session, and open it."""
    if not core._storage.tracks_changes and parent.has_unsaved_changes:
        parent = core._sessions.as_stored(parent)
    return core._sessions.add(core._storage.branch(parent, normalise_name(name), at, **times))
