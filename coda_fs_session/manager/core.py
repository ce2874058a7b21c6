"""What every verb of a manager stands on: its store, what is open of it, and loading and saving in both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from ..config import Config
from ..errors import (
    InvalidMessageError,
    PartialSessionError,
    SessionExistsError,
    SessionNotFoundError,
    StoreError,
    opened_read_only,
    shows_the_past,
)
from ..process.operations import Operations, operation
from ..process.uncopied import Uncopied
from ..process.weakly import Weakly
from . import late

_T = TypeVar("_T")

STARTED = ("_storage", "_engine", "_autosave", "_sessions", "_operations")
"""What verbs work with: attributes of a manager from the first verb on."""


class Manager(Uncopied):
    """One opened store, and the sessions of it that were handed out."""

    _config: Config
    _counters: late.Counters
    _storage: late.SessionStorage
    _engine: late.RepoStorage | None
    _autosave: late.Autosave
    _sessions: late.OpenSessions
    _operations: Operations
    _watches: Weakly[late.Watch]

    @property
    def _hooks(self) -> late.Hooks | None:
        return self._sessions.hooks

    def use(self, hook: object) -> Callable[[], None]:
        """Have a hook called from now on, after those that were registered before it.

        Args:
            hook: an object with any of the methods of `SessionHook`, which says what each is for. For redaction there
                is a ready one, `Redact`.

        Returns:
            A function that takes the hook out again.

        Raises:
            TypeError: the object has none of the methods.
        """
        with self._sessions.lock:
            hooks = self._hooks
            if hooks is None:
                # Late: who uses none pays for none, down to the import.
                from ..hooks.hooks import Hooks

                hooks = Hooks(self._operations)
            place = hooks.add(hook)
            if self._hooks is None:
                self._sessions.use(hooks)

        def remove() -> None:
            with self._sessions.lock:
                hooks.remove(place)

        return remove

    def _meant(self, name: str) -> str:
        """Return the name of the session that a name means, to tell of it; the name itself where that is damaged."""
        try:
            return self._storage.meant(name)
        except StoreError:
            return name

    def _info(self, name: str) -> late.SessionInfo | None:
        info = self._storage.info(name)
        return info if info is None or self._storage.tracks_changes else late.with_origin(info)

    def _may_exist(self, name: str) -> bool:
        return self._sessions.get(name) is not None or self._storage.may_exist(name)

    def _held(self) -> list[late.Session]:
        """Return every open session, and those that nobody else holds any more."""
        return list({id(session): session for session in [*self._autosave.held(), *self._sessions]}.values())

    def _unsaved(self) -> list[late.Session]:
        return [session for session in self._held() if self._is_unsaved(session)]

    def _is_unsaved(self, session: late.Session) -> bool:
        try:
            return session.has_unsaved_changes
        except Exception:
            # Whatever is wrong with it, saving it would tell, and has told.
            return True

    def _branch_there(self, name: str, parent_name: str, at: int | None) -> late.Session | None:
        """Return the session that has a name, if it is this very branch; None where the name is free."""
        info = self._info(self._storage.meant(name))
        if info is None:
            return None
        if info.error is not None:
            raise info.error
        if self._storage.is_branch_of(info, parent_name) and at in (None, info.forked_at):
            return self._load(name)
        raise late.name_taken(name)

    def _refuse_if_read_only(self, what: str) -> None:
        """Refuse a verb that writes, before it does anything.

        Raises:
            StoreReadOnlyError: this manager was opened read_only.
        """
        if self._config.read_only:
            engine = self._engine
            place = type(self._storage).__name__ if engine is None else engine.repo.backend.place().path
            raise opened_read_only(what, place)

    def _looked_ahead(self, name: str) -> AbstractContextManager[None]:
        """Return a block that looks a name up, with what is a request made before it: others wait for its lock."""
        there = self._sessions._by_name.get(name)
        if self._engine is None or (there is not None and there.has_unsaved_changes):
            return nullcontext()
        return self._engine.repo.looked_ahead(name)

    def _load(self, name: str) -> late.Session:
        with self._looked_ahead(name), self._sessions.lock:
            session = self._sessions.find(name)
        if session is None:
            raise SessionNotFoundError(name)
        return session

    def _save(
        self,
        session: late.Session,
        on_conflict: str | None = None,
        expected: str | None = None,
        updated: late.datetime | None = None,
    ) -> None:
        self._refuse_if_read_only("save")
        if session._state.missing:
            raise PartialSessionError(session.name, session.missing)
        if session._state.past:
            raise shows_the_past(session.name, session._state.past)
        with session._lock:
            try:
                self._save_as_it_is(session, on_conflict, expected, updated)
            except InvalidMessageError:
                if not self._made_storable(session):
                    raise
                self._save_as_it_is(session, on_conflict, expected, updated)

    def _made_storable(self, session: late.Session) -> bool:
        """Have hooks change the messages that cannot be stored; False where none looks at such."""
        return self._hooks is not None and self._hooks.make_storable(session)

    def _save_as_it_is(
        self, session: late.Session, on_conflict: str | None, expected: str | None, updated: late.datetime | None
    ) -> None:
        if session._owner is not self._sessions:
            with session._state.dated(updated):
                self._create(session, expected)
            return
        name = session._state.name
        if on_conflict is not None or expected is not None or updated is not None:
            self._sessions.save_if(session, on_conflict, expected, updated)
        elif self._storage.tracks_changes:
            self._storage.save(session)
        else:
            self._sessions.save_whole(session, self._storage.save)
        session._left_to = 0
        if session._state.name != name:
            self._sessions.saved_as(session, name)

    def _create(self, session: late.Session, expected: str | None) -> None:
        name = session.name
        if expected and not self._may_exist(name):
            raise late.not_as_expected(name, expected, "")
        try:
            self._sessions.create(session)
        except SessionExistsError as error:
            if expected != "":
                raise
            there = self._sessions.find(name)
            actual = "" if there is None else self._storage.revision(there)
            raise late.not_as_expected(name, expected, actual) from error

    @operation
    def _within(self, work: Callable[[], _T]) -> _T:
        return work()
