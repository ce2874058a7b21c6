"""The store of chat messages that chat engines use."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.storage.chat_store.base import BaseChatStore

from ... import Session, SessionManager
from ..escapes import add
from ..sessions import FrameworkSessions
from .messages import SHAPE, item_of, message_of, set_all, taken

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _as_coroutine(
    verb: Callable[Concatenate[CodaChatStore, _P], _R],
) -> Callable[Concatenate[CodaChatStore, _P], Coroutine[Any, Any, _R]]:
    async def call(store: CodaChatStore, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await store._sessions.call(verb, store, *args, **kwargs)

    return call


class CodaChatStore(BaseChatStore):
    """The messages of each key in a session of its own, for chat engines. What a call has changed is durable.

    Args:
        manager: whose store it is. It stays the program's to close.
        prefix: names of sessions begin with it; the key follows.
    """

    _sessions: FrameworkSessions = PrivateAttr()

    def __init__(self, manager: SessionManager, *, prefix: str = f"{SHAPE}/") -> None:
        super().__init__()
        self._sessions = FrameworkSessions(manager, SHAPE, prefix)

    @classmethod
    def class_name(cls) -> str:
        return "CodaChatStore"

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        items = list(map(item_of, messages))
        self._sessions.change(key, step=lambda session: set_all(session, items))

    def get_messages(self, key: str) -> list[ChatMessage]:
        session = self._sessions.find(self._sessions.name(key))
        return [] if session is None else list(map(message_of, session.get_messages()))

    def add_message(self, key: str, message: ChatMessage) -> None:
        item = item_of(message)
        self._sessions.change(key, step=lambda session: add(session, item))

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Delete the session of a key, which can be restored, and return what it had; None where there is none."""
        name = self._sessions.name(key)
        with self._sessions.locked(name):
            session = self._sessions.find(name)
            found = None if session is None else list(map(message_of, session.get_messages()))
            if session is not None:
                self._sessions.manager.delete_session(name, missing_ok=True)
            return found

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        def step(session: Session) -> ChatMessage | None:
            place = idx + len(session) if idx < 0 else idx
            return taken(session, [place])[0] if 0 <= place < len(session) else None

        return self._sessions.change(key, step=step, create=False)

    def delete_last_message(self, key: str) -> ChatMessage | None:
        return self.delete_message(key, -1)

    def get_keys(self) -> list[str]:
        return [key[0] for key in map(self._sessions.key, self._sessions.infos()) if key]

    aset_messages = _as_coroutine(set_messages)
    aget_messages = _as_coroutine(get_messages)
    async_add_message = _as_coroutine(add_message)
    adelete_messages = _as_coroutine(delete_messages)
    adelete_message = _as_coroutine(delete_message)
    adelete_last_message = _as_coroutine(delete_last_message)
    aget_keys = _as_coroutine(get_keys)
