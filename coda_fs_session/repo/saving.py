"""Saving: from what a session holds to a line of its ref."""

from __future__ import annotations

from datetime import datetime

from ..format.records import encode_time
from ..session import Session
from ..session.state import Found
from ..storage import SessionStorage, not_as_expected
from . import late
from .content.state import State
from .cursors import Cursors
from .repository import Repository
from .source import CursorSource


class Saving(SessionStorage):
    """A storage over a repository, as far as it saves sessions that are open."""

    repo: Repository
    _cursors: Cursors

    def save(self, session: Session) -> None:
        self.save_if(session)

    def save_if(
        self,
        session: Session,
        *,
        expected: str | None = None,
        on_conflict: str | None = None,
        updated_at: datetime | None = None,
    ) -> None:
        cursor = self._cursors.get(session)
        if cursor is None:
            if expected:
                raise not_as_expected(session.name, expected, "")
            with session._state.dated(updated_at):
                return self.create(session)
        held = session._state
        time = None if updated_at is None else encode_time(updated_at)
        while True:
            splice = held.splice()
            metadata = held.metadata.change()
            if session._hooks is not None:
                splice, metadata = session._hooks.before_save(session, splice, metadata)
                # They may have saved it themselves.
                cursor = self._cursors[session]
            # What comes into the session from now on is no part of this save.
            messages, values = held.copy.found, held.metadata.found
            saved: late.save.Saved | None = None
            state: State | None = None
            try:
                if (splice.lines or metadata) or not splice.empty or time not in (None, cursor.state.updated):
                    if expected is None:
                        state = late.save.append(self.repo, cursor, splice, metadata, time)
                    if state is None:
                        policy = on_conflict or self.repo.settings.on_conflict
                        saved = late.save.save(self.repo, cursor, splice, metadata, policy, expected, time)
                else:
                    if expected is not None:
                        late.save.expect(self.repo, cursor, expected)
                    # What was taken back after an error may be in the store all the same.
                    late.attempts.check_attempts(self.repo, cursor)
            except late.attempts.AttemptLandedError as landed:
                cursor = self._cursors.rebase(session, landed.head, landed.attempt.metadata)
                # It was what was expected then.
                expected = None if expected is None else landed.head.revision()
                continue
            source = held.copy.source
            if state is not None and not metadata and isinstance(source, CursorSource) and source.cursor is cursor:
                count, updated = splice.result_count(), state.updated
                # As `_complete`, spelled out for the common case.
                try:
                    cursor.state = state
                    held.advance(count, messages, updated)
                except BaseException:
                    cursor.state = state
                    held.advance(count, messages, updated)
                    raise
                cursor.attempted = {}
            else:
                end, merged = saved or (state or cursor.state, False)
                self._cursors.mark_saved(session, end, Found(messages, values), merged=merged)
            return

    def revision(self, session: Session) -> str:
        cursor = self._cursors.get(session)
        return "" if cursor is None else cursor.state.revision()
