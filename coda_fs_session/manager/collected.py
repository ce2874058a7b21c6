"""Making what a transaction has collected, and letting open objects follow it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from ..errors import SessionNotFoundError
from ..process.operations import Operations
from ..process.weakly import Weakly
from ..session.session import Session
from ..session.steps import CreateStep, DeleteStep, RenameStep, SaveStep, Step
from ..storage import SessionStorage
from .open_sessions import OpenSessions


class Collector(Protocol):
    """What a transaction takes of a manager."""

    _collecting: Weakly[Any]
    _operations: Operations
    _sessions: OpenSessions
    _storage: SessionStorage

    @property
    def _engine(self) -> Engine | None: ...

    def _may_exist(self, name: str) -> bool: ...

    def _branch_there(self, name: str, parent_name: str, at: int | None) -> Session | None: ...

    def _made_storable(self, session: Session) -> bool: ...

    def _save_as_it_is(
        self, session: Session, on_conflict: str | None, expected: str | None, updated: datetime | None
    ) -> None: ...


class Engine(Protocol):
    """A storage that makes several steps in one go."""

    def now(self) -> datetime: ...

    def transact(self, steps: Sequence[Step]) -> None: ...


def make_steps(manager: Collector, steps: Sequence[Step]) -> None:
    """Make steps in the store: all or none where its storage is one of this package's."""
    storage: object = manager._storage
    engine = manager._engine
    if engine is None or storage is not engine:
        _make_one_by_one(manager, steps)
        return
    names = {session: session.name for session in manager._sessions}
    engine.transact(steps)
    _follow(manager._sessions, names, steps)


def _make_one_by_one(manager: Collector, steps: Sequence[Step]) -> None:
    """Make the steps in a storage of a program's own, which has no verb for several."""
    for number, step in enumerate(steps):
        try:
            _make(manager, step)
        except Exception as error:
            error.add_note(f"of the {len(steps)} changes of the transaction, the first {number} were made")
            raise


def _make(manager: Collector, step: Step) -> None:
    storage, sessions = manager._storage, manager._sessions
    match step:
        case CreateStep():
            sessions.create(step.session)
        case SaveStep():
            manager._save_as_it_is(step.session, step.on_conflict, step.expected, step.updated_at)
        case RenameStep():
            storage.rename(step.old, step.new)
            sessions.renamed(step.old, step.new)
        case DeleteStep():
            live = sessions.get(step.name)
            if storage.exists(step.name):
                storage.delete(step.name)
            elif not step.missing_ok:
                raise SessionNotFoundError(step.name)
            if live is not None:
                sessions.let_go(live)


def adopt(sessions: OpenSessions, session: Session) -> None:
    """Let the limit and the hooks of a manager hold for a session that it may come to own."""
    session._state.limit, session._hooks, session._counters = sessions._limit, sessions.hooks, sessions._counters


@contextmanager
def adopting(sessions: OpenSessions, new: Sequence[Session]) -> Iterator[None]:
    """Adopt sessions in a block that stores them, and for good unless that fails."""
    before = [(each, each._state.limit, each._hooks, each._counters) for each in new]
    try:
        for each in new:
            adopt(sessions, each)
        yield
    except BaseException:
        # It may still be another manager's, whose hooks and limit hold for it.
        for each, limit, hooks, counters in before:
            each._state.limit, each._hooks, each._counters = limit, hooks, counters
        raise


def _follow(sessions: OpenSessions, names: Mapping[Session, str], steps: Sequence[Step]) -> None:
    """Let open objects follow what was done, all at once: one may have the name that another one had.

    Args:
        names: what each was called before.
    """
    renamed = []
    sessions._by_name.clear()
    for session, before in names.items():
        name = _name_after(before, steps)
        if name is None:
            sessions.let_go(session)
            continue
        # One that was stored has its name already, which may be that of a branch.
        if session.name == before != name:
            session._state.name, session._state.diverged_from = name, None
            renamed.append(session)
        sessions._by_name[session.name] = session
    for session in renamed:
        if not session.has_unsaved_changes:
            sessions._storage.refresh(session)
    for step in steps:
        if isinstance(step, CreateStep):
            sessions.add(step.session)


def _name_after(name: str, steps: Sequence[Step]) -> str | None:
    """Return what a stored session is called after some steps; None where it is deleted."""
    for step in steps:
        if isinstance(step, RenameStep) and step.old == name:
            name = step.new
        elif isinstance(step, DeleteStep) and step.name == name:
            return None
    return name
