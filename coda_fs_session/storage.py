"""The interface between the manager and whatever keeps sessions.

Four methods are enough: subclass `SessionStorage`, implement `save`, `load`, `delete` and `list_all`, and
the manager does everything else with them, slowly where it must. The engine over files and memory
overrides the rest with what it can do better.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from .errors import SessionConflictError, SessionExistsError, SessionNotFoundError, UnsupportedError
from .session.fresh import same, show
from .session.info import SessionInfo
from .session.revision import saved_revision, whole_revision
from .session.session import Session

BRANCHED_FROM = "coda_fs_session.branched_from"
"""Metadata key under which the default `branch` notes the parent's name and the number of messages taken over."""

FORMER_NAMES = "coda_fs_session.former_names"
"""Metadata key under which the default `rename` notes what a session with branches was called before."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Totals over all sessions.

    Attributes:
        logical_bytes: the messages as JSON lines, as if each session had its own.
        stored_bytes: the files of the store, or their equivalent; 0 where the storage cannot tell.
        objects: how many objects there are.
        shared_bytes: message bytes that are stored once and used by more than one session, counted for each
            use but the first.
    """

    sessions: int
    messages: int
    logical_bytes: int
    stored_bytes: int = 0
    objects: int = 0
    shared_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StoreDescription:
    """Where a store is, and what this machine keeps of it.

    Attributes:
        backend: "files", "memory", "sqlite" or "bucket"; of a storage of your own the name of its class.
        path: the store, None where it has no place on a disk.
        state: the folder of this store in the state folder of the user, which is never synced.
        replica: what this machine goes by in the store, None where it has not written yet.
    """

    backend: str
    path: str | None = None
    state: str | None = None
    replica: str | None = None


class SessionStorage(ABC):
    """Keeps sessions under their names.

    A storage must keep, of each session, the name, the messages, the metadata and both times, exactly; what it cannot
    read it must not pass off as missing or empty, but raise an error. Calls come from any thread and several at once,
    though never two that change the same session. `coda_fs_session.testing` has the tests.

    The default methods below the four abstract ones read before they write: two processes that use them on
    one name at the same time may both succeed. Override them where the medium offers something atomic.

    What a session was branched from is kept in its metadata by the default `branch`, since every storage keeps that.
    """

    lists_newest_first: bool = False
    """True for a storage whose `list_all` is in the order of `SessionManager.list_sessions` already."""

    tracks_changes: bool = False
    """True for a storage that tells each session itself what is saved of it."""

    outlives_process: bool = True
    """False for a storage that ends with the process, so that a child of `os.fork` has one of its own."""

    @abstractmethod
    def save(self, session: Session) -> None:
        """Keep the session's messages and metadata, in place of what was kept under its name."""

    @abstractmethod
    def load(self, name: str) -> Session | None:
        """Return a session, or None where there is none of this name."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Forget a session."""

    @abstractmethod
    def list_all(self) -> list[SessionInfo]:
        """Return what is known of every session, in any order."""

    def list_named(self, prefix: str) -> list[SessionInfo]:
        """Return of `list_all` those whose names begin with a text, in the same order; the default lists all."""
        infos: list[SessionInfo] | None = self.list_all()
        return [info for info in infos or () if info.name.startswith(prefix)]

    def engine(self) -> object | None:
        """Return the storage of this package that keeps the sessions, for verbs that need more than this interface.

        None where there is none. A storage that passes everything on to another one returns that one's.
        """
        return None

    def meant(self, name: str) -> str:
        """Return the name of the session that a name means to this user, where that is not simply the one that has it.

        `load`, `delete` and the others take names as they are.
        """
        return name

    def load_meant(self, name: str) -> Session | None:
        """Return the session that a name means, for somebody who goes on with it under that name."""
        return self.load(self.meant(name))

    def update_name(self, session: Session) -> None:  # noqa: B027 - most storages rename nothing by themselves
        """Let an open session have the name that it goes by now; what it holds stays as it is."""

    def load_partial(self, name: str) -> Session | None:
        """Return what can be read of a session, with `Session.missing` telling how many messages are left out."""
        return self.load(name)

    def may_exist(self, name: str) -> bool:
        """Tell whether it takes a `load` to know that a name is free; where False is wrong, `create` must notice."""
        return True

    def exists(self, name: str) -> bool:
        """Tell whether a session of this name is kept, be it a damaged one."""
        return self.info(name) is not None

    def info(self, name: str) -> SessionInfo | None:
        """Return what is known of one session, or None."""
        infos: list[SessionInfo] | None = self.list_all()
        return next((info for info in infos or () if info.name == name), None)

    def create(self, session: Session) -> None:
        """Keep a session under a name that must be free.

        Raises:
            SessionExistsError: it is not.
        """
        if self.exists(session.name):
            raise name_taken(session.name)
        self.save(session)

    def branch(
        self,
        parent: Session,
        name: str,
        at: int | None,
        *,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> Session:
        """Make a session of the first `at` messages (None: all) that `parent` holds in memory, saved or not.

        Args:
            created_at, updated_at: only given where a program gave them; as for `Session`.

        Raises:
            SessionExistsError: the name is taken.
        """
        child = self.branched(parent, name, at, created_at=created_at, updated_at=updated_at)
        self.create(child)
        return child

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
        """Return what `branch` would make, in memory only: a transaction stores it later.

        Args:
            parent_name: what the parent will be called by then, if not as now.
        """
        messages = parent.get_messages()[:at]
        metadata = copy.deepcopy(parent._state.metadata.live)
        metadata.pop(FORMER_NAMES, None)
        metadata[BRANCHED_FROM] = {"name": parent_name or parent.name, "at": len(messages)}
        child = Session(name, messages, metadata, created_at=created_at, updated_at=updated_at)
        child._state.parent = parent_name or parent.name
        child._hooks = parent._hooks
        return child

    def rename(self, old: str, new: str) -> None:
        """Give a session another name.

        Raises:
            SessionNotFoundError, SessionExistsError
        """
        session = self.load(old)
        if session is None:
            raise SessionNotFoundError(old)
        metadata = copy.deepcopy(session._state.metadata.live)
        names = [*former_names(metadata), old]
        if any(with_origin(info).parent in names for info in self.list_all() or ()):
            metadata[FORMER_NAMES] = names
        moved = Session(
            new,
            session.get_messages(),
            metadata,
            created_at=session.created,
            updated_at=session.updated,
        )
        moved._state.parent = session.parent
        self.create(moved)
        self.delete(old)

    def is_branch_of(self, info: SessionInfo, parent: str) -> bool:
        """Tell whether a session was branched from `parent`, whatever that was called then."""
        known = with_origin(info).parent
        if known is None or known == parent:
            return known is not None
        now = self.info(parent)
        return now is not None and known in former_names(now.metadata)

    def refresh(self, session: Session) -> bool:
        """Bring a session without unsaved changes to the state that is kept; False where none is."""
        fresh = self.load(session.name)
        # What is as it was stays the same objects: a caller may hold some of them.
        if fresh is not None and not same(session, fresh):
            show(session, fresh)
            note_origin(session)
        return fresh is not None

    def catch_up(self, session: Session) -> None:
        """Find out what of a session's unsaved changes another process, which had them too, has saved meanwhile.

        The default has nothing to do: to save a session whole once more stores nothing twice.
        """
        return

    def reload(self, session: Session) -> bool:
        """Bring a session to the state that is kept, dropping unsaved changes; False where none is."""
        fresh = self.load(session.name)
        if fresh is not None:
            show(session, fresh)
            note_origin(session)
        return fresh is not None

    def revision(self, session: Session) -> str:
        """Return which stored state an open session stands on, "" for none: see `Session.revision`."""
        return saved_revision(session)

    def save_if(
        self,
        session: Session,
        *,
        expected: str | None = None,
        on_conflict: str | None = None,
        updated_at: datetime | None = None,
    ) -> None:
        """Save an open session where what is stored is as expected: see `SessionManager.save_session`.

        The default reads it before: another process may save in between.

        Args:
            on_conflict: None or "raise"; a storage that merges what others saved may know more.
            updated_at: the time that the save is to have. Given to a storage that tracks changes; for any other one
                the session has it already.

        Raises:
            SessionConflictError: it is not as expected; nothing was changed.
            UnsupportedError: this storage cannot do as `on_conflict` says.
        """
        if on_conflict not in (None, "raise"):
            raise UnsupportedError(f"{type(self).__name__} merges nothing: on_conflict={on_conflict!r} is not possible")
        if expected is None:
            expected = self.revision(session)
        kept = self.load(session.name)
        actual = "" if kept is None else whole_revision(kept)
        if actual != expected:
            raise not_as_expected(session.name, expected, actual)
        self.save(session)

    def kept_aside(self) -> list[SessionInfo]:
        """Return what this machine had saved and could not put back: see `SessionManager.kept_aside`."""
        return []

    def bring_back(self, name: str | None = None) -> list[SessionInfo]:
        """Bring back what `kept_aside` lists, all of it or what has this name: see `SessionManager.bring_back`."""
        if name is not None:
            raise SessionNotFoundError(name, f"nothing called {name!r} is kept aside: kept_aside() shows what is")
        return []

    def stats(self) -> StoreStats:
        """Return totals over all sessions."""
        infos: list[SessionInfo] = self.list_all() or []
        return StoreStats(len(infos), sum(i.message_count for i in infos), sum(i.size_bytes for i in infos))

    def bulk(self, progress: Callable[[int], object] | None = None) -> AbstractContextManager[None]:
        """Return a block in which many sessions are created and saved; see `SessionManager.bulk`.

        What is saved in the block by the thread that is in it need be durable only at its end, also after an exception.
        Blocks are not within each other. The default does nothing special, and tells of progress once, at the end.

        Args:
            progress: called with how many sessions made in the block are durable. Not given where nobody asks.
        """
        return nullcontext() if progress is None else self._counting(progress)

    @contextmanager
    def _counting(self, progress: Callable[[int], object]) -> Iterator[None]:
        before: list[SessionInfo] | None = self.list_all()
        names = {info.name for info in before or ()}
        try:
            yield
        finally:
            after: list[SessionInfo] | None = self.list_all()
            progress(sum(info.name not in names for info in after or ()))

    def ready_to_save(self) -> None:  # noqa: B027 - most storages are so from the start
        """Load what a save takes. Called before the first change of a session: when it is saved there may be no file
        descriptor left to load a module with, or the program may be at its end."""

    def opened(self, session: Session) -> None:  # noqa: B027 - for a storage that remembers what was to be created
        """Take note that a manager has become the owner of a session: whoever creates it from now on makes another."""

    def recover(self) -> None:  # noqa: B027 - what was locked with `with` alone is given back by that
        """Give back whatever this thread still holds, such as a lock: an operation of it was interrupted."""

    def close(self) -> None:  # noqa: B027 - most storages hold nothing open
        """Release what is held open."""


def not_as_expected(name: str, expected: str, actual: str) -> SessionConflictError:
    """Return the error for a session that is not what whoever saves it expects."""
    now = "is not stored" if not actual else "is stored already" if not expected else "was changed elsewhere"
    return SessionConflictError(
        f"session {name!r} {now}, and so is not at the revision that was expected. Nothing was written: "
        "session.reload() shows what is stored, and drops your changes",
        expected=expected,
        actual=actual,
    )


def name_taken(name: str) -> SessionExistsError:
    """Return the error for a name that is not free."""
    return SessionExistsError(f"a session called {name!r} exists already: take another name, or load_session({name!r})")


def with_origin(info: SessionInfo) -> SessionInfo:
    """Return what is known of a session with what its metadata tells of its parent, where the storage tells nothing."""
    parent, forked_at = _origin_of(info.metadata)
    if parent is None or info.parent not in (None, parent):
        return info
    return replace(info, parent=parent, forked_at=forked_at if info.forked_at is None else info.forked_at)


def note_origin(session: Session) -> None:
    """Let a session know its parent, if its metadata does."""
    if session._state.parent is None:
        session._state.parent, _ = _origin_of(session._state.metadata.live)


def former_names(metadata: dict[str, Any]) -> list[str]:
    """Return what a session was called before, as far as its metadata tells."""
    names = metadata.get(FORMER_NAMES)
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def carry_former_names(info: SessionInfo | None, session: Session) -> None:
    """Let a session with unsaved changes have what `rename` has noted in the one that is kept."""
    names = former_names(info.metadata) if info is not None else []
    if names:
        session._state.metadata.live[FORMER_NAMES] = names


def _origin_of(metadata: dict[str, Any]) -> tuple[str | None, int | None]:
    match metadata.get(BRANCHED_FROM):
        case {"name": str(name), "at": int(at)}:
            return name, at
    return None, None
