"""LangGraph's saver: the suite of LangGraph itself, and what every adapter keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from storekit import Opener

from .kit import AdapterKit, framework

framework("langgraph", "langgraph")

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from coda_fs_session import CorruptionError, SessionExistsError, SessionManager
from coda_fs_session.integrations.langchain import CodaChatMessageHistory
from coda_fs_session.integrations.langgraph import CodaSaver


class TestSaver(AdapterKit):
    """A thread to which a state with one message more is put each time, from the newest that is there."""

    shape = "langchain"

    def name(self, manager: SessionManager, key: str) -> str:
        return CodaSaver(manager)._states._talks.sessions.name(key)

    async def add(self, manager: SessionManager, key: str, text: str) -> None:
        await put_message(CodaSaver(manager), key, HumanMessage(text, id=str(uuid4())))

    async def texts(self, manager: SessionManager, key: str) -> list[str]:
        found = await CodaSaver(manager).aget_tuple(thread(key))
        return [str(each.content) for each in found.checkpoint["channel_values"]["messages"]] if found else []

    async def add_value(self, manager: SessionManager, key: str, value: Any) -> None:
        await put_message(CodaSaver(manager), key, HumanMessage("", additional_kwargs={"value": value}), value)

    async def values(self, manager: SessionManager, key: str) -> list[Any]:
        found = await CodaSaver(manager).aget_tuple(thread(key))
        assert found is not None
        values = [each.additional_kwargs["value"] for each in found.checkpoint["channel_values"]["messages"]]
        assert found.checkpoint["channel_values"]["value"] == values[-1]
        assert found.pending_writes == [("task", "value", values[-1])]
        return values

    merges = False  # A state has the list that it was put with.
    # Two runs of one thread go on from one state, and neither has what the other said: see test_langgraph_beside.
    test_two_processes = test_many_tasks = None  # type: ignore[assignment]


async def put_message(saver: CodaSaver, key: str, message: BaseMessage, value: Any = None) -> RunnableConfig:
    """Put a state with a message more, and a write to it."""
    found = await saver.aget_tuple(thread(key))
    before = found.checkpoint["channel_values"]["messages"] if found else []
    config = await saver.aput(*state(saver, found.config if found else thread(key), [*before, message], value))
    await saver.aput_writes(config, [("value", value)], "task")
    return config


def state(saver: CodaSaver, config: RunnableConfig, messages: list[BaseMessage], value: Any = None, **more: Any) -> Any:
    """Return what `put` is given for a state with these messages."""
    made = empty_checkpoint()
    made["id"] = str(uuid6())
    made["channel_values"] = {"messages": messages, "value": value}
    made["channel_versions"] = {channel: saver.get_next_version(None, None) for channel in made["channel_values"]}
    return config, made, {"source": "loop", "step": 1, "parents": {}, **more}, made["channel_versions"]


def thread(name: str, state: str | None = None, ns: str = "") -> RunnableConfig:
    told = {"thread_id": name, "checkpoint_ns": ns}
    return {"configurable": {**told, "checkpoint_id": state} if state else told}


def said(saver: CodaSaver, config: RunnableConfig) -> list[str]:
    found = saver.get_tuple(config)
    assert found is not None
    return [str(each.content) for each in found.checkpoint["channel_values"]["messages"]]


def talk(*texts: str) -> list[BaseMessage]:
    return [(AIMessage, HumanMessage)[ord(text[-1]) % 2](text, id=text) for text in texts]


@pytest.fixture
def saver(make: Opener) -> Any:
    with make() as manager:
        yield CodaSaver(manager)


def test_conformance() -> None:
    """LangGraph's own suite passes, with every capability that it knows."""
    suite = framework("langgraph.checkpoint.conformance", "langgraph-checkpoint-conformance")

    @suite.checkpointer_test(name="CodaSaver")
    async def savers() -> AsyncIterator[CodaSaver]:
        with SessionManager({"session": {"backend": "memory"}}) as manager:
            yield CodaSaver(manager)

    report = asyncio.run(suite.validate(savers))
    assert report.passed_all()
    assert len(report.results) == 8
    assert all(result.detected for result in report.results.values())


def test_a_list_is_stored_once(saver: CodaSaver) -> None:
    """However many states have it; what another state has more is added, and what it lacks is left out."""
    manager = saver._states._manager
    config = saver.put(*state(saver, thread("a"), talk("1", "2")))
    for texts in (["1", "2", "3"], ["1", "2", "3"], ["1", "3"], ["3"], ["3", "4"], ["1", "2"], ["1", "2", "3", "4"]):
        config = saver.put(*state(saver, config, talk(*texts)))
        assert said(saver, config) == texts
    assert [each["content"] for each in manager.load_session("langgraph/a").get_messages()] == ["1", "2", "3", "4"]
    assert [info.name for info in manager.list_sessions()] == ["langgraph/a"]
    log = manager.load_session("langgraph/a/log").get_messages()
    # Nothing of a state is in its record twice.
    assert all(not record["more"].keys() & {"id", "ts", "channel_values", "channel_versions"} for record in log)


def test_another_way_is_a_branch(saver: CodaSaver) -> None:
    """A list that goes on from an earlier message, or has another one in its place, shares what came before."""
    manager = saver._states._manager
    first = saver.put(*state(saver, thread("a"), talk("1", "2", "3")))
    other = saver.put(*state(saver, first, talk("1", "2", "other")))
    edited = saver.put(*state(saver, first, talk("new", "2", "3")))
    longer = saver.put(*state(saver, other, talk("1", "2", "other", "more")))
    assert said(saver, first) == ["1", "2", "3"]
    assert said(saver, other) == ["1", "2", "other"]
    assert said(saver, edited) == ["new", "2", "3"]
    assert said(saver, longer) == ["1", "2", "other", "more"]
    info = manager.get_session_info("langgraph/a/1")
    assert info is not None
    assert (info.parent, info.forked_at, info.message_count) == ("langgraph/a", 2, 4)
    assert len(manager.list_sessions()) == 3


def test_what_a_crash_left_is_taken_up(saver: CodaSaver) -> None:
    """Messages are stored before the state that has them; the next put goes on with them, or branches away."""
    manager = saver._states._manager
    first = saver.put(*state(saver, thread("a"), talk("1")))
    CodaChatMessageHistory("a", manager, prefix="langgraph/").add_messages(talk("0", "2")[1:])
    assert said(saver, thread("a")) == ["1"]
    assert said(saver, saver.put(*state(saver, first, talk("1", "2", "3")))) == ["1", "2", "3"]
    assert len(manager.list_sessions()) == 1


def test_langchain_and_langgraph_continue_each_other(saver: CodaSaver) -> None:
    """A history of LangChain goes on with a thread's messages, and a thread with those of a history."""
    manager = saver._states._manager
    config = saver.put(*state(saver, thread("a"), talk("1", "2")))
    history = CodaChatMessageHistory("a", manager, prefix="langgraph/")
    assert history.messages == talk("1", "2")
    history.add_messages(talk("1", "2", "3")[2:])
    assert said(saver, config) == ["1", "2"]
    config = saver.put(*state(saver, config, [*history.messages, AIMessage("4", id="4")]))
    assert [each.content for each in history.messages] == ["1", "2", "3", "4"]

    CodaChatMessageHistory("b", manager).add_messages(talk("1", "2"))
    other = CodaSaver(manager, prefix="langchain/")
    assert other.get_tuple(thread("b")) is None
    config = other.put(*state(other, thread("b"), talk("1", "2", "3")))
    assert said(other, config) == ["1", "2", "3"]
    assert len(CodaChatMessageHistory("b", manager).messages) == 3
    assert len(manager.list_sessions()) == 2


def test_a_thread_is_copied_as_branches(saver: CodaSaver) -> None:
    """Nothing is stored a second time; each goes on by itself; what is there is not overwritten."""
    manager = saver._states._manager
    long = f"{'as long as a message may be, ' * 2000}3"
    first = saver.put(*state(saver, thread("a"), talk("1", "2", long)))
    saver.put(*state(saver, first, talk("1", "other")))
    saver.put(*state(saver, thread("a", ns="sub:1"), talk("1", "inner")))
    before = manager.stats().stored_bytes
    saver.copy_thread("a", "b")
    copied, original = (
        [(each.checkpoint, each.metadata) for each in saver.list({"configurable": {"thread_id": name}})]
        for name in "ba"
    )
    assert copied == original
    assert len(copied) == 3
    info = manager.get_session_info("langgraph/b")
    assert info is not None
    assert info.parent == "langgraph/a"
    assert manager.stats().stored_bytes < before + len(long)
    later = saver.put(*state(saver, thread("b"), talk("1", "2", long, "4")))
    assert said(saver, later) == ["1", "2", long, "4"]
    assert said(saver, first) == ["1", "2", long]
    with pytest.raises(SessionExistsError):
        saver.copy_thread("a", "b")
    saver.copy_thread("none", "c")
    saver.delete_thread("a")
    assert saver.get_tuple(thread("a")) is None
    assert said(saver, thread("b", first["configurable"]["checkpoint_id"])) == ["1", "2", long]
    saver.delete_thread("b")
    assert manager.list_sessions(hidden=True) == []
    assert said(saver, saver.put(*state(saver, thread("b"), talk("1", "2")))) == ["1", "2"]
    assert len(list(saver.list(thread("b")))) == 1
    saver.delete_thread("b")
    assert list(saver.list(None)) == []


def test_what_is_pruned_is_gone_and_the_rest_whole(saver: CodaSaver) -> None:
    """The newest state keeps values that only older records had; branches of no state are deleted."""
    manager = saver._states._manager
    first = saver.put(*state(saver, thread("a"), talk("1", "2"), value="kept"))
    branch = saver.put(*state(saver, first, talk("other")))
    saver.put_writes(branch, [("value", 1)], "task")
    found = saver.get_tuple(first)
    assert found is not None
    last = {**found.checkpoint, "id": str(uuid6())}
    config = saver.put(first, last, {"source": "loop", "step": 3, "run_id": "r"}, {})
    saver.put_writes(config, [("value", 2)], "task")
    newest = saver.get_tuple(config)
    assert len(manager.list_sessions()) == 2
    with pytest.raises(ValueError, match="strategy"):
        saver.prune(["a"], strategy="other")
    saver.prune(["a", "none"])
    assert saver.get_tuple(first) is None
    assert saver.get_tuple(config) == newest
    assert [info.name for info in manager.list_sessions()] == ["langgraph/a"]
    again = CodaSaver(manager)
    assert again.get_tuple(config) == newest
    assert said(again, again.put(*state(again, config, talk("1", "2", "3")))) == ["1", "2", "3"]
    saver.delete_for_runs(["r"])
    assert saver.get_tuple(config) is None
    assert said(saver, thread("a")) == ["1", "2", "3"]
    saver.prune(["a"], strategy="delete")
    assert manager.list_sessions(hidden=True) == []


def test_a_branch_that_is_in_use_is_kept(saver: CodaSaver) -> None:
    """Of the branches of a thread those go that no state has any more."""
    manager = saver._states._manager
    first = saver.put(*state(saver, thread("a"), talk("1", "2")))
    saver.put(*state(saver, first, talk("1", "gone")))
    last = saver.put(*state(saver, first, talk("1", "kept")))
    saver.prune(["a"])
    assert said(saver, last) == ["1", "kept"]
    assert [info.name for info in manager.list_sessions(order="name")] == ["langgraph/a", "langgraph/a/2"]


def test_only_what_is_no_json_is_sealed(saver: CodaSaver) -> None:
    """Of a message with a set beside it, as tools give, people and hooks see all the rest."""
    manager = saver._states._manager
    given = ToolMessage("found", id="1", tool_call_id="2", artifact={"rows": {(1, 2)}}, additional_kwargs={"a": (1,)})
    config = saver.put(*state(saver, thread("a"), [given]))
    (item,) = manager.load_session("langgraph/a").get_messages()
    assert item["lc_serde"].keys() == {"artifact"}
    assert (item["content"], item["tool_call_id"], item["additional_kwargs"]) == ("found", "2", {"a": [1]})
    found = saver.get_tuple(config)
    assert found is not None
    (read,) = found.checkpoint["channel_values"]["messages"]
    assert read == InMemorySaver().serde.loads_typed(saver.serde.dumps_typed(given))
    assert CodaChatMessageHistory("a", manager, prefix="langgraph/").messages == [read]


def test_messages_that_are_gone_are_an_error(saver: CodaSaver) -> None:
    """A state never has fewer messages than it had; undo brings them back."""
    manager = saver._states._manager
    config = saver.put(*state(saver, thread("a"), talk("1", "2")))
    CodaChatMessageHistory("a", manager, prefix="langgraph/").clear()
    with pytest.raises(CorruptionError, match=r"has 0 messages.*history"):
        saver.get_tuple(config)
    manager.history("langgraph/a").undo()
    assert said(saver, config) == ["1", "2"]
    manager.delete_session("langgraph/a")
    with pytest.raises(CorruptionError, match="is not there"):
        saver.get_tuple(config)


def test_what_a_hook_takes_out_makes_no_branch(make: Opener) -> None:
    """A list continues the session, given as before a hook changed it and as it was read; also in another saver."""
    with make(redact=[r"sk-[\w-]+"]) as manager:
        saver = CodaSaver(manager)
        given = [HumanMessage("sk-sesame", id="1"), HumanMessage("", id="2", additional_kwargs={"a": (1, 2)})]
        config = saver.put(*state(saver, thread("a"), given))
        config = saver.put(*state(saver, config, [*given, *talk("3")]))
        for each in (saver, CodaSaver(manager)):
            found = each.get_tuple(config)
            assert found is not None
            read = found.checkpoint["channel_values"]["messages"]
            config = each.put(*state(each, config, [*read, *talk(f"{len(read) + 1}")]))
        assert said(saver, config)[1:] == ["", "3", "4", "5"]
        assert len(manager.load_session("langgraph/a")) == 5
        assert len(manager.list_sessions()) == 1


def test_all_threads_are_listed_newest_first(saver: CodaSaver) -> None:
    """Over namespaces and threads, with a limit, a filter, and before a state."""
    put = [
        saver.put(*state(saver, thread(name, ns=ns), talk("1"), who=name))
        for name, ns in [("a", "b"), ("b", ""), ("a", "")]
    ]
    ids = [config["configurable"]["checkpoint_id"] for config in put]
    assert [each.checkpoint["id"] for each in saver.list(None)] == ids[::-1]
    assert [each.checkpoint["id"] for each in saver.list(None, limit=2)] == ids[:0:-1]
    assert [each.checkpoint["id"] for each in saver.list({"configurable": {"thread_id": "a"}})] == [ids[2], ids[0]]
    assert [each.checkpoint["id"] for each in saver.list(None, filter={"who": "b"})] == [ids[1]]
    assert [each.checkpoint["id"] for each in saver.list(None, before=put[1])] == [ids[0]]
    assert list(saver.list(None, limit=0)) == []


class Own(HumanMessage):
    """A class that the strict list has not."""


def test_classes_of_a_program(saver: CodaSaver, caplog: pytest.LogCaptureFixture) -> None:
    """They are made only where the serialiser was told so; people read what they say in any case."""
    manager = saver._states._manager
    config = saver.put(
        *state(saver, thread("a"), [Own("mine", id="1"), HumanMessage("", id="2", additional_kwargs={"a": {1}})])
    )
    strict = saver.get_tuple(config)
    assert strict is not None
    assert type(strict.checkpoint["channel_values"]["messages"][0]) is dict
    wide = CodaSaver(manager, serde=JsonPlusSerializer(allowed_msgpack_modules=[Own]))
    found = wide.get_tuple(config)
    assert found is not None
    assert list(map(type, found.checkpoint["channel_values"]["messages"])) == [Own, HumanMessage]
    assert found.checkpoint["channel_values"]["messages"][1].additional_kwargs == {"a": {1}}
    assert manager.load_session("langgraph/a")[0]["content"] == "mine"
    again = wide.put(*state(wide, config, [*found.checkpoint["channel_values"]["messages"], HumanMessage("3", id="3")]))
    assert len(manager.load_session("langgraph/a")) == 3
    assert said(wide, again) == ["mine", "", "3"]
    assert saver.with_allowlist([(Own.__module__, Own.__qualname__)]).get_tuple(config) == found


def test_a_serialiser_of_its_own_writes_everything(saver: CodaSaver) -> None:
    """With encryption no word of a message is in the store."""

    class Rot:
        def encrypt(self, data: bytes) -> tuple[str, bytes]:
            return "rot", bytes(each ^ 85 for each in data)

        def decrypt(self, _: str, data: bytes) -> bytes:
            return bytes(each ^ 85 for each in data)

    manager = saver._states._manager
    secret = CodaSaver(manager, serde=EncryptedSerializer(Rot()))
    config = secret.put(*state(secret, thread("a"), talk("sesame"), value="sesame", user="sesame"))
    secret.put_writes(config, [("messages", talk("sesame"))], "task")
    assert said(secret, config) == ["sesame"]
    (found,) = secret.list(thread("a"), filter={"user": "sesame"})
    assert found.pending_writes == [("task", "messages", talk("sesame"))]
    (info,) = manager.list_sessions(hidden=True)
    assert "sesame" not in f"{manager.load_session(info.name).get_messages()} {info.metadata}"


def test_values_are_new_each_time(saver: CodaSaver) -> None:
    """LangGraph changes what it was given."""
    config = saver.put(*state(saver, thread("a"), talk("1"), value={"a": [1]}))
    for _ in range(2):
        found = saver.get_tuple(config)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"messages": talk("1"), "value": {"a": [1]}}
        found.checkpoint["channel_values"]["value"]["a"].append(2)
        found.checkpoint["channel_values"]["messages"][0].content = "changed"
        found.checkpoint["versions_seen"]["node"] = {}
        found.metadata["step"] = 99


def test_plain_values_of_every_form(saver: CodaSaver) -> None:
    """Dicts that look like our own forms, versions of other savers, and keys that are no text come back."""
    value = {"$of": [0, 0, 1]}, {"$message": 1, "b": 2}, {"$dict": {"$serde": 1}}, {1: "a"}, b"\x00", {"s": {1, 2}}
    given = state(saver, thread("a"), talk("1"), value=list(value))
    versions = {"messages": 3, "value": "3.0123456789abcdef", "other": "=x", "more": f"{7:032}.0123456789abcdef"}
    given[1]["channel_versions"] = versions
    given[1]["versions_seen"] = {"node": versions}
    config = saver.put(*given)
    found = CodaSaver(saver._states._manager).get_tuple(config)
    assert found is not None
    assert found.checkpoint["channel_values"]["value"] == list(value)
    assert found.checkpoint["channel_versions"] == versions
    assert found.checkpoint["versions_seen"] == {"node": versions}


def test_a_value_is_stored_whether_it_is_said_to_be_new(saver: CodaSaver) -> None:
    """As when the states of another saver are put here, one by one."""
    config, made, metadata, _ = state(saver, thread("a"), talk("1"), value=5)
    found = saver.get_tuple(saver.put(config, made, metadata, {}))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"messages": talk("1"), "value": 5}
