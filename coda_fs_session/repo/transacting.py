"""Several steps in one go, with open sessions: see `SessionManager.transaction`."""

from __future__ import annotations

import copy
import os
import weakref
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from itertools import takewhile

from ..backends.base import PlannedError, RefKey
from ..format.names import origins
from ..format.records import Stamped, encode_time
from ..session import Session
from ..session.splice import MessageSource
from ..session.state import Found
from ..session.steps import CreateStep, DeleteStep, RenameStep, SaveStep, Step
from . import late
from .ancestry.shown import Shown
from .bulk import Bulk
from .content.messages import Draft
from .content.state import Cursor, State
from .saving import Saving

_NOBODY = "nobody-00000000"
"""The replica of refs that are only tried out, where this machine has none yet."""

Done = Callable[[dict[RefKey, State]], None]
"""Lets open sessions stand on what was written."""


class Transacting(Saving):
    """A storage over a repository, as far as it makes several steps in one go."""

    _bulk: Bulk | None
    _branches: weakref.WeakKeyDictionary[Session, late.transaction.Fork]
    _copies: weakref.WeakKeyDictionary[Session, list[bytes]]

    @abstractmethod
    def _stored(self, shown: Shown, source: MessageSource, missing: int = 0) -> Session:
        """Return an object of a session that is not open yet."""

    def branched(
        self,
        parent: Session,
        name: str,
        at: int | None,
        *,
        parent_name: str | None = None,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> Session:
        head = self._head(parent)
        if head is None:
            child = self._copied(parent, name, at, created_at, updated_at)
            child._state.parent = parent_name or parent.name
            return child
        splice, change = parent._state.splice(), parent._state.metadata.change()
        if parent._hooks is not None:
            splice, change = parent._hooks.before_save(parent, splice, change)
            at = None if at is None else min(at, splice.result_count())
        fork = late.transaction.Fork(
            name,
            head,
            splice,
            parent_name or (head.name if head.name in origins(parent.name) else parent.name),
            late.refs.merged(self.repo, head, change),
            at,
            encode_time(created_at) if created_at else "",
            encode_time(updated_at) if updated_at else "",
            {},
        )
        with ExitStack() as holds:
            # Under a name that is free in any case: this one may be free only once the transaction is made.
            tried = replace(fork, name=f"trial {os.urandom(8).hex()}")
            forked = tried.forked(late.trial.Trial(self.repo, self.repo.replica or _NOBODY, None, holds))
        child = self._stored(Shown(name, forked), self._cursors.source(Cursor(forked)))
        child._state.parent = fork.parent
        fork.made, fork.created, fork.updated = forked, forked.header.created, forked.updated
        fork.attempts = self._cursors.attempts_to_create(child)
        self._branches[child] = fork
        return child

    def _head(self, session: Session) -> State | None:
        """Return the state that a session was last stored in, or made from in this transaction; None where in none."""
        cursor = self._cursors.get(session)
        if cursor is not None:
            return cursor.state
        fork = self._branches.get(session)
        return None if fork is None else fork.made

    def _copied(
        self, parent: Session, name: str, at: int | None, created_at: datetime | None, updated_at: datetime | None
    ) -> Session:
        """Return a branch of what is stored nowhere yet."""
        metadata = copy.deepcopy(parent._state.metadata.live)
        child = Session(name, parent.get_messages()[:at], metadata, created_at=created_at, updated_at=updated_at)
        child._hooks = parent._hooks
        self._copies[child] = list(child._state.copy.lines())
        return child

    def transact(self, steps: Sequence[Step]) -> None:
        """Make steps one after the other, all or none, also after a crash.

        Raises:
            SessionConflictError, SessionExistsError, SessionNotFoundError: one is not possible; nothing was changed.
            StoreError: nothing was changed, or all of it is done by the next write, as a note of the error says.
        """
        self.ready_to_save()
        if self._bulk is not None:
            self._bulk.refuse_in_this_thread()
        while True:
            # First: what it holds may be attempts to save these very sessions.
            late.plans.finish(self.repo)
            if not steps:
                return
            prepared = [self._prepared(step) for step in steps]
            try:
                heads = late.transaction.commit(self.repo, [change for change, _ in prepared])
            except PlannedError:
                continue
            for _, done in prepared:
                done(heads)
            return

    def _prepared(self, step: Step) -> tuple[late.transaction.Change, Done]:
        match step:
            case SaveStep():
                return self._prepared_save(step)
            case CreateStep():
                return self._prepared_create(step.session)
            case RenameStep():
                rename = late.transaction.Rename(step.old, step.new)
                return rename, lambda heads: self._renamed(rename, heads)
            case DeleteStep():
                return late.transaction.Delete(step.name, step.missing_ok), lambda heads: None

    def _prepared_save(self, step: SaveStep) -> tuple[late.transaction.Change, Done]:
        session = step.session
        time = None if step.updated_at is None else encode_time(step.updated_at)
        expected = step.expected
        while True:
            changed, found = self._changed(session, time)
            cursor = self._cursors[session]
            try:
                late.attempts.check_attempts(self.repo, cursor)
                break
            except late.attempts.AttemptLandedError as landed:
                self._cursors.rebase(session, landed.head, landed.attempt.metadata)
                expected = None if expected is None else landed.head.revision()
        policy = step.on_conflict or self.repo.settings.on_conflict
        save = late.transaction.Save(cursor, changed, policy, expected)

        def done(heads: dict[RefKey, State]) -> None:
            if save.saved is not None:
                state, merged = save.saved
                state = heads.get(state.key, state)
                if not state.deleted:
                    self._cursors.mark_saved(session, state, found, merged=merged)

        return save, done

    def _changed(self, session: Session, time: str | None = None) -> tuple[late.transaction.Changed, Found]:
        """Return what has changed in a session, after the hooks have seen it, and what of it a save takes in."""
        splice, metadata = session._state.splice(), session._state.metadata.change()
        if session._hooks is not None:
            splice, metadata = session._hooks.before_save(session, splice, metadata)
        return late.transaction.Changed(splice, metadata, time), session._state.found()

    def _prepared_create(self, session: Session) -> tuple[late.transaction.Change, Done]:
        fork = self._branches.get(session)
        if fork is not None:
            changed, found = self._changed(session)
            time = None if changed.splice.empty and not changed.metadata else encode_time(session._state.updated)
            create: late.transaction.Create | late.transaction.Fork = replace(
                fork, name=session.name, changed=replace(changed, time=time)
            )
        else:
            create, found = self._created(session)

        def done(heads: dict[RefKey, State]) -> None:
            assert create.made is not None
            self._branches.pop(session, None)
            self._copies.pop(session, None)
            self._cursors.mark_saved(session, heads[create.made.key], found)

        return create, done

    def _created(self, session: Session) -> tuple[late.transaction.Create, Found]:
        held, draft = session._state, Draft(self.repo.objects, self.repo.sizes)
        if session._hooks is None:
            lines, values = list(held.splice_all()), held.metadata.everything()
        else:
            lines, values = session._hooks.before_create(session)
        found = held.found()
        draft.extend(lines)
        draft.finish()
        now = self.repo.now()
        metadata = {key: Stamped(now, value) for key, value in values.items()}
        before = self._copies.get(session)
        parent = None
        if before is not None and held.parent is not None:
            same = takewhile(lambda pair: pair[0] == pair[1], zip(lines, before, strict=False))
            parent = (held.parent, sum(1 for _ in same))
        create = late.transaction.Create(
            session.name,
            late.refs.Content(*late.refs.hide(draft)),
            metadata,
            encode_time(held.created),
            encode_time(held.updated),
            self._cursors.attempts_to_create(session),
            parent,
        )
        return create, found

    def _renamed(self, rename: late.transaction.Rename, heads: dict[RefKey, State]) -> None:
        assert rename.renamed is not None
        renamed = heads[rename.renamed.key]
        for session, head in self._cursors.states():
            if head.key == renamed.key and late.lifecycle.steps_from(renamed, head) and session.has_unsaved_changes:
                self._cursors.stand_on(session, Cursor(renamed))
