"""The history of a session: what it was, going back to that, and tags that name it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol, TypeVar

from ..errors import UnsupportedError
from ..repo.going_back import GoingBack
from ..repo.history.entries import HistoryEntry
from ..repo.storage import RepoStorage
from ..session.counting import Counters
from ..session.session import Session
from ..storage import SessionStorage
from .open_sessions import OpenSessions

_T = TypeVar("_T")


class _Manager(Protocol):
    """What a history needs of its manager."""

    _storage: SessionStorage
    _engine: RepoStorage | None
    _sessions: OpenSessions
    _counters: Counters

    def _within(self, work: Callable[[], _T]) -> _T: ...

    def _save(self, session: Session) -> None: ...

    def _refuse_if_read_only(self, what: str) -> None: ...

    def _refuse_in_transaction(self, what: str) -> None: ...


class History:
    """What a session was, newest first: ``for entry in manager.history("trip")``.

    Made by `SessionManager.history`. Reading goes on as far as it is asked for, a generation at a time. Nothing that
    was ever saved is lost by going back: an undo is a step of its own, which can be gone back over too.

    What is unsaved in an open object of the session is saved before `undo` and `restore`, and the object shows the
    result.

    States are named by the `id` of an entry, by a tag, by a time (the last state not later), or by a number of messages
    (the newest state that had so many).
    """

    def __init__(self, manager: _Manager, name: str) -> None:
        self._manager = manager
        self._name = name

    def __iter__(self) -> Iterator[HistoryEntry]:
        """Yield the entries, newest first, of a deleted session too.

        Raises:
            SessionNotFoundError: there is none of this name, and none was deleted.
            StoreError: the history cannot be read on.
        """
        entries = self._manager._within(lambda: self._engine("keeps no history").entries(self._name))
        while True:
            entry = self._manager._within(lambda: next(entries, None))
            if entry is None:
                return
            yield entry

    def at(self, to: int | str | datetime) -> Session:
        """Return the session as it was, for reading only: in memory, it cannot be saved.

        Raises:
            HistoryError: there is no such state; the text names the nearest. As HistoryExpiredError, its messages are
                gone.
            SessionNotFoundError, StoreError: as when the entries are asked for.
        """
        session = self._manager._within(lambda: self._engine("keeps no history").past(self._name, to))
        session._counters = self._manager._counters
        return session

    def undo(self) -> HistoryEntry | None:
        """Take the last change back that is not taken back yet, durably: a save, or a step such as a clear or a delete.

        Undoing again goes further back. A deleted session is there again, and a renamed one has its name from before.

        Returns:
            The entry that this made. Its `note` says so where the metadata of the state is not known any more, and
            stayed as it was. None where nothing is left to take back, since the session began there.

        Raises:
            HistoryError: the state before is not known any more; as HistoryExpiredError, its messages are gone.
            SessionExistsError: a rename is to be taken back, and the name from before is taken.
            SessionNotFoundError: there is none of this name, and none was deleted.
            StoreError: nothing was changed, or it cannot be told.
        """
        return self._change("undo", lambda engine, name: engine.undo(name))

    def restore(self, to: int | str | datetime | None = None) -> HistoryEntry:
        """Bring the session to a state that it was at, durably. One that was deleted is there again.

        Args:
            to: the state; None: that before the session was deleted.

        Returns:
            The newest entry: the one that this made, or that of the state if the session is at it.

        Raises:
            HistoryError: there is no such state, or `to` is None and the session is not deleted.
            SessionNotFoundError, StoreError: as `undo`.
        """
        return self._change("restore", lambda engine, name: engine.restore(name, to))

    def tag(self, label: str, at: int | str | datetime | None = None) -> HistoryEntry:
        """Have a label name a state from now on, durably; None: the present one. It names one state at a time.

        Args:
            label: any text that a session name may be, but for one that looks like an entry's id.

        Raises:
            InvalidNameError: the label is not possible.
            HistoryError: there is no state `at`.
            SessionNotFoundError, StoreError: as `undo`.
        """
        return self._change("tag", lambda engine, name: engine.tag(name, label, at))

    def untag(self, label: str) -> None:
        """Take a tag away. The state that it named stays in the history.

        Raises:
            HistoryError: there is no such tag.
            SessionNotFoundError, StoreError: as `undo`.
        """
        self._change("untag", lambda engine, name: engine.untag(name, label))

    def tags(self) -> dict[str, HistoryEntry]:
        """Return the tags, each with the state that it names.

        Raises:
            SessionNotFoundError, StoreError: as when the entries are asked for.
        """
        return self._manager._within(lambda: self._engine("keeps no history").tags(self._name))

    def _engine(self, problem: str) -> GoingBack:
        engine = self._manager._engine
        if engine is None:
            raise UnsupportedError(f"{type(self._manager._storage).__name__} {problem}: use a store of this package")
        return GoingBack(engine)

    def _change(self, verb: str, change: Callable[[GoingBack, str], _T]) -> _T:
        manager = self._manager
        manager._refuse_if_read_only(verb)
        manager._refuse_in_transaction(verb)

        def run(name: str, live: Session | None) -> _T:
            engine = self._engine(f"cannot {verb}")
            if live is None:
                return change(engine, name)
            if live.has_unsaved_changes:
                manager._save(live)
            before = live.name
            changed = change(engine, before)
            manager._storage.refresh(live)
            if live.name != before:
                manager._sessions.saved_as(live, before)
            return changed

        return manager._within(lambda: manager._sessions.around(self._name, run))

    def __repr__(self) -> str:
        return f"<History of {self._name!r}>"
