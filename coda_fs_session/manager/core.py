"""What every verb of a manager stands on: its store, what is open of it, and loading and saving in both."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..config import Config
from ..errors import PartialSessionError, SessionNotFoundError, StoreError
from ..process.operations import Operations, operation
from ..process.uncopied import Uncopied
from ..process.weakly import Weakly
from ..repo.storage import RepoStorage
from ..session.session import Session, SessionInfo
from ..storage import SessionStorage, with_origin
from . import late
from .open_sessions import OpenSessions

_T = TypeVar("_T")


class Manager(Uncopied):
    """One opened store, and the sessions of it that were handed out."""

    _config: Config
    _storage: SessionStorage
    _engine: RepoStorage | None
    _sessions: OpenSessions
    _operations: Operations
    _watches: Weakly[late.Watch]

    @property
    def _hooks(self) -> late.Hooks | None:
        return self._sessions.hooks

    def _meant(self, name: str) -> str:
        """Return the name of the session that a name means, to tell of it; the name itself where that is damaged."""
        try:
            return self._storage.meant(name)
        except StoreError:
            return name

    def _info(self, name: str) -> SessionInfo | None:
        info = self._storage.info(name)
        return info if info is None or self._storage.tracks_changes else with_origin(info)

    def _may_exist(self, name: str) -> bool:
        return self._sessions.get(name) is not None or self._storage.may_exist(name)

    def _load(self, name: str) -> Session:
        with self._sessions.lock:
            session = self._sessions.find(name)
        if session is None:
            raise SessionNotFoundError(name)
        return session

    def _save(self, session: Session) -> None:
        if session._state.missing:
            raise PartialSessionError(session.name, session.missing)
        with session._lock:
            if session._owner is not self._sessions:
                self._sessions.create(session)
                return
            name = session._state.name
            if self._storage.tracks_changes:
                self._storage.save(session)
            else:
                self._sessions.save_whole(session)
            session._left_to = 0
            if session._state.name != name:
                self._sessions.saved_as(session, name)

    @operation
    def _within(self, work: Callable[[], _T]) -> _T:
        return work()
