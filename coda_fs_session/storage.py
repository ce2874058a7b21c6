"""The interface between the manager and whatever keeps sessions.

Four methods are enough: subclass `SessionStorage`, implement `save`, `load`, `delete` and `list_all`, and
the manager does everything else with them, slowly where it must. The engine over files and memory
overrides the rest with what it can do better.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from .errors import SessionExistsError, SessionNotFoundError
from .session import Session, SessionInfo


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


class SessionStorage(ABC):
    """Keeps sessions under their names.

    The default methods below the four abstract ones read before they write: two processes that use them on
    one name at the same time may both succeed. Override them where the medium offers something atomic.
    """

    lists_newest_first: bool = False
    """True for a storage whose `list_all` is in the order of `SessionManager.list_sessions` already."""

    tracks_changes: bool = False
    """True for a storage that tells each session itself what is saved of it."""

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

    def load_partial(self, name: str) -> Session | None:
        """Return what can be read of a session, with `Session.missing` telling how many messages are left out."""
        return self.load(name)

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

    def branch(self, parent: Session, name: str, at: int | None) -> Session:
        """Make a session of the first `at` messages (None: all) that `parent` holds in memory, saved or not.

        Raises:
            SessionExistsError: the name is taken.
        """
        messages = parent.get_messages()[:at]
        child = Session(name, messages, dict(parent.metadata))
        child._parent = parent.name
        child._hooks = parent._hooks
        self.create(child)
        return child

    def rename(self, old: str, new: str) -> None:
        """Give a session another name.

        Raises:
            SessionNotFoundError, SessionExistsError
        """
        session = self.load(old)
        if session is None:
            raise SessionNotFoundError(old)
        moved = Session(
            new,
            session.get_messages(),
            dict(session.metadata),
            created_at=session.created_at,
            updated_at=session.updated_at,
        )
        moved._parent = session.parent
        self.create(moved)
        self.delete(old)

    def is_branch_of(self, info: SessionInfo, parent: str) -> bool:
        """Tell whether a session was branched from `parent`, whatever that was called then."""
        return info.parent == parent

    def refresh(self, session: Session) -> bool:
        """Bring a session without unsaved changes to the state that is kept; False where none is."""
        fresh = self.load(session.name)
        if fresh is None:
            return False
        if fresh is not session:
            session.messages[:] = fresh.messages
            session.metadata = fresh.metadata
            session._created, session._updated = fresh._created, fresh._updated
        return True

    def reload(self, session: Session) -> bool:
        """Bring a session to the state that is kept, dropping unsaved changes; False where none is."""
        return self.refresh(session)

    def stats(self) -> StoreStats:
        """Return totals over all sessions."""
        infos: list[SessionInfo] = self.list_all() or []
        return StoreStats(len(infos), sum(i.message_count for i in infos), sum(i.size_bytes for i in infos))

    def close(self) -> None:  # noqa: B027 - most storages hold nothing open
        """Release what is held open."""


def name_taken(name: str) -> SessionExistsError:
    """Return the error for a name that is not free."""
    return SessionExistsError(f"a session called {name!r} exists already: take another name, or load_session({name!r})")
