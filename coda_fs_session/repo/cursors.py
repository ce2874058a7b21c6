"""Where open sessions stand: which state of the store each of them shows, and how it comes to another one.

A session and its cursor must not part: each step is done whole, also where somebody interrupts it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping

from ..errors import warn
from ..format.records import decode_time
from ..session.session import Session
from ..session.state import Found
from ..session.working_copy import WorkingCopy
from .ancestry.shown import Shown
from .content.state import Attempt, Cursor, State
from .source import CursorSource


class Cursors:
    """The cursors of a storage's sessions, as long as anybody holds these.

    Attributes:
        get: returns the cursor of a session, None where it has none.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._cursors: weakref.WeakKeyDictionary[Session, Cursor] = weakref.WeakKeyDictionary()
        self._attempts: weakref.WeakKeyDictionary[Session, dict[str, Attempt]] = weakref.WeakKeyDictionary()
        # Without a step in between: every save passes here.
        self.get = self._cursors.get

    def __getitem__(self, session: Session) -> Cursor:
        return self._cursors[session]

    def __setitem__(self, session: Session, cursor: Cursor) -> None:
        self._cursors[session] = cursor

    def attempts_to_create(self, session: Session) -> dict[str, Attempt]:
        """Return what attempts to make a session have left, and where others note themselves."""
        return self._attempts.setdefault(session, {})

    def forget_attempts(self, session: Session) -> None:
        """Whoever creates the session from now on makes another."""
        self._attempts.pop(session, None)

    def states(self) -> Iterator[tuple[Session, State]]:
        """Yield every session with the state that it shows."""
        # Not items(), which fails where another thread stores a session meanwhile.
        for session in filter(None, [ref() for ref in self._cursors.keyrefs()]):
            yield session, self._cursors[session].state

    def showing(self, name: str) -> list[tuple[Session, State]]:
        """Return the open sessions of a name, with the states that they show."""
        return [(session, state) for session, state in self.states() if session.name == name]

    def source(self, cursor: Cursor) -> CursorSource:
        """Return the messages of a cursor's state."""
        return CursorSource(cursor, self._most_bytes)

    def mark_saved(self, session: Session, state: State, found: Found, *, merged: bool = False) -> None:
        """Let a session stand on the state that its save led to."""
        before, held = self._cursors.get(session), session._state
        if before is not None and _only_adds(before, state, held.copy, merged=merged):

            def advance() -> None:
                before.state, before.attempted = state, {}
                held.advance(state.live_count, found.messages, state.updated)

            _complete(advance)
            return
        cursor = self._moved(session, state)
        source = self.source(cursor)

        def mark() -> None:
            held.mark_saved(source, dict(state.values()), decode_time(state.updated), found, merged=merged)
            held.parent = state.parent_name
            self.stand_on(session, cursor)

        _complete(mark)

    def rebase(self, session: Session, state: State, sent: Mapping[str, bytes | None] | None) -> Cursor:
        """Let a session stand on a state that has part of its changes; what it holds stays."""
        cursor = self._moved(session, state)
        source = self.source(cursor)
        # It may have to be read, which may fail.
        session._state.copy.live()

        def rebase() -> None:
            session._state.rebase(source, dict(state.values()), sent)
            self.stand_on(session, cursor)

        _complete(rebase)
        return cursor

    def take(self, session: Session, state: State) -> None:
        """Show a state in a session, with nothing of the session's own kept."""
        cursor = self._moved(session, state)
        source = self.source(cursor)

        def take() -> None:
            session._state.show(
                source,
                dict(state.values()),
                created=decode_time(state.header.created),
                updated=decode_time(state.updated),
                parent=state.parent_name,
            )
            self._cursors[session] = cursor

        _complete(take)

    def stand_on(self, session: Session, cursor: Cursor) -> None:
        """Let a session be that of a state, which may have become a branch of its own."""
        before, name = self._cursors.get(session), cursor.state.name
        if before is None or before.state.name != name:
            held = session._state
            held.name, held.diverged_from = name, None
        self._cursors[session] = cursor

    def _moved(self, session: Session, state: State) -> Cursor:
        cursor = self._cursors.get(session)
        return cursor.moved(state) if cursor is not None else Cursor(state)


def _only_adds(cursor: Cursor, state: State, copy: WorkingCopy, *, merged: bool) -> bool:
    """Tell whether a state has nothing new but messages, none of which a live list would have to show.

    Nearly all are that which the save of one of several processes leads to.
    """
    before, source = cursor.state, copy.source
    return (
        state.header is before.header
        and state.metadata is before.metadata
        and isinstance(source, CursorSource)
        and source.cursor is cursor
        and not (merged and copy.is_live)
    )


def go_by_label(session: Session, shown: Shown) -> None:
    """Give a session the name that it goes by now, and say so where others went on with it too."""
    before, held = session.name, session._state
    held.name, held.diverged_from = shown.label, shown.diverged_from
    if shown.label != before and shown.diverged_from is not None:
        warn(
            f"session {before!r} was continued on another machine too; what you have open is now called "
            f"{shown.label!r}: get_session_info({shown.label!r}).sides names the other sides, .diverged_at is where "
            f"they part, and branches.merge({shown.label!r}, {shown.diverged_from!r}) makes them one session again"
        )


def _complete(step: Callable[[], None]) -> None:
    """Do all of a step, also where somebody interrupts it: then once more before the interrupt goes on.

    What may fail in a step comes first in it.
    """
    try:
        step()
    except BaseException:
        step()
        raise
