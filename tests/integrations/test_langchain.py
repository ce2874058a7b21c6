"""LangChain's history of chat messages."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, open_store

from .kit import AdapterKit, framework

framework("langchain_core", "langchain-core")

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory

from coda_fs_session import InvalidMessageError, SessionError, SessionManager
from coda_fs_session.integrations.langchain import CodaChatMessageHistory
from coda_fs_session.integrations.langchain.messages import item_of, message_of
from coda_fs_session.session.shapes import parts, role

CALL = {"name": "search", "args": {"query": "warm"}, "id": "call-1", "type": "tool_call"}
MESSAGES: list[BaseMessage] = [
    SystemMessage("Be brief.", name="rules"),
    HumanMessage("Where?", id="1", additional_kwargs={"a": [1, True, None, 1.5]}),
    HumanMessage([{"type": "text", "text": "This?"}, {"type": "image_url", "image_url": {"url": "https://x/a.png"}}]),
    AIMessage("", tool_calls=[CALL], usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
    ToolMessage("Crete", tool_call_id="call-1", artifact={"rows": [1]}, status="error"),
    ToolMessage(["a", "b"], tool_call_id="call-2"),
    FunctionMessage("found", name="search"),
    ChatMessage("as I said", role="critic"),
    HumanMessage("an extra field", role="not who speaks", when="now"),
    AIMessageChunk("half an ans", id="2", response_metadata={"model_name": "m"}),
    AIMessage(
        "", invalid_tool_calls=[{"name": "a", "args": "{", "id": "3", "error": "no JSON", "type": "invalid_tool_call"}]
    ),
    RemoveMessage("1"),
]


class TestHistory(AdapterKit):
    shape = "langchain"

    def name(self, manager: SessionManager, key: str) -> str:
        return CodaChatMessageHistory(key, manager)._sessions.name(key)

    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        await CodaChatMessageHistory(key, manager).aadd_messages([HumanMessage(text)])

    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        return [str(each.content) for each in await CodaChatMessageHistory(key, manager).aget_messages()]

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        await CodaChatMessageHistory(key, manager).aadd_messages([HumanMessage("", additional_kwargs={"value": value})])

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        found = await CodaChatMessageHistory(key, manager).aget_messages()
        return [each.additional_kwargs["value"] for each in found]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_comes_back_equal(message: BaseMessage) -> None:
    """Of every kind, with every field, in the very types."""
    item = item_of(message)
    back = message_of(dict(item))
    assert type(back) is type(message)
    assert repr(back) == repr(message)
    assert back == message
    assert "lc_serde" not in item


def test_people_see_what_was_said() -> None:
    """Role, words, calls and results stand where all tools of this package look for them."""
    items = list(map(item_of, MESSAGES[:9]))
    told = ["system", "user", "user", "assistant", "tool", "tool", "tool", "critic", "user"]
    assert list(map(role, items)) == told
    assert [[part.kind for part in parts(item)] for item in items[1:5]] == [
        ["text"],
        ["text", "image"],
        ["call"],
        ["result"],
    ]
    call = parts(items[3])[0]
    assert (call.name, call.arguments, call.id) == ("search", '{"query":"warm"}', "call-1")


def test_what_is_no_json_is_refused() -> None:
    """Nothing of it is stored, and the error says what to do."""

    class Own(HumanMessage):
        pass

    with SessionManager({"session": {"backend": "memory"}}) as manager:
        history = CodaChatMessageHistory("a", manager)
        for message in (Own("mine"), HumanMessage("a set", additional_kwargs={"a": {1}})):
            with pytest.raises(InvalidMessageError, match="no JSON"):
                history.add_messages([HumanMessage("good"), message])
        assert history.messages == []
        assert manager.list_sessions() == []


def test_a_list_is_replaced_and_cleared() -> None:
    """As for LangChain's own histories; what was there is in the history of the session."""
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        history: BaseChatMessageHistory = CodaChatMessageHistory("a", manager)
        history.clear()
        history.add_messages([])
        assert manager.list_sessions() == []
        history.add_user_message("one")
        history.add_ai_message("two")
        history.messages = [HumanMessage("three")]
        assert [each.content for each in history.messages] == ["three"]
        history.clear()
        assert history.messages == []
        manager.history("langchain/a").undo()
        assert str(history) == "Human: three"


def test_messages_that_are_none() -> None:
    """A session that somebody has changed by hand is an error, not another message."""
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        history = CodaChatMessageHistory("a", manager)
        history.add_user_message("one")
        session = manager.load_session("langchain/a")
        for message in ({"type": "goose"}, {"type": ["ai"]}, {"type": "ai", "content": 5}, {"role": "user"}):
            session.messages = [message]
            manager.save_session(session)
            with pytest.raises(SessionError, match="none of LangChain's"):
                _ = history.messages


def test_a_runnable_with_a_history(tmp_path: Path) -> None:
    """LangChain's own runnable asks a new history each time, here in two processes' managers."""
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("past"), ("human", "{text}")])
    for number in range(2):
        with open_store(tmp_path / "store") as manager:
            model = GenericFakeChatModel(messages=iter([AIMessage(f"answer {number}")]))
            chain = RunnableWithMessageHistory(
                prompt | model,
                lambda session_id, manager=manager: CodaChatMessageHistory(session_id, manager),
                input_messages_key="text",
                history_messages_key="past",
            )
            asyncio.run(chain.ainvoke({"text": f"question {number}"}, {"configurable": {"session_id": "ann"}}))
            told = [str(each.content) for each in CodaChatMessageHistory("ann", manager).messages]
            assert told[-2:] == [f"question {number}", f"answer {number}"]
            assert len(told) == 2 * (number + 1)


def test_what_langgraph_sealed_needs_langgraph(monkeypatch: pytest.MonkeyPatch, make: Opener) -> None:
    """Without it the error says what to install."""
    monkeypatch.setitem(sys.modules, "langgraph.checkpoint.serde.jsonplus", None)
    with make() as manager:
        history = CodaChatMessageHistory("a", manager)
        history.add_user_message("one")
        session = manager.load_session("langchain/a")
        session.add_message({"role": "user", "content": "", "type": "human", "lc_serde": ["msgpack", "wA=="]})
        manager.save_session(session)
        with pytest.raises(SessionError, match="pip install"):
            _ = history.messages
