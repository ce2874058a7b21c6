"""Sessions of Google's ADK: pass a `CodaSessionService` to ``Runner(session_service=...)``."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from .extras import not_installed

try:
    from google.adk.errors._stale_session_error import StaleSessionError
    from google.adk.errors.already_exists_error import AlreadyExistsError
    from google.adk.errors.session_not_found_error import SessionNotFoundError
    from google.adk.events.event import Event
    from google.adk.sessions._session_util import extract_json_safe_state_delta
    from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig, ListSessionsResponse
    from google.adk.sessions.session import Session as AdkSession
    from google.adk.sessions.state import State
except ModuleNotFoundError as error:
    raise not_installed(error, "google-adk", "google", "aiosqlite", "pydantic") from error

from .. import Session, SessionConflictError, SessionExistsError, SessionInfo, SessionManager
from .escapes import add, escaped, restored
from .names import name_of
from .sessions import FrameworkSessions

STATE = "coda_fs_session.adk_state/"
"""Metadata keys begin so that have a name and its value in the state of a session, of a user or of an app."""
CHANGED = "coda_fs_session.adk_time"
"""Metadata key with the time of the last event."""
_ATTEMPTS = 100


class CodaSessionService(BaseSessionService):
    """A session service over a store of this package: each event is a message, and the state is metadata.

    The states of a user and of an app are hidden sessions of their own. What an event changes in all of them is done in
    one go. An event for a session that has another one meanwhile is refused with `StaleSessionError`: get the session
    again.

    Args:
        manager: whose store it is; the program closes it.
        prefix: what names of sessions begin with.
    """

    def __init__(self, manager: SessionManager, *, prefix: str = "google-adk/") -> None:
        self._sessions = FrameworkSessions(manager, "google-adk", prefix)

    async def create_session(
        self, *, app_name: str, user_id: str, state: dict[str, Any] | None = None, session_id: str | None = None
    ) -> AdkSession:
        key = app_name, user_id, (session_id or "").strip() or str(uuid4())
        deltas = extract_json_safe_state_delta(state or {})

        def create() -> AdkSession:
            ours = self._sessions
            with ours.locked(ours.name(*key), *(ours.name(*parts) for parts in _shared(*key[:2]).values())):
                if ours.name(*key) in ours.manager:
                    raise AlreadyExistsError(f"session {key[2]!r} exists already")
                session = ours.new(*key, metadata={**_written(deltas["session"]), CHANGED: time.time()})
                try:
                    self._store(session, key, deltas)
                except SessionExistsError:
                    raise AlreadyExistsError(f"session {key[2]!r} exists already") from None
                return self._shown(session, key, None)

        return await self._sessions.call(create)

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> AdkSession | None:
        def read() -> AdkSession | None:
            key = app_name, user_id, session_id.strip()
            session = self._sessions.find(self._sessions.name(*key))
            return None if session is None else self._shown(session, key, config or GetSessionConfig())

        return await self._sessions.call(read)

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        def read() -> list[AdkSession]:
            parts = (app_name,) if user_id is None else (app_name, user_id)
            keys = [(self._sessions.key(info) or (), info) for info in self._sessions.infos(*parts)]
            found = [self._shown(info, (key[0], key[1], key[2]), None) for key, info in keys if len(key) == 3]
            return sorted(found, key=lambda each: (each.last_update_time, each.user_id, each.id))

        return ListSessionsResponse(sessions=await self._sessions.call(read))

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        name = self._sessions.name(app_name, user_id, session_id.strip())
        await self._sessions.call(self._sessions.manager.delete_session, name, missing_ok=True)

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        return await self._sessions.call(self._state, _shared(app_name, user_id)["user"])

    async def append_event(self, session: AdkSession, event: Event) -> Event:
        if event.partial:
            return event
        self._apply_temp_state(session, event)
        event = self._trim_temp_delta_state(event)
        key = session.app_name, session.user_id, session.id
        # Dumped here: what the caller holds may change while a thread is at work.
        item = event.model_dump(mode="json", exclude_none=True)
        deltas = extract_json_safe_state_delta(event.actions.state_delta)
        marker, moment = session._storage_update_marker, session.last_update_time

        def step(stored: Session) -> None:
            if marker != stored.revision if marker else stored.metadata.get(CHANGED, 0) > moment:
                raise StaleSessionError(
                    f"session {key[2]!r} has another event since it was read: get it again, and append to that"
                )
            add(stored, item)
            stored.update_metadata({**_written(deltas["session"]), CHANGED: event.timestamp})

        def append() -> str:
            ours = self._sessions
            if not deltas["app"] and not deltas["user"]:
                ours.change(*key, step=step, create=False)
            else:
                with ours.locked(ours.name(*key), *(ours.name(*parts) for parts in _shared(*key[:2]).values())):
                    stored = ours.find(ours.name(*key))
                    if stored is not None:
                        with ours.all_or_nothing(stored):
                            step(stored)
                            self._store(stored, key, deltas)
            stored = ours.find(ours.name(*key))
            if stored is None:
                raise SessionNotFoundError(f"session {key[2]!r} is not there")
            return stored.revision

        try:
            session._storage_update_marker = await self._sessions.call(append)
        except SessionConflictError as error:
            raise StaleSessionError(f"session {key[2]!r} was changed since it was read: get it again") from error
        session.last_update_time = event.timestamp
        return self._commit_event_to_session(session, event)

    # In a worker thread

    def _store(self, session: Session, key: tuple[str, str, str], deltas: dict[str, dict[str, Any]]) -> None:
        """Store a session together with what changes in the states that it shares with others."""
        ours = self._sessions
        shared = [(parts, deltas[of]) for of, parts in _shared(*key[:2]).items() if deltas[of]]
        for attempt in range(_ATTEMPTS):
            states = [(ours.find(ours.name(*parts)) or ours.new(*parts, hidden=True), delta) for parts, delta in shared]
            try:
                with ours.all_or_nothing(*(state for state, _ in states)), ours.manager.transaction() as change:
                    change.save_session(session, on_conflict="raise")
                    for state, delta in states:
                        state.update_metadata(_written(delta))
                        change.save_session(state, on_conflict="raise")
                return
            except (SessionConflictError, SessionExistsError):
                # Of a state that another process has changed: what it has set stays.
                if attempt == _ATTEMPTS - 1 or all(
                    (ours.find(state.name) or session).revision == state.revision for state, _ in states
                ):
                    raise

    def _state(self, parts: tuple[str, ...]) -> dict[str, Any]:
        found = self._sessions.find(self._sessions.name(*parts))
        return {} if found is None else _told(found.metadata)

    def _shown(
        self, session: Session | SessionInfo, key: tuple[str, str, str], config: GetSessionConfig | None
    ) -> AdkSession:
        """Return a session as ADK has it; without events where there is no `config`."""
        user, app = map(self._state, _shared(*key[:2]).values())
        state = _told(session.metadata)
        state |= {State.APP_PREFIX + name: value for name, value in app.items()}
        state |= {State.USER_PREFIX + name: value for name, value in user.items()}
        events: list[Event] = []
        if config is not None and isinstance(session, Session):
            after, most = config.after_timestamp, config.num_recent_events
            messages = session.get_messages(most if after is None else None)
            events = [Event.model_validate(restored(message)) for message in messages]
            if after is not None:
                events = [event for event in events if event.timestamp >= after]
                events = events[-most:] if most else events if most is None else []
        made = AdkSession(id=key[2], app_name=key[0], user_id=key[1], state=state, events=events)
        made.last_update_time = float(session.metadata.get(CHANGED, 0))
        if isinstance(session, Session):
            made._storage_update_marker = session.revision
        return made


def _shared(app: str, user: str) -> dict[str, tuple[str, ...]]:
    """Return the keys of the states of a user and of an app. No session has an empty id."""
    return {"user": (app, user, "", "state"), "app": (app, "", "", "", "state")}


def _written(delta: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata for names in a state. Each has a key of its own: so what several machines set is merged."""
    return {name_of(STATE, name): escaped({name: value}) for name, value in delta.items()}


def _told(metadata: dict[str, Any]) -> dict[str, Any]:
    told = [each for key, each in metadata.items() if key.startswith(STATE) and isinstance(each, dict)]
    return {name: value for each in told for name, value in restored(dict(each)).items()}
