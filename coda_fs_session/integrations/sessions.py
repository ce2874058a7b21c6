"""The sessions of one framework in a store: found by key, changed in steps that are saved or leave nothing behind."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, ClassVar, ParamSpec, TypeVar, overload

from .. import (
    Session,
    SessionConflictError,
    SessionError,
    SessionExistsError,
    SessionInfo,
    SessionManager,
    SessionNotFoundError,
    UnsupportedError,
)
from ..aio import AsyncSessionManager
from .names import is_cut, name_of, parts_of

SHAPE = "coda_fs_session.shape"
"""Metadata key that says which framework's items the messages of a session are."""
KEY = "coda_fs_session.key"
"""Metadata key with the framework's own key, for a name that is too short to tell it."""
HIDDEN = "coda_fs_session.hidden"
_ATTEMPTS = 1000
_MOST_HELD = 8

_P = ParamSpec("_P")
_R = TypeVar("_R")


class FrameworkSessions:
    """What an adapter does to sessions. Safe in all threads, beside other processes and after `os.fork`.

    Args:
        manager: whose store they are in. It stays the program's to close.
        shape: which framework's items they hold.
        prefix: their names begin with it: ``<shape>/`` where not given.
    """

    def __init__(self, manager: SessionManager, shape: str, prefix: str | None = None) -> None:
        if not isinstance(manager, SessionManager):
            raise TypeError(f"manager must be a SessionManager, not {type(manager).__name__}")
        self.manager = manager
        self.shape = shape
        self.prefix = f"{shape}/" if prefix is None else prefix
        self._shared = _Shared.of(manager)
        self._threads: AsyncSessionManager | None = None
        self._held: dict[str, Session] = {}

    def name(self, *parts: str) -> str:
        """Return the name of the session for a key."""
        return name_of(self.prefix, *parts)

    def key(self, info: SessionInfo | Session) -> tuple[str, ...] | None:
        """Return the key of a session; None where it is none of this adapter's."""
        if is_cut(info.name):
            told = info.metadata.get(KEY)
            return tuple(told) if isinstance(told, list) and self.name(*map(str, told)) == info.name else None
        return parts_of(self.prefix, info.name)

    def find(self, name: str) -> Session | None:
        """Return a session in its newest state; None where there is none. It is never made by that.

        Raises:
            UnsupportedError: the messages are another framework's, or none's.
        """
        try:
            session = self.manager.load_session(name)
        except SessionNotFoundError:
            return None
        if self._held.get(name) is not session:
            # Looked at when it was opened. To ask again would have its metadata compared with each read.
            self._refuse_others(session)
            self._hold(session)
        return session

    def sides(self, name: str) -> list[Session]:
        """Return the other sides of a session, where it was continued on several machines. Looks at the store."""
        info = self.manager.get_session_info(name)
        found = () if info is None else info.sides
        return [session for side in found if side != name and (session := self.find(side)) is not None]

    def new(self, *parts: str, hidden: bool = False, metadata: dict[str, Any] | None = None) -> Session:
        """Return a session for a key that is not stored yet."""
        name = self.name(*parts)
        return Session(name, metadata={**self.notes(*parts, hidden=hidden), **(metadata or {})})

    def notes(self, *parts: str, hidden: bool = False) -> dict[str, Any]:
        """Return the metadata that a session for a key has."""
        key = {KEY: list(parts)} if is_cut(self.name(*parts)) else {}
        return {SHAPE: self.shape, **key, **({HIDDEN: True} if hidden else {})}

    @overload
    def change(self, *parts: str, step: Callable[[Session], _R], hidden: bool = ...) -> _R: ...

    @overload
    def change(self, *parts: str, step: Callable[[Session], _R], create: bool, hidden: bool = ...) -> _R | None: ...

    def change(
        self, *parts: str, step: Callable[[Session], _R], create: bool = True, hidden: bool = False
    ) -> _R | None:
        """Let a step change the session for a key, and save that: durable when this returns, in one save.

        A step that fails, or whose save fails, leaves nothing in memory that a later save would store. Nobody saves
        between what the step has read and its save: where somebody did, it is done anew.

        Args:
            step: gets the session, and may be called several times.
            create: where there is no session, make it. False: return None there.
            hidden: for a session that is made: lists leave it out.

        Raises:
            SessionError: nothing was changed, as far as the store tells; `SessionManager.save_session` says why.
        """
        name = self.name(*parts)
        with self.locked(name):
            # As it was here at last: a save tells whether it is so still.
            session = self._held.get(name)
            for attempt in range(_ATTEMPTS):
                if attempt or session is None or not session.is_stored:
                    session = self.find(name)
                if session is None:
                    if not create:
                        return None
                    session = self.new(*parts, hidden=hidden)
                try:
                    with self.all_or_nothing(session):
                        result = step(session)
                        if not session.is_stored or session.has_unsaved_changes:
                            self.manager.save_session(session, on_conflict="raise")
                        elif not attempt:
                            # It changes nothing, which no save confirms.
                            continue
                    self._hold(session)
                    return result
                except (SessionConflictError, SessionExistsError):
                    if attempt == _ATTEMPTS - 1:
                        raise
        raise AssertionError("the last attempt returns or raises")

    def branch(
        self,
        parent: Session,
        *parts: str,
        at: int | None = None,
        hidden: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> Session:
        """Make the session for a key as a branch of another one, with its first `at` messages, in one save.

        Args:
            metadata: these values in place of the parent's; those that are None it does not have.

        Raises:
            SessionExistsError: there is one.
        """
        name = self.name(*parts)
        if name in self.manager:
            # One at the same place would be taken for this one.
            raise SessionExistsError(f"session {name!r} exists already: take another name")
        wanted = {key: value for key, value in parent.metadata.items() if key not in (KEY, HIDDEN)}
        wanted |= self.notes(*parts, hidden=hidden) | (metadata or {})
        wanted = {key: value for key, value in wanted.items() if value is not None}
        if wanted == parent.metadata:
            made = self.manager.create_session(name, branch_from=parent.name, at=at)
        else:
            with self.manager.transaction() as change:
                made = change.create_session(name, branch_from=parent.name, at=at)
                made.metadata = wanted
        self._hold(made)
        return made

    def _hold(self, session: Session) -> None:
        """Keep a session open: it would be read anew for each call."""
        self._held.pop(session.name, None)
        self._held[session.name] = session
        while len(self._held) > _MOST_HELD:
            # Another thread may do the same.
            with suppress(StopIteration, KeyError, RuntimeError):
                del self._held[next(iter(self._held))]

    @contextmanager
    def all_or_nothing(self, *sessions: Session) -> Iterator[None]:
        """Have what a block adds to open sessions dropped from memory where the block fails.

        An adapter's caller adds it again when it tries again. Were it kept, the next save would store it twice.
        """
        before = [(each, len(each), dict(each.metadata)) for each in sessions if each.is_stored]
        try:
            yield
        except BaseException:
            for session, count, metadata in before:
                try:
                    session.reload()
                except SessionError as error:
                    # Nothing can be read now, or it was deleted elsewhere. What was added is in memory alone.
                    session.keep_first(count)
                    session.metadata = metadata
                    if isinstance(error, SessionNotFoundError) and session.has_unsaved_changes:
                        # What was taken away cannot be read again: the session has to be let go.
                        self.manager.delete_session(session.name, missing_ok=True)
            raise

    @contextmanager
    def locked(self, *names: str) -> Iterator[None]:
        """Keep this manager's other threads from changing these sessions by an adapter."""
        with ExitStack() as stack:
            for lock in self._shared.locks(names):
                stack.enter_context(lock)
            yield

    def infos(
        self, *parts: str, where: dict[str | tuple[str, ...], Any] | None = None, **query: Any
    ) -> list[SessionInfo]:
        """Return what is known of the sessions whose key begins with these parts, hidden ones too.

        Args:
            where: values that their metadata have; query: the other arguments of `SessionManager.list_sessions`.
        """
        prefix = self.name(*parts) if parts else self.prefix
        wanted: dict[str | tuple[str, ...], Any] = {SHAPE: self.shape, **(where or {})}
        found = self.manager.list_sessions(prefix=prefix[:_UNCUT], where=wanted, hidden=True, **query)
        return [info for info in found if (self.key(info) or ())[: len(parts)] == parts]

    async def call(self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call a function in a worker thread, in asyncio or trio.

        One that is cancelled before it has begun is not called; one that has begun is waited for.
        """
        if self._threads is None:
            self._threads = self._shared.threads(self.manager)
        return await self._threads.call(function, *args, **kwargs)

    def _refuse_others(self, session: Session) -> None:
        shape = session.metadata.get(SHAPE)
        if shape == self.shape or (shape is None and not len(session)):
            return
        whose = f"items of {shape!r}" if shape is not None else "messages that no adapter has written"
        raise UnsupportedError(
            f"session {session.name!r} holds {whose}, not those of {self.shape!r}: give another id, or another prefix="
        )


_UNCUT = 180
"""So much of a name says the key, however long that is."""


class _Shared:
    """What all adapters of one manager share."""

    _all: ClassVar[weakref.WeakKeyDictionary[SessionManager, _Shared]] = weakref.WeakKeyDictionary()
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._process = os.getpid()
        self._by_name: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self._async: weakref.ref[AsyncSessionManager] | None = None

    @classmethod
    def of(cls, manager: SessionManager) -> _Shared:
        with cls._lock:
            return cls._all.setdefault(manager, cls())

    def locks(self, names: tuple[str, ...]) -> list[Any]:
        """Return the locks of sessions, in the order in which all take them."""
        with self._lock:
            if self._process != os.getpid():
                # A thread of the parent may have held one at the fork.
                self.__init__()  # type: ignore[misc]
            return [self._by_name.setdefault(name, threading.RLock()) for name in sorted(set(names))]

    def threads(self, manager: SessionManager) -> AsyncSessionManager:
        """Return the worker threads, which end with the last adapter that has them."""
        with self._lock:
            known = self._async() if self._async is not None else None
            if known is None:
                known = AsyncSessionManager.over(manager)
                self._async = weakref.ref(known)
            return known
