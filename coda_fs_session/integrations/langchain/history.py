"""The history of one chat, as LangChain's runnables ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from ... import Session, SessionManager
from ..escapes import add
from ..sessions import FrameworkSessions
from .messages import SHAPE, item_of, message_of


class CodaChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session, for threads, asyncio and trio, and beside other processes.

    Making one reads nothing, so that it may be made for each call. Nothing is stored before the first message is. What
    is added is durable when the call returns, and all messages of a call are there or none.

    Args:
        session_id: which chat it is: the session is named ``langchain/<session_id>``.
        manager: whose store it is in. It stays the program's to close.
        prefix: the name of the session begins with it. With ``langgraph/`` these are the messages of a thread of
            LangGraph, whose name is `session_id`.

    Raises:
        TypeError: `session_id` is no text, or `manager` no SessionManager.
    """

    def __init__(self, session_id: str, manager: SessionManager, *, prefix: str = f"{SHAPE}/") -> None:
        super().__init__()
        if not isinstance(session_id, str):
            raise TypeError(f"session_id must be a text, not {type(session_id).__name__}")
        self.session_id = session_id
        self._sessions = FrameworkSessions(manager, SHAPE, prefix)

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """All messages, new objects each time; none where there is no such session.

        Raises:
            SessionError: the session cannot be read, or holds no messages of LangChain.
        """
        session = self._sessions.find(self._sessions.name(self.session_id))
        return [] if session is None else list(map(message_of, session.get_messages()))

    @messages.setter
    def messages(self, messages: Sequence[BaseMessage]) -> None:
        items = list(map(item_of, messages))

        def replace(session: Session) -> None:
            session.clear_messages()
            _add_all(session, items)

        self._sessions.change(self.session_id, step=replace)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages at the end.

        Raises:
            SessionError: none was added.
        """
        items = list(map(item_of, messages))
        if items:
            self._sessions.change(self.session_id, step=lambda session: _add_all(session, items))

    def clear(self) -> None:
        """Remove all messages; the history of the session still has them.

        Raises:
            SessionError: nothing was removed.
        """
        self._sessions.change(self.session_id, step=Session.clear_messages, create=False)

    async def aget_messages(self) -> list[BaseMessage]:
        """Return `messages`."""
        return await self._sessions.call(lambda: self.messages)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Do as `add_messages`."""
        await self._sessions.call(self.add_messages, messages)

    async def aclear(self) -> None:
        """Do as `clear`."""
        await self._sessions.call(self.clear)


def _add_all(session: Session, items: list[dict[str, Any]]) -> None:
    for item in items:
        add(session, item)
