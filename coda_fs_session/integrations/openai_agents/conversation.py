"""What every part of a session of the OpenAI Agents SDK stands on: its branches as sessions, read and changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from agents.memory.session_settings import SessionSettings, coerce_session_settings

from ... import Session, SessionManager, SessionNotFoundError
from ..sessions import FrameworkSessions

_R = TypeVar("_R")
Item: TypeAlias = Any
"""An item of the SDK: a dict."""

MAIN = "main"


class Conversation:
    """A conversation: its main branch is a session, and so is each other one; see `CodaSession`."""

    def __init__(
        self,
        session_id: str,
        manager: SessionManager,
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        prefix: str = "openai-agents/",
        partial: bool = False,
    ) -> None:
        self.session_id = session_id
        self.session_settings: SessionSettings | None = (
            SessionSettings() if session_settings is None else coerce_session_settings(session_settings)
        )
        self._sessions = FrameworkSessions(manager, "openai-agents", prefix)
        self._partial = partial
        self._branch = MAIN
        self._is_closed = False

    def _key(self, branch: str | None = None) -> tuple[str, ...]:
        branch = branch or self._branch
        return (self.session_id,) if branch == MAIN else (self.session_id, branch)

    def _find(self, branch: str | None = None) -> Session | None:
        name = self._sessions.name(*self._key(branch))
        if self._partial:
            try:
                return self._sessions.manager.load_session(name, partial=True)
            except SessionNotFoundError:
                return None
        return self._sessions.find(name)

    async def _change(
        self, step: Callable[[Session], _R], *, create: bool = False, branch: str | None = None
    ) -> _R | None:
        key = self._key(branch)
        return await self._sessions.call(lambda: self._sessions.change(*key, step=step, create=create))

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise RuntimeError(f"this {type(self).__name__} is closed: make another one")
