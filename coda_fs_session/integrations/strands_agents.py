"""Sessions of Strands Agents: a `CodaSessionRepository` for ``RepositorySessionManager(session_repository=...)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .extras import not_installed

try:
    from strands.session.session_repository import SessionRepository
    from strands.types.exceptions import SessionException
    from strands.types.session import Session as StrandsSession
    from strands.types.session import SessionAgent, SessionMessage
except ModuleNotFoundError as error:
    raise not_installed(error, "strands-agents", "strands") from error

from .. import Session, SessionManager
from .escapes import add, escaped, restored
from .sessions import FrameworkSessions

if TYPE_CHECKING:
    from strands.multiagent import MultiAgentBase

STATE = "coda_fs_session.strands"
"""Metadata key with what the framework knows of a session, an agent or several agents."""


class CodaSessionRepository(SessionRepository):
    """A `SessionRepository` in a store of this package: the messages of an agent are a session, its state is metadata.

    The id of a message is its place. One that is there already, as it is given, is not added again; another one in its
    place is refused with `SessionException`: two processes never take each other's place.

    Args:
        manager: whose store it is; the program closes it.
        prefix: what names of sessions begin with.
    """

    def __init__(self, manager: SessionManager, *, prefix: str = "strands-agents/") -> None:
        self._sessions = FrameworkSessions(manager, "strands-agents", prefix)

    def create_session(self, session: StrandsSession, **kwargs: Any) -> StrandsSession:
        self._create((session.session_id,), session.to_dict(), f"session {session.session_id!r}", hidden=True)
        return session

    def read_session(self, session_id: str, **kwargs: Any) -> StrandsSession | None:
        told = self._read(session_id)
        return None if told is None else StrandsSession.from_dict(told)

    def delete_session(self, session_id: str, **kwargs: Any) -> None:
        """Delete a session with its agents.

        Raises:
            SessionException: there is none.
        """
        ours = self._sessions
        names = [info.name for info in ours.infos(session_id)]
        if not names:
            raise _missing(f"session {session_id!r}")
        with ours.locked(*names), ours.manager.transaction() as change:
            for name in names:
                change.delete_session(name, missing_ok=True)

    def create_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        key = session_id, session_agent.agent_id
        self._create(key, session_agent.to_dict(), f"agent {key[1]!r} of session {session_id!r}")

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        told = self._read(session_id, agent_id)
        # A side of an agent, which another machine has, is an agent of its own.
        return None if told is None else SessionAgent.from_dict({**told, "agent_id": agent_id})

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        def step(session: Session) -> bool:
            session_agent.created_at = restored(dict(session.metadata[STATE]))["created_at"]
            session.update_metadata({STATE: escaped(session_agent.to_dict())})
            return True

        key = session_id, session_agent.agent_id
        if not self._sessions.change(*key, step=step, create=False):
            raise _missing(f"agent {key[1]!r} of session {session_id!r}")

    def create_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        item, place = session_message.to_dict(), _place(session_message.message_id)

        def step(session: Session) -> bool:
            if place == len(session):
                add(session, item)
            elif place > len(session) or restored(session[place]) != item:
                raise SessionException(
                    f"agent {agent_id!r} of session {session_id!r} has {len(session)} messages: "
                    f"message {place} cannot be created. Read the last one again, and take the id after it"
                )
            return True

        if not self._sessions.change(session_id, agent_id, step=step, create=False):
            raise _missing(f"agent {agent_id!r} of session {session_id!r}")

    def read_message(self, session_id: str, agent_id: str, message_id: int, **kwargs: Any) -> SessionMessage | None:
        session, place = self._agent(session_id, agent_id), _place(message_id)
        if session is None or place >= len(session):
            return None
        return _message(session[place], place)

    def update_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        place = _place(session_message.message_id)

        def step(session: Session) -> bool:
            if place >= len(session):
                return False
            old, *others = session.get_messages(start=place)
            session_message.created_at = restored(old)["created_at"]
            session.keep_first(place)
            add(session, session_message.to_dict())
            for each in others:
                session.add_message(each)
            return True

        if not self._sessions.change(session_id, agent_id, step=step, create=False):
            raise _missing(f"message {place} of agent {agent_id!r} of session {session_id!r}")

    def list_messages(
        self, session_id: str, agent_id: str, limit: int | None = None, offset: int = 0, **kwargs: Any
    ) -> list[SessionMessage]:
        session = self._agent(session_id, agent_id)
        if session is None:
            raise _missing(f"agent {agent_id!r} of session {session_id!r}")
        found = session.get_messages(start=offset, stop=None if limit is None else offset + limit)
        return [_message(item, place) for place, item in enumerate(found, offset)]

    def create_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        key = session_id, multi_agent.id, "multi-agent"
        self._create(key, multi_agent.serialize_state(), f"multi-agent {multi_agent.id!r}", hidden=True)

    def read_multi_agent(self, session_id: str, multi_agent_id: str, **kwargs: Any) -> dict[str, Any] | None:
        return self._read(session_id, multi_agent_id, "multi-agent")

    def update_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        def step(session: Session) -> bool:
            session.update_metadata({STATE: escaped(multi_agent.serialize_state())})
            return True

        if not self._sessions.change(session_id, multi_agent.id, "multi-agent", step=step, create=False):
            raise _missing(f"multi-agent {multi_agent.id!r} of session {session_id!r}")

    def _create(self, key: tuple[str, ...], told: dict[str, Any], what: str, *, hidden: bool = False) -> None:
        def step(session: Session) -> None:
            if session.is_stored:
                raise SessionException(f"{what} exists already")
            session.update_metadata({STATE: escaped(told)})

        self._sessions.change(*key, step=step, hidden=hidden)

    def _read(self, *key: str) -> dict[str, Any] | None:
        session = self._sessions.find(self._sessions.name(*key))
        return None if session is None else restored(dict(session.metadata[STATE]))

    def _agent(self, session_id: str, agent_id: str) -> Session | None:
        return self._sessions.find(self._sessions.name(session_id, agent_id))


def _place(message_id: object) -> int:
    if not isinstance(message_id, int) or message_id < 0:
        raise ValueError(f"the id of a message must be a whole number, 0 or more, not {message_id!r}")
    return message_id


def _message(item: dict[str, Any], place: int) -> SessionMessage:
    # A merge may have moved it from the place that it was given.
    return SessionMessage.from_dict({**restored(item), "message_id": place})


def _missing(what: str) -> SessionException:
    return SessionException(f"{what} does not exist")
