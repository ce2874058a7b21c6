"""The adapter of the OpenAI Agents SDK."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from storekit import Opener, open_store

from coda_fs_session import SessionManager

from .kit import KEY, AdapterKit, framework, run

framework("agents", "openai-agents")

from agents import Agent, Runner, SessionSettings
from agents.extensions.memory.advanced_sqlite_session import AdvancedSQLiteSession
from agents.memory import OpenAIResponsesCompactionSession
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tool import function_tool
from agents.usage import Usage

from coda_fs_session.integrations.openai_agents import CodaSession


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


class TestKit(AdapterKit):
    shape = "openai-agents"

    def name(self, manager: SessionManager, key: str) -> str:
        return CodaSession(key, manager)._sessions.name(key)

    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        await CodaSession(key, manager).add_items([user(text)])

    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        return [item["content"] for item in await CodaSession(key, manager).get_items()]

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        await CodaSession(key, manager).add_items([{"type": "function_call_output", "output": value}])

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        return [item["output"] for item in await CodaSession(key, manager).get_items()]


@pytest.fixture
def manager(make: Opener) -> Any:
    with make() as manager:
        yield manager


def test_limits(manager: SessionManager) -> None:
    """A limit of the call counts before that of the settings; 0 gives nothing, a negative one everything."""

    async def main() -> None:
        session = CodaSession("a", manager, session_settings=SessionSettings(limit=2))
        assert await session.get_items() == []
        assert await session.pop_item() is None
        await session.add_items([])
        await session.clear_session()
        assert manager.list_sessions(hidden=True) == []
        items = [user(str(number)) for number in range(4)]
        await session.add_items(items)
        assert await session.get_items() == items[2:]
        assert await session.get_items(3) == items[1:]
        assert await session.get_items(0) == []
        assert await session.get_items(-1) == items
        assert await session.pop_item() == items[3]
        assert await CodaSession("a", manager).get_items() == items[:3]

    run(main())


def test_a_batch_is_whole(manager: SessionManager) -> None:
    """One item that JSON has no form for, and none of the batch is added."""

    async def main() -> None:
        session = CodaSession("a", manager)
        for _ in range(2):
            with pytest.raises(TypeError):
                await session.add_items([user("one"), {"role": "user", "content": object()}])
            assert await session.get_items() == ([] if _ == 0 else [user("zero")])
            if _ == 0:
                await session.add_items([user("zero")])

    run(main())


def test_clearing_can_be_undone(manager: SessionManager) -> None:
    """What was cleared is in the history, branches too."""

    async def main() -> None:
        session = CodaSession("a", manager)
        await session.add_items([user("one"), user("two")])
        branch = await session.create_branch_from_turn(2, "b")
        assert branch == "b"
        await session.clear_session()
        assert await session.get_items() == []
        assert [each["branch_id"] for each in await session.list_branches()] == ["main"]
        manager.history("openai-agents/a").undo()
        manager.history("openai-agents/a/b").restore()
        assert await session.get_items() == [user("one"), user("two")]
        assert await session.get_items(branch_id="b") == [user("one")]

    run(main())


def test_branches(manager: SessionManager) -> None:
    """A branch has what came before a turn, goes its own way, and its names are those of `AdvancedSQLiteSession`."""

    async def main() -> None:
        session = CodaSession(KEY * 80, manager)
        one, two = user("About Spain"), user("About Crete")
        answer = {"role": "assistant", "content": "Fine."}
        await session.add_items([one, answer, two, answer])
        assert [each["turn"] for each in await session.find_turns_by_content("ABOUT")] == [1, 2]
        assert await session.create_branch_from_content("crete", "islands") == "islands"
        assert await session.get_items() == [one, answer]
        await session.add_items([user("Madeira")])
        for wrong in ("islands", " "):
            with pytest.raises(ValueError, match=r"exists already|empty"):
                await session.create_branch_from_turn(1, wrong)
        with pytest.raises(ValueError, match="does not exist"):
            await session.create_branch_from_turn(3)
        made = [await session.create_branch_from_turn(1) for _ in range(1)]
        assert await session.get_items() == []
        with pytest.raises(ValueError, match="current"):
            await session.delete_branch(made[0])
        await session.delete_branch(made[0], force=True)
        assert await session.get_items() == [one, answer, two, answer]
        listed = await CodaSession(KEY * 80, manager).list_branches()
        assert [(each["branch_id"], each["message_count"], each["user_turns"]) for each in listed] == [
            ("main", 4, 2),
            ("islands", 3, 2),
        ]
        assert [each["is_current"] for each in listed] == [True, False]
        await session.switch_to_branch("islands")
        assert (await session.get_items())[-1] == user("Madeira")
        for wrong in ("main", "nowhere"):
            with pytest.raises(ValueError, match=r"main|does not exist"):
                await session.delete_branch(wrong)
        with pytest.raises(ValueError, match="does not exist"):
            await session.switch_to_branch("nowhere")

    run(main())


def test_tools_as_the_own_store_of_the_sdk_counts_them(manager: SessionManager) -> None:
    """The tools of each turn, and the types of its items, are those that `AdvancedSQLiteSession` tells."""
    items: list[Any] = [
        {"type": "web_search_call", "id": "0"},
        user("first"),
        {"type": "function_call", "name": "weather", "arguments": "{}", "call_id": "1"},
        {"type": "function_call", "name": "weather", "arguments": "{}", "call_id": "2"},
        {"type": "function_call", "name": "find", "namespace": "files", "arguments": "{}", "call_id": "3"},
        {"type": "function_call", "name": "alone", "namespace": "alone", "arguments": "{}", "call_id": "4"},
        {"type": "function_call_output", "call_id": "1", "output": "sunny"},
        {"type": "mcp_call", "server_label": "notes", "name": "read", "id": "5", "arguments": "{}"},
        {"type": "mcp_approval_request", "server_label": "notes", "id": "6", "arguments": "{}"},
        {"type": "mcp_call", "server_label": "", "name": "read", "id": "7", "arguments": "{}"},
        {"type": "tool_search_output", "id": "8"},
        {"role": "assistant", "content": "Sunny."},
        user("second"),
        {"type": "tool_search_call", "id": "9"},
        {"type": "tool_search_output", "id": "10"},
        *({"type": kind, "id": kind} for kind in ("shell_call", "apply_patch_call", "computer_call")),
        {"type": "custom_tool_call", "name": "mine", "input": "", "call_id": "11"},
        {"type": "reasoning", "id": "12", "summary": []},
        {"content": "of no type"},
    ]

    async def main() -> None:
        ours, theirs = CodaSession("a", manager), AdvancedSQLiteSession(session_id="a", create_tables=True)
        assert await ours.get_tool_usage() == []
        assert await ours.get_conversation_by_turns() == {}
        for session in (ours, theirs):
            await session.add_items(items)
        assert await ours.get_tool_usage() == sorted(await theirs.get_tool_usage(), key=lambda use: (use[2], use[0]))
        assert await ours.get_conversation_by_turns() == await theirs.get_conversation_by_turns()
        await ours.create_branch_from_turn(2, "early")
        assert {turn for _, _, turn in await ours.get_tool_usage()} == {0, 1}
        assert {turn for _, _, turn in await ours.get_tool_usage("main")} == {0, 1, 2}
        theirs.close()

    run(main())


def test_a_run_with_tools_and_its_usage(manager: SessionManager) -> None:
    """The runner goes on from what is stored, and the usage of a turn is that of the turn, as long as it is there."""

    @function_tool
    def weather(place: str) -> str:
        return f"Sunny in {place}"

    async def main() -> None:
        steps = [[function_call("weather", {"place": "Crete"}, call_id="c1")], [assistant_message("Go to Crete.")]]
        model = ScriptedModel([*steps, [assistant_message("In June.")]])
        agent = Agent(name="guide", model=model, tools=[weather])
        session = CodaSession("a", manager)
        result = await Runner.run(agent, "Where is it warm?", session=session)
        result.context_wrapper.usage.input_tokens = 12
        await session.store_run_usage(result)
        assert len(await session.get_items()) == 4
        again = CodaSession("a", manager)
        result = await Runner.run(agent, "When?", session=again)
        assert result.final_output == "In June."
        assert "Sunny in Crete" in str(model.calls[-1].input)
        result.context_wrapper.usage.input_tokens = 30
        await again.store_run_usage(result)
        total = await again.get_session_usage()
        assert total is not None
        assert (total["input_tokens"], total["total_turns"]) == (42, 2)
        usage = await again.get_turn_usage(2)
        assert isinstance(usage, dict)
        assert usage["input_tokens"] == 30
        assert [info.name for info in manager.list_sessions()] == ["openai-agents/a"]
        await again.pop_item()
        await again.pop_item()
        assert await again.get_turn_usage(2) == {}
        assert await again.get_session_usage("nowhere") is None

    run(main())


@pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")
@pytest.mark.parametrize("number", range(3))
def test_usage_and_branches_of_two_machines(tmp_path: Path, number: int) -> None:
    """Which machine's side has a name is decided for each session alone: usage is found, and no branch is lost."""
    with open_store(tmp_path / "0") as one, open_store(tmp_path / "1") as two:

        async def say(manager: SessionManager, text: str, tokens: int, branch: str | None = None) -> None:
            session = CodaSession("a", manager)
            if branch is not None:
                await session.create_branch_from_turn(1, branch)
            await session.add_items([user(text), {"role": "assistant", "content": "Fine."}])
            usage = Usage(requests=1, input_tokens=tokens, output_tokens=0, total_tokens=tokens)
            await session.store_run_usage(SimpleNamespace(context_wrapper=SimpleNamespace(usage=usage)))

        async def main() -> None:
            await say(one, "first", 1)
            one.sync(tmp_path / "1")
            for tokens, manager in ((10, one), (100, two)):
                await say(manager, f"of {tokens}", tokens)
                await say(manager, f"aside of {tokens}", 2 * tokens, "aside")
            one.sync(tmp_path / "1")
            for manager in (one, two):
                session = CodaSession("a", manager)
                for branch, factor in (("main", 1), ("aside", 2)):
                    items = await session.get_items(branch_id=branch)
                    told = await session.get_turn_usage(len(items) // 2, branch)
                    assert isinstance(told, dict)
                    assert told["input_tokens"] == factor * int(items[-2]["content"].split()[-1])
                branches = [each["branch_id"] for each in await session.list_branches()]
                assert len(branches) == 3
                texts = [(await session.get_items(branch_id=each))[-2]["content"] for each in branches]
                assert {"aside of 10", "aside of 100"} < set(texts)
                for each in branches:
                    await session.switch_to_branch(each)
            info = two.get_session_info("openai-agents/a")
            assert info is not None
            two.branches.merge(info.sides[0], info.name)
            total = await CodaSession("a", two).get_session_usage("main")
            assert total is not None
            assert (total["input_tokens"], total["total_turns"]) == (111, 3)
            one.sync(tmp_path / "1")
            assert await CodaSession("a", one).get_session_usage("main") == total

        run(main())


def test_compaction(manager: SessionManager) -> None:
    """The end is replaced in one save where it is as it was, expired items at the front go, and all can be undone."""

    async def main() -> None:
        session = CodaSession("a", manager)
        items = [user(str(number)) for number in range(6)]
        await session.add_items(items)
        snapshot = await session._get_compaction_snapshot(3, prune_prefix=lambda item: item["content"] < "2")
        assert snapshot is not None
        assert (snapshot.items, snapshot.complete) == (items[3:], False)
        snapshot.items[0]["content"] = "changed by the SDK"
        assert await snapshot.replace_suffix(1, [user("summary")])
        assert await session.get_items() == [*items[2:4], user("summary")]
        assert not await snapshot.replace_suffix(1, [user("again")])
        assert not await snapshot.replace_suffix(3, [])
        manager.history("openai-agents/a").undo()
        assert await session.get_items() == items
        assert OpenAIResponsesCompactionSession("a", underlying_session=session, client=object())

        class Sealed(CodaSession):
            async def add_items(self, items: Any) -> None: ...

        assert await Sealed("a", manager)._get_compaction_snapshot(3) is None

    run(main())


def test_closing(manager: SessionManager) -> None:
    """A session that is closed takes no calls; the manager goes on."""
    session = CodaSession("a", manager)
    session.close()
    for call in (session.get_items(), session.add_items([]), session.pop_item(), session.clear_session()):
        with pytest.raises(RuntimeError, match="closed"):
            run(call)
    assert manager.list_sessions() == []
