"""LlamaIndex's stores of chat messages."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, open_store

from coda_fs_session import SessionError, SessionManager
from coda_fs_session.session.shapes import parts, role

from .kit import AdapterKit, framework, run

framework("llama_index", "llama-index-core")

from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.memory import Memory
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.base_db import MessageStatus

from coda_fs_session.integrations.llama_index import CodaChatStore, CodaMemoryStore
from coda_fs_session.integrations.llama_index.messages import item_of, message_of

ACTIVE, ARCHIVED = MessageStatus.ACTIVE, MessageStatus.ARCHIVED


def say(text: str) -> ChatMessage:
    return ChatMessage(text, role="user")


class TestChatStore(AdapterKit):
    shape = "llama-index"

    def name(self, manager: SessionManager, key: str) -> str:
        return CodaChatStore(manager)._sessions.name(key)

    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        await CodaChatStore(manager).async_add_message(key, say(text))

    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        return [str(each.content) for each in await CodaChatStore(manager).aget_messages(key)]

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        await CodaChatStore(manager).async_add_message(key, ChatMessage("", additional_kwargs={"value": value}))

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        return [each.additional_kwargs["value"] for each in await CodaChatStore(manager).aget_messages(key)]


MESSAGES = [
    say("Where?"),
    ChatMessage(blocks=[ThinkingBlock(content="Hm."), TextBlock(text="a"), TextBlock(text="b")], role="assistant"),
    ChatMessage(blocks=[ToolCallBlock(tool_call_id="1", tool_name="search", tool_kwargs={"q": "é"})], role="assistant"),
    ChatMessage("Crete", role="tool", additional_kwargs={"tool_call_id": "1", "name": "search", "more": [1]}),
    ChatMessage(blocks=[ImageBlock(image=b"\x89PNG", image_mimetype="image/png")], role="user"),
    ChatMessage(role="assistant", additional_kwargs={"tool_calls": [{"id": "2", "function": {"name": "f"}}]}),
    ChatMessage("", role="system"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=range(len(MESSAGES)))
def test_a_message_comes_back_equal(message: ChatMessage) -> None:
    """With every kind of block, and whatever is beside it."""
    assert message_of(item_of(message)) == message


def test_people_see_what_was_said() -> None:
    """Role, words, calls and results stand where all tools of this package look for them."""
    items = list(map(item_of, MESSAGES))
    assert [role(item) for item in items[:4]] == ["user", "assistant", "assistant", "tool"]
    told = [[(part.kind, part.text) for part in parts(item)] for item in items[:4]]
    assert told[0] == [("text", "Where?")]
    assert told[1] == [("reasoning", "Hm."), ("text", "a"), ("text", "b")]
    assert told[3] == [("result", "Crete")]
    call = parts(items[2])[0]
    assert (call.kind, call.name, call.arguments, call.id) == ("call", "search", '{"q":"é"}', "1")
    assert parts(items[4])[0].kind == "image"
    assert parts(items[5])[0].kind == "call"


def test_it_does_what_the_simple_store_does(make: Opener, seed: int) -> None:
    """The same answers and the same messages after each of many changes, and again in a new store object."""
    draw = random.Random(seed)
    with make() as manager:
        ours, theirs = CodaChatStore(manager), SimpleChatStore()
        for number in range(60):
            key = draw.choice("ab")
            count = len(theirs.get_messages(key))
            verb, *args = draw.choice(
                [
                    *[("add_message", say(f"{number}"))] * 5,
                    ("set_messages", [say(f"{number} {each}") for each in range(draw.randrange(4))]),
                    ("delete_message", draw.randrange(count + 2)),
                    *([("delete_last_message",)] if count else []),
                    ("delete_messages",),
                ]
            )
            assert getattr(ours, verb)(key, *args) == getattr(theirs, verb)(key, *args), verb
            assert ours.get_messages(key) == theirs.get_messages(key)
            assert sorted(ours.get_keys()) == sorted(theirs.get_keys())
        again = CodaChatStore(manager)
        assert {key: again.get_messages(key) for key in again.get_keys()} == theirs.store


def test_active_and_archived(make: Opener) -> None:
    """As LlamaIndex's own store in SQL has it: in order, by status, page by page."""

    async def main(store: CodaMemoryStore) -> None:
        assert await store.get_messages("a") == []
        assert await store.archive_oldest_messages("a", 1) == []
        await store.add_messages("a", [])
        assert await store.get_keys() == []
        await store.add_messages("a", [say(f"{number}") for number in range(6)])
        await store.add_message("a", say("old"), ARCHIVED)
        assert texts(await store.archive_oldest_messages("a", 2)) == ["0", "1"]
        assert texts(await store.get_messages("a")) == ["2", "3", "4", "5"]
        assert texts(await store.get_messages("a", ARCHIVED)) == ["0", "1", "old"]
        assert texts(await store.get_messages("a", None, limit=2, offset=1)) == ["1", "2"]
        assert texts(await store.get_messages("a", limit=2, offset=1)) == ["3", "4"]
        assert [await store.count_messages("a", status) for status in (ACTIVE, ARCHIVED, None)] == [4, 3, 7]
        assert texts(await store.delete_oldest_messages("a", 2)) == ["2", "3"]
        deleted = await store.delete_message("a", 0)
        assert deleted is not None
        assert deleted.content == "0"
        assert texts(await store.get_messages("a", ARCHIVED)) == ["1", "old"]
        assert texts(await store.get_messages("a")) == ["4", "5"]
        await store.add_message("a", say("6"))
        assert texts(await store.archive_oldest_messages("a", 3)) == ["4", "5", "6"]
        assert texts(await store.get_messages("a", ARCHIVED)) == ["1", "4", "5", "old", "6"]
        await store.delete_messages("a", ARCHIVED)
        assert await store.count_messages("a", None) == 0
        await store.set_messages("a", [say("new")])
        assert texts(await store.get_messages("a")) == ["new"]
        await store.delete_messages("a")
        assert await store.get_keys() == []

    with make() as manager:
        run(main(CodaMemoryStore(manager)))


@pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")
def test_what_two_machines_have_archived(tmp_path: Path) -> None:
    """Archiving is no side of its own; where both archive and go on, each message is there once after a merge."""
    with open_store(tmp_path / "0") as one, open_store(tmp_path / "1") as two:
        stores = CodaMemoryStore(one), CodaMemoryStore(two)

        async def main() -> None:
            await stores[0].add_messages("a", [say(f"{number}") for number in range(6)])
            one.sync(tmp_path / "1")
            await stores[0].archive_oldest_messages("a", 2)
            await stores[1].add_message("a", say("there"))
            one.sync(tmp_path / "1")
            for store in stores:
                assert await store.get_keys() == ["a"]
                assert texts(await store.get_messages("a")) == ["2", "3", "4", "5", "there"]
                assert texts(await store.get_messages("a", ARCHIVED)) == ["0", "1"]
            for number, store in enumerate(stores):
                await store.add_message("a", say(f"of {number}"))
                await store.archive_oldest_messages("a", 1 + number)
            one.sync(tmp_path / "1")
            for store in stores:
                found = {key: texts(await store.get_messages(key)) for key in await store.get_keys()}
                assert sorted(found.values()) == [["3", "4", "5", "there", "of 0"], ["4", "5", "there", "of 1"]]
            info = one.get_session_info("llama-index/a")
            assert info is not None
            one.branches.merge(info.sides[0], info.name)
            one.sync(tmp_path / "1")
            for store in stores:
                archived = texts(await store.get_messages("a", ARCHIVED))
                assert archived in (["0", "1", "2"], ["0", "1", "2", "3"])
                every = [*archived, *texts(await store.get_messages("a"))]
                assert every == texts(await store.get_messages("a", None))
                assert sorted(every) == sorted([*map(str, range(6)), "there", "of 0", "of 1"])

        run(main())


def test_a_memory(make: Opener) -> None:
    """LlamaIndex's `Memory` archives what is too long for it, and finds the rest again in a new object."""

    async def main(manager: SessionManager) -> None:
        for number in range(2):
            memory = Memory.from_defaults(
                session_id="ann", token_limit=60, token_flush_size=20, chat_store=CodaMemoryStore(manager)
            )
            await memory.aput_messages([say(f"{number} {each} " + "word " * 12) for each in range(4)])
        store = CodaMemoryStore(manager)
        assert await store.count_messages("ann", None) == 8
        active = await store.get_messages("ann")
        assert 0 < len(active) < 8
        assert texts(await memory.aget()) == texts(active)

    with make() as manager:
        run(main(manager))


def test_messages_that_are_none(make: Opener) -> None:
    """A session that somebody has changed by hand is an error, not another message."""
    with make() as manager:
        store = CodaChatStore(manager)
        store.add_message("a", say("one"))
        session = manager.load_session("llama-index/a")
        for message in ({"role": "goose", "content": ""}, {"role": "user", "content": [{"block_type": "egg"}]}):
            session.messages = [message]
            manager.save_session(session)
            with pytest.raises(SessionError, match="none of LlamaIndex's"):
                store.get_messages("a")


def texts(messages: list[ChatMessage]) -> list[str]:
    return [str(each.content) for each in messages]
