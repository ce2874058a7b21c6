"""The store of chat messages that `Memory` uses: a queue of active ones, and what was archived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from ... import Session, SessionManager
from .chat_store import CodaChatStore
from .messages import ARCHIVED, SHAPE, add_all, item_of, message_of, set_all, taken

_Item = tuple[int, dict[str, Any]]
_R = TypeVar("_R")


class CodaMemoryStore(AsyncDBChatStore):
    """The messages of each key in a session of its own, active or archived, as `Memory` asks for in `chat_store=`.

    Args:
        manager, prefix: as for `CodaChatStore`, which has the same sessions.
    """

    _store: CodaChatStore = PrivateAttr()

    def __init__(self, manager: SessionManager, *, prefix: str = f"{SHAPE}/") -> None:
        super().__init__()
        self._store = CodaChatStore(manager, prefix=prefix)

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        found = await self._find(key, status)
        start = offset or 0
        return [message_of(item) for _, item in found[start : None if limit is None else start + limit]]

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        return len(await self._find(key, status))

    async def add_message(self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE) -> None:
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        items = _with_status(messages, status)
        if items:
            await self._change(key, lambda session: add_all(session, items))

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        items = _with_status(messages, status)
        await self._change(key, lambda session: set_all(session, items))

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Delete the message at a place among all of a key, and return it."""
        return await self._store.adelete_message(key, idx)

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Delete the messages of a status, or the session of a key with all of them."""
        if status is None:
            await self._store.adelete_messages(key)
            return
        await self._change(key, lambda session: taken(session, [place for place, _ in _found(session, status)]), False)

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Delete the oldest active messages, and return them."""
        return await self._change(key, lambda session: taken(session, _oldest(session, n)), False) or []

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Archive the oldest active messages, and return them. None of them is written anew."""

        def step(session: Session) -> list[ChatMessage]:
            places = _oldest(session, n)
            if places:
                session.update_metadata({ARCHIVED: places[-1] + 1})
            return [message_of(session[place]) for place in places]

        return await self._change(key, step, False) or []

    async def get_keys(self) -> list[str]:
        return await self._store.aget_keys()

    async def _find(self, key: str, status: MessageStatus | None) -> list[_Item]:
        def find() -> list[_Item]:
            session = self._store._sessions.find(self._store._sessions.name(key))
            return [] if session is None else list(_found(session, status))

        return await self._store._sessions.call(find)

    async def _change(self, key: str, step: Callable[[Session], _R], create: bool = True) -> _R | None:
        return await self._store._sessions.call(self._store._sessions.change, key, step=step, create=create)


def _found(session: Session, status: MessageStatus | None) -> Iterator[_Item]:
    """Yield the messages of a status, with their places."""
    archived = session.metadata.get(ARCHIVED, 0)
    start = archived if status is MessageStatus.ACTIVE else 0
    wanted = status is MessageStatus.ARCHIVED
    for place, item in enumerate(session.iter_messages(start), start):
        if status is None or (place < archived or "status" in item) == wanted:
            yield place, item


def _oldest(session: Session, count: int) -> list[int]:
    return [place for place, _ in islice(_found(session, MessageStatus.ACTIVE), max(count, 0))]


def _with_status(messages: Sequence[ChatMessage], status: MessageStatus) -> list[dict[str, Any]]:
    more = {"status": status.value} if status is not MessageStatus.ACTIVE else {}
    return [{**item_of(message), **more} for message in messages]
