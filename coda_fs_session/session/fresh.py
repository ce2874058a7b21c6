"""Letting an open session hold what another object of it, read just now, does."""

from __future__ import annotations

from .session import Session


def same(session: Session, other: Session) -> bool:
    """Tell whether two objects of a session hold the same."""
    return session is other or (
        (session._state.created, session._state.updated) == (other._state.created, other._state.updated)
        and session._state.metadata.everything() == other._state.metadata.everything()
        and list(session._state.copy.lines()) == list(other._state.copy.lines())
    )


def show(session: Session, fresh: Session) -> None:
    """Take over what another object of the session holds; the list and the dict keep their identity."""
    if fresh is session:
        return
    session._state.copy.replace(fresh._state.copy.live(), session._state.copy.live())
    session._state.metadata.live.clear()
    session._state.metadata.live.update(fresh._state.metadata.live)
    session._state.created, session._state.updated = fresh._state.created, fresh._state.updated
    session._state.parent = fresh._state.parent
