"""The block in which several changes are collected, to be made in one go at its end."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from ..errors import InvalidMessageError, PartialSessionError, SessionError, SessionNotFoundError
from ..format.names import checked_name, normalise_name
from ..format.records import given_time
from ..process.operations import operation
from ..process.uncopied import Uncopied
from ..session.session import Session
from ..session.steps import CreateStep, DeleteStep, RenameStep, SaveStep, Step
from ..storage import name_taken, not_as_expected
from .checks import OnConflict, checked_at, checked_save
from .collected import Collector, adopt, adopting, make_steps

_under_way: ContextVar[tuple[weakref.ref[Transaction], ...]] = ContextVar("_under_way", default=())
"""The blocks that this thread, or task, is in; and some that it has left."""


class Transaction(Uncopied):
    """What `SessionManager.transaction` gives to its block: the verbs that it collects.

    Each checks at once what it is given, and the names against the store with what was collected before. The store is
    changed at the end of the block. A session is kept as it is then, so changes after a `save_session` in the block are
    in it too. Open objects follow once all is done.
    """

    def __init__(self, manager: Collector) -> None:
        self._manager = manager
        self._operations = manager._operations
        self._process = os.getpid()
        self._is_open = False
        self._steps: list[Step] = []
        # What names mean in the block: a session made in it, the name in the store, or nothing; others mean the same.
        self._names: dict[str, Session | str | None] = {}
        self._let_go: set[Session] = set()
        # Branches made in the block: of what, and how many messages they began with.
        self._branches: dict[Session, tuple[str, int]] = {}

    # The block

    def __enter__(self) -> Self:
        if self._process != os.getpid():
            raise SessionError("a transaction belongs to the process that has made it: begin one in this process")
        # One that an interrupt has left without its end is not held by anybody.
        others: list[Transaction] = [
            other for ref in _under_way.get() if (other := ref()) is not None and other._is_open
        ]
        if self._is_open or any(other._manager is self._manager for other in others):
            raise SessionError("a transaction of this manager is under way: do all in that one, or end it first")
        _under_way.set((*map(_ref, others), _ref(self)))
        self._is_open = True
        self._manager._collecting.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        steps = self.leave()
        try:
            if error is None:
                self.apply(steps)
        finally:
            self.forget()

    def leave(self) -> list[Step]:
        """Take no further changes, and return what was collected; `apply` and `forget` are to follow."""
        self._is_open = False
        return self._steps

    def forget(self) -> None:
        """Leave sessions to the timer again."""
        self._steps = []

    def is_here(self) -> bool:
        """Tell whether this thread, or task, is in the block."""
        return self._is_open and any(ref() is self for ref in _under_way.get())

    def has(self, session: Session) -> bool:
        """Tell whether a session is to be stored at the end of the block, and so not before by itself."""
        return any(isinstance(step, CreateStep | SaveStep) and step.session is session for step in self._steps)

    # The verbs

    @operation
    def create_session(
        self,
        name: str,
        branch_from: str | None = None,
        *,
        at: int | None = None,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> Session:
        """Make a session, which is stored at the end of the block with all that it holds then; or load what has a name.

        Arguments and errors are those of `SessionManager.create_session`, but that `at` is a number of messages. A
        branch begins with what its parent holds now. Where another process takes the name before the end of the block,
        that raises SessionExistsError.
        """
        manager = self._manager
        name, times = checked_name(name), {"created_at": created_at, "updated_at": updated_at}
        given: dict[str, Any] = {
            argument: given_time(time, argument) for argument, time in times.items() if time is not None
        }
        with manager._sessions.lock:
            self._refuse_if_over()
            if branch_from is None:
                if at is not None:
                    raise ValueError("at= says where to branch, and needs branch_from=")
                there = self._find(name)
                if there is not None:
                    return there
                if not given and manager._engine is not None:
                    given = {"created_at": manager._engine.now()}
                return self._make(Session(name, created_at=given.get("created_at"), updated_at=given.get("updated_at")))
            branch_from = checked_name(branch_from)
            parent = self._find(branch_from)
            held = self._names.get(name)
            if isinstance(held, Session) and held in self._branches:
                origin, count = self._branches[held]
                if origin == branch_from and at in (None, count):
                    return held
            if held is not None:
                raise name_taken(name)
            if name not in self._names and manager._may_exist(name):
                there = manager._branch_there(name, branch_from if parent is None else parent.name, at)
                if there is not None:
                    return there
            if parent is None:
                raise SessionNotFoundError(branch_from)
            with parent._lock:
                make = partial(manager._storage.branched, parent, normalise_name(name), checked_at(at, parent), **given)
                if branch_from in self._names:
                    make = partial(make, parent_name=branch_from)
                try:
                    child = make()
                except InvalidMessageError:
                    if not manager._made_storable(parent):
                        raise
                    child = make()
                self._branches[child] = (branch_from, len(child))
                return self._make(child)

    @operation
    def save_session(
        self,
        session: Session,
        *,
        on_conflict: OnConflict | None = None,
        expected: str | None = None,
        updated_at: datetime | None = None,
    ) -> None:
        """Store at the end of the block what a session holds then.

        Arguments and errors are those of `SessionManager.save_session`. What they ask of the store holds at the end of
        the block, or nothing of it is done.
        """
        updated = checked_save(session, on_conflict, expected, updated_at)
        if session._state.missing:
            raise PartialSessionError(session.name, session.missing)
        with self._manager._sessions.lock:
            self._refuse_if_over()
            place = next((place for place, step in enumerate(self._steps) if self._stores(step, session)), None)
            is_new = session._owner is not self._manager._sessions or session in self._let_go
            if is_new:
                if expected:
                    raise not_as_expected(session.name, expected, "")
                if place is None:
                    if self._is_taken(session.name):
                        raise name_taken(session.name)
                    self._steps.append(CreateStep(session))
                    self._names[session.name] = session
                if updated is not None:
                    session._state.updated = updated
                return
            step = SaveStep(session, on_conflict, expected, updated)
            if place is None:
                self._steps.append(step)
                return
            before = self._steps[place]
            assert isinstance(before, SaveStep)
            # What was asked of the store before is still asked.
            self._steps[place] = SaveStep(
                session,
                on_conflict or before.on_conflict,
                before.expected if expected is None else expected,
                updated or before.updated_at,
            )

    @operation
    def delete_session(self, name: str, *, missing_ok: bool = False) -> None:
        """Delete a session at the end of the block.

        Arguments and errors are those of `SessionManager.delete_session`.
        """
        name = checked_name(name)
        with self._manager._sessions.lock:
            self._refuse_if_over()
            held = self._names.get(name)
            if isinstance(held, Session):
                # Nothing of it was to be in the store but for this block.
                self._steps = [step for step in self._steps if not self._stores(step, held)]
                self._names[name] = None
                return
            label = self._stored(name)
            if label is None:
                if missing_ok:
                    return
                raise SessionNotFoundError(name)
            live = self._manager._sessions.get(held or label)
            if live is not None:
                self._let_go.add(live)
            self._steps.append(DeleteStep(label, missing_ok))
            self._names[name] = self._names[label] = None

    @operation
    def rename_session(self, old: str, new: str) -> None:
        """Give a session another name at the end of the block.

        Arguments and errors are those of `SessionManager.rename_session`.
        """
        old, new = checked_name(old), normalise_name(checked_name(new))
        with self._manager._sessions.lock:
            self._refuse_if_over()
            held = self._names.get(old)
            label = old if isinstance(held, Session) else self._stored(old)
            if label is None:
                raise SessionNotFoundError(old)
            if new in (old, label):
                return
            if self._is_taken(new):
                raise name_taken(new)
            if isinstance(held, Session):
                held._state.name = new
                self._names[new] = held
            else:
                self._steps.append(RenameStep(label, new))
                self._names[new] = held or label
            self._names[old] = self._names[label] = None
            for child, (origin, count) in self._branches.items():
                if origin == old:
                    self._branches[child] = (new, count)

    # What names mean

    def _make(self, session: Session) -> Session:
        adopt(self._manager._sessions, session)
        self._steps.append(CreateStep(session))
        self._names[session.name] = session
        return session

    def _find(self, name: str) -> Session | None:
        held = self._names.get(name, name)
        if held is None or isinstance(held, Session):
            return held
        return self._manager._sessions.find(held) if self._manager._may_exist(held) else None

    def _stored(self, name: str) -> str | None:
        """Return what a stored session is called by the time that the next step is made; None where there is none."""
        if name in self._names:
            return None if self._names[name] is None else name
        label = self._manager._sessions.meant(name)
        if label != name and label in self._names:
            return None
        return label if self._manager._storage.exists(label) else None

    def _is_taken(self, name: str) -> bool:
        if name in self._names:
            return self._names[name] is not None
        return self._manager._storage.meant(name) != name or self._manager._storage.exists(name)

    def _stores(self, step: Step, session: Session) -> bool:
        if isinstance(step, CreateStep):
            return step.session is session
        return isinstance(step, SaveStep) and step.session is session and session not in self._let_go

    def _refuse_if_over(self) -> None:
        if not self._is_open:
            raise SessionError("this transaction is over, or has not begun: it takes changes in its `with` block alone")

    # The end

    @operation
    def apply(self, steps: list[Step]) -> None:
        """Make what was collected.

        Raises:
            SessionError: in a child of `os.fork`; else as `SessionManager.transaction`.
        """
        if self._process != os.getpid():
            raise SessionError(
                f"this process was forked by process {self._process} in a transaction, and that one makes its changes: "
                "nothing was changed from here. Leave such a block with an error, or with os._exit()"
            )
        manager = self._manager
        stored = [step.session for step in steps if isinstance(step, CreateStep | SaveStep)]
        with manager._sessions.lock, ExitStack() as stack:
            for session in dict.fromkeys(stored):
                stack.enter_context(session._lock)
            with adopting(manager._sessions, [step.session for step in steps if isinstance(step, CreateStep)]):
                try:
                    make_steps(manager, steps)
                except InvalidMessageError:
                    storable = [manager._made_storable(session) for session in stored]
                    if True not in storable:
                        raise
                    make_steps(manager, steps)
            for session in stored:
                session._left_to = 0


def _ref(transaction: Transaction) -> weakref.ref[Transaction]:
    return weakref.ref(transaction)
