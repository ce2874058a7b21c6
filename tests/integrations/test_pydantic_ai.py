"""The adapter of pydantic-ai."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from storekit import Opener, open_store

from coda_fs_session import CorruptionError, SessionManager

from .kit import VALUES, AdapterKit, framework, run

framework("pydantic_ai", "pydantic-ai-slim")

from pydantic_ai import Agent, BinaryContent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict, ConversationStore, InMemoryConversationStore
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.test import TestModel as ScriptedModel

from coda_fs_session.integrations.pydantic_ai import CodaConversationStore


class TestKit(AdapterKit):
    shape = "pydantic-ai"

    # Each entry says which one it follows, and a merge leaves that.
    merges = False
    # What pydantic itself refuses to write, the framework cannot store in JSON.
    given: ClassVar[Any] = {key: value for key, value in VALUES.items() if key != "keys"}
    depth = 240

    def name(self, manager: SessionManager, key: str) -> str:
        return CodaConversationStore(manager)._sessions.name(key)

    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        await self.add_message(manager, key, ModelRequest(parts=[UserPromptPart(text)]))

    async def add_message(self, manager: SessionManager, key: str, message: ModelMessage) -> None:
        store = CodaConversationStore(manager)
        while True:
            conversation = await store.load(key) or Conversation(conversation_id=key)
            conversation.messages.append(message)
            try:
                await store.save(conversation)
                return
            except ConversationConflict:
                # What the framework says is to be done then.
                continue

    async def messages(self, manager: SessionManager, key: str) -> list[Any]:
        conversation = await CodaConversationStore(manager).load(key)
        return [] if conversation is None else [message.parts[0] for message in conversation.messages]

    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        return [part.content for part in await self.messages(manager, key)]

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        await self.add_message(manager, key, ModelResponse(parts=[ToolCallPart("tool", value, tool_call_id="1")]))

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        return [part.args for part in await self.messages(manager, key)]


@pytest.fixture
def manager(make: Opener) -> Iterator[SessionManager]:
    with make() as manager:
        yield manager


NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def said(text: str) -> ModelMessage:
    file = BinaryContent(data=b"\0\xff", media_type="application/pdf")
    return ModelRequest(parts=[UserPromptPart([text, file], timestamp=NOON)], timestamp=NOON)


@pytest.mark.parametrize("number", range(8))
def test_histories_are_those_of_the_store_in_memory(make: Opener, seed: int, number: int) -> None:
    """Saves, rewritten histories, branches, forks, deletes: what is read then is equal, from a new store too."""
    draw = random.Random(f"{seed} {number}")

    async def main(manager: SessionManager) -> None:
        stores: list[ConversationStore] = [InMemoryConversationStore(), CodaConversationStore(manager)]
        held: list[dict[str, Conversation]] = [{}, {}]
        for step in range(25):
            await _same_step(draw.getrandbits(32), step, stores, held)
            if draw.random() < 0.3:
                stores[1] = CodaConversationStore(manager)
            assert await _shown(stores[0]) == await _shown(stores[1])

    with make() as manager:
        run(main(manager))


async def _same_step(
    chosen: int, step: int, stores: list[ConversationStore], held: list[dict[str, Conversation]]
) -> None:
    outcomes = []
    for store, conversations in zip(stores, held, strict=True):
        draw = random.Random(chosen)
        key = draw.choice("ab")
        action = draw.choice(["say", "say", "say", "rewrite", "branch", "back", "fork", "load", "delete", "stale"])
        try:
            outcomes.append(await _step(store, conversations, action, key, step, draw))
        except UserError as error:
            outcomes.append(type(error).__name__)
    assert outcomes[0] == outcomes[1]


async def _step(
    store: ConversationStore, held: dict[str, Conversation], action: str, key: str, step: int, draw: random.Random
) -> object:
    loaded = held.get(key) if action == "stale" else await store.load(key, limit=draw.choice([None, None, 2]))
    conversation = loaded or Conversation(conversation_id=key)
    held[key] = conversation
    count = len(conversation.messages)
    if action in ("say", "stale"):
        conversation.messages += [said(f"{step}"), ModelResponse(parts=[TextPart("fine")], timestamp=NOON)]
        return len(await store.save(conversation, scope=draw.choice([None, None, "ann"])))
    if action == "rewrite":
        conversation.messages = [*conversation.messages[: draw.randint(0, count)], said(f"{step} anew")]
        conversation.new_message_index = None
        return len(await store.save(conversation))
    if loaded is None or loaded.revision is None:
        return None
    entries = await store.load_entries(key) or []
    at = draw.randint(0, len(entries))
    if action == "branch":
        return len((await store.branch(key, at=at, expected_revision=loaded.revision)).messages)
    if action == "back":
        tips = next(each for each in await store.list_conversations() if each.conversation_id == key).branches
        if not tips:
            return None
        tip = tips[draw.randrange(len(tips))]
        return len((await store.branch(key, from_entry=tip, expected_revision=loaded.revision)).messages)
    if action == "fork":
        return len((await store.fork(key, at=at, new_conversation_id=draw.choice("abc"))).messages)
    if action == "delete":
        await store.delete(key)
    return None


async def _shown(store: ConversationStore) -> list[object]:
    shown: list[object] = []
    for record in sorted(await store.list_conversations(), key=lambda record: record.conversation_id):
        entries = await store.load_entries(record.conversation_id)
        tail = await store.load(record.conversation_id, limit=1)
        assert entries is not None
        assert tail is not None
        assert [entry.parent_id for entry in entries] == [None, *(entry.id for entry in entries)][: len(entries)]
        assert record.head_id == (entries[-1].id if entries else None)
        lines = [[entry.message for entry in await store.read_history(tip)] for tip in record.branches]
        shown.append((record.conversation_id, record.scope, record.forked_from, lines))
        shown.append(([entry.message for entry in entries], tail.messages))
    return shown


def test_a_run_goes_on(manager: SessionManager) -> None:
    """The framework's own loop: load, run, save; then a fork that shares what it has in common."""

    async def main() -> None:
        store, agent = CodaConversationStore(manager), Agent(ScriptedModel(custom_output_text="Crete."))
        for number in range(3):
            conversation = await store.load("trip") or Conversation(conversation_id="trip")
            result = await agent.run(f"question {number}", conversation=conversation)
            assert len(await store.save(result)) == 2
        again = await store.load("trip")
        assert again is not None
        assert len(again.messages) == 6
        assert again.usage.requests == 3
        fork = await store.fork("trip", at=2)
        assert len(fork.messages) == 2
        info = manager.get_session_info(f"pydantic-ai/{fork.conversation_id}")
        assert info is not None
        assert (info.parent, info.forked_at) == ("pydantic-ai/trip", 2)
        with pytest.raises(LookupError):
            await store.read_entry("nowhere")

    run(main())


def test_what_is_left_is_hidden(manager: SessionManager) -> None:
    """A history that was rewritten is there for the framework, and not in lists."""

    async def main() -> None:
        store = CodaConversationStore(manager)
        conversation = Conversation(conversation_id="a", messages=[said("one"), said("two")])
        await store.save(conversation)
        assert conversation.revision is not None
        await store.branch("a", at=1, expected_revision=conversation.revision)
        assert [info.name for info in manager.list_sessions()] == ["pydantic-ai/a"]
        assert len(manager.list_sessions(hidden=True)) == 2
        await store.delete("a")
        assert manager.list_sessions(hidden=True) == []

    run(main())


@pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")
def test_two_machines(tmp_path: Path) -> None:
    """What both have saved while apart are two conversations on both; a save over one that came in is refused."""
    with open_store(tmp_path / "0") as one, open_store(tmp_path / "1") as two:
        stores = CodaConversationStore(one), CodaConversationStore(two)

        async def main() -> None:
            await stores[0].save(Conversation(conversation_id="a", messages=[said("first")]))
            one.sync(tmp_path / "1")
            held = []
            for number, store in enumerate(stores):
                conversation = await store.load("a")
                assert conversation is not None
                conversation.messages += [said(f"{number}"), said(f"{number} more")]
                await store.save(conversation)
                held.append(conversation)
            one.sync(tmp_path / "1")
            for store in stores:
                records = await store.list_conversations()
                assert len({record.conversation_id for record in records}) == 2
                assert {record.revision for record in records} == {each.revision for each in held}
                for record in records:
                    loaded = await store.load(record.conversation_id)
                    assert loaded is not None
                    (same,) = (each for each in held if each.revision == loaded.revision)
                    assert loaded.messages == same.messages
            loaded = await stores[0].load("a")
            assert loaded is not None
            (lost,) = (each for each in held if each.revision != loaded.revision)
            lost.messages.append(said("on"))
            with pytest.raises(ConversationConflict):
                await stores[held.index(lost)].save(lost)
            (side,) = (each for each in await stores[0].list_conversations() if each.conversation_id != "a")
            other = await stores[0].load(side.conversation_id)
            assert other is not None
            other.messages.append(said("on"))
            await stores[0].save(other)
            again = await stores[0].load(side.conversation_id)
            assert again is not None
            assert again.messages == lost.messages

        run(main())


@pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")
@pytest.mark.parametrize("limit", [None, 1, 2, 3])
def test_what_a_merge_has_put_in_between(tmp_path: Path, limit: int | None) -> None:
    """An entry has the history that it was saved with, also where the session has others before it now."""
    with open_store(tmp_path / "0") as one, open_store(tmp_path / "1") as two:
        stores = CodaConversationStore(one), CodaConversationStore(two)

        async def main() -> None:
            await stores[0].save(Conversation(conversation_id="a", messages=[said("first")]))
            one.sync(tmp_path / "1")
            heads = {}
            for number, store in enumerate(stores):
                conversation = await store.load("a")
                assert conversation is not None
                conversation.messages += [said(f"{number}"), said(f"{number} more")]
                heads[(await store.save(conversation))[-1].id] = conversation.messages
            one.sync(tmp_path / "1")
            info = one.get_session_info("pydantic-ai/a")
            assert info is not None
            one.branches.merge(info.sides[0], info.name)
            assert len(one.load_session(info.name)) == 5
            for head, messages in heads.items():
                found = await stores[0].read_history(head, limit=limit)
                assert [entry.message for entry in found] == messages[-(limit or 0) :]
            session = one.load_session(info.name)
            session.messages = session.messages[1:]
            one.save_session(session)
            with pytest.raises(CorruptionError, match="lacks the entry"):
                await stores[0].read_history(session[-1]["coda_fs_session.entry"]["id"])

        run(main())
