"""A saver that has another one beside it, and a graph that uses most of what LangGraph has."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict


class Twin(BaseCheckpointSaver[str]):
    """Puts everything into two savers, and checks that they give the same answers."""

    def __init__(self, saver: BaseCheckpointSaver[str]) -> None:
        super().__init__(serde=saver.serde)
        self.saver = saver
        self.other = InMemorySaver(serde=saver.serde)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = self.saver.get_tuple(config)
        assert_same(found, self.other.get_tuple(config))
        return found

    def list(self, config: RunnableConfig | None, **query: Any) -> Iterator[CheckpointTuple]:
        found = list(self.saver.list(config, **query))
        expected = list(self.other.list(config, **query))
        if config is None or config["configurable"].get("checkpoint_ns") is None:
            found, expected = (sorted(each, key=_place) for each in (found, expected))
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
        return iter(found)

    def put(self, config: RunnableConfig, *given: Any) -> RunnableConfig:
        told = self.saver.put(config, *given)
        assert told == self.other.put(config, *given)
        return told

    def put_writes(self, config: RunnableConfig, *given: Any) -> None:
        self.saver.put_writes(config, *given)
        self.other.put_writes(config, *given)

    def get_delta_channel_history(self, *, config: RunnableConfig, channels: Sequence[str]) -> Mapping[str, Any]:
        found = self.saver.get_delta_channel_history(config=config, channels=channels)
        assert found == self.other.get_delta_channel_history(config=config, channels=channels)
        return found

    def get_next_version(self, current: str | None, channel: None) -> str:
        return self.saver.get_next_version(current, channel)

    def check(self, saver: BaseCheckpointSaver[str] | None = None) -> int:
        """Compare every state of every thread; return how many there are."""
        saver = saver or self.saver
        count = 0
        for thread in self.other.storage:
            config: RunnableConfig = {"configurable": {"thread_id": thread}}
            found, expected = (sorted(each.list(config), key=_place) for each in (saver, self.other))
            assert list(map(_place, found)) == list(map(_place, expected))
            for one, other in zip(found, expected, strict=True):
                assert_same(one, other)
            count += len(found)
        return count


def assert_same(one: CheckpointTuple | None, other: CheckpointTuple | None) -> None:
    if one is None or other is None:
        assert one is other is None
        return
    assert _place(one) == _place(other)
    assert types(one.checkpoint) == types(other.checkpoint)
    assert one.metadata == other.metadata
    assert one.pending_writes == other.pending_writes
    assert types(one.pending_writes) == types(other.pending_writes)
    assert (one.parent_config or {}).get("configurable") == (other.parent_config or {}).get("configurable")


def types(value: Any) -> Any:
    """Return a value with its types, so that 1 is not True."""
    if isinstance(value, dict):
        return {key: types(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value), [types(each) for each in value]
    return type(value), value


def _place(found: CheckpointTuple) -> tuple[str, ...]:
    return tuple(found.config["configurable"].get(key, "") for key in ("thread_id", "checkpoint_ns", "checkpoint_id"))


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    steps: Annotated[list[str], operator.add]
    approved: Any
    pair: tuple[int, str]


class Inner(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    depth: int


def new_id() -> str:
    # LangGraph gives one to a message that has none, in its place, while another thread stores it.
    return str(uuid4())


def model(state: State) -> dict[str, Any]:
    last = state["messages"][-1]
    if isinstance(last, HumanMessage) and "tool" in last.content:
        call = {"name": "search", "args": {"query": "é", "limit": 3}, "id": "call-1"}
        return {"messages": [AIMessage("", id=new_id(), tool_calls=[call])], "steps": ["call"]}
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    answer = AIMessage(
        f"answer to {last.content}", id=new_id(), usage_metadata=usage, response_metadata={"model_name": "scripted"}
    )
    return {"messages": [answer], "steps": ["say"], "pair": (len(state["messages"]), "two")}


def tools(state: State) -> dict[str, Any]:
    found = ToolMessage("found", id=new_id(), tool_call_id="call-1", artifact={"rows": [(1, 2)], "tags": {"a"}})
    return {"messages": [found], "steps": ["tool"]}


def ask(state: State) -> dict[str, Any]:
    if "ask" not in state["messages"][-2].content:
        return {}
    return {"approved": interrupt({"question": "may I?"})}


def forget(state: State) -> dict[str, Any]:
    if "forget" not in str(state["messages"][0].content):
        return {}
    return {"messages": [RemoveMessage(state["messages"][0].id), SystemMessage("There was more.", id=new_id())]}


def spread(state: State) -> list[Send] | str:
    if "spread" in str(state["messages"][-2].content):
        return [Send("worker", {"messages": state["messages"], "number": number}) for number in range(3)]
    return "inner"


def worker(state: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [AIMessage(f"part {state['number']}", id=new_id())], "steps": [f"worker {state['number']}"]}


def route(state: State) -> str:
    return "tools" if getattr(state["messages"][-1], "tool_calls", None) else "ask"


def graph(saver: BaseCheckpointSaver[str]) -> Any:
    """Return a graph with tools, an interrupt, parallel tasks, a sub-graph and a removal."""
    inner = StateGraph(Inner)
    inner.add_node("think", lambda state: {"messages": [AIMessage("inside", id=new_id())], "depth": 1})
    inner.add_node("wait", lambda state: {"depth": interrupt("deeper?") if "deep" in _said(state) else 2})
    inner.add_edge(START, "think")
    inner.add_edge("think", "wait")
    outer = StateGraph(State)
    for node in (model, tools, ask, forget, worker):
        outer.add_node(node.__name__, node)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "model")
    outer.add_conditional_edges("model", route, ["tools", "ask"])
    outer.add_edge("tools", "model")
    outer.add_conditional_edges("ask", spread, ["worker", "inner"])
    outer.add_edge("worker", "inner")
    outer.add_edge("inner", "forget")
    outer.add_edge("forget", END)
    return outer.compile(checkpointer=saver)


def _said(state: Inner) -> str:
    return " ".join(str(each.content) for each in state["messages"])


def scenario(made: Any, thread: str, durability: str) -> None:
    """Run the graph through all that it has, and back to an earlier state."""
    config: RunnableConfig = {"configurable": {"thread_id": thread}}

    def say(given: Any, config: RunnableConfig = config) -> Any:
        return made.invoke(given, config, durability=durability)

    def user(text: str) -> dict[str, Any]:
        return {"messages": [HumanMessage(text, id=new_id())]}

    say(user("hello"))
    say(user("use a tool"))
    say(user("ask me"))
    say(Command(resume="yes"))
    say(user("deep"))
    say(Command(resume=7))
    say(user("spread"))
    say(user("more"))
    talks = [each for each in made.get_state_history(config) if len(each.values.get("messages", ())) >= 2]
    middle = min(talks, key=lambda each: len(each.values["messages"]))
    say(user("another way"), middle.config)
    edited = made.update_state(
        middle.config, {"messages": [HumanMessage("edited", id=middle.values["messages"][0].id)]}
    )
    say(user("after the edit"), edited)
    made.update_state(config, {"messages": [RemoveMessage(made.get_state(config).values["messages"][1].id)]})
    say(user("forget"))
    say(
        {
            "messages": [
                HumanMessage("a list of its own", id=new_id()),
                RemoveMessage("__remove_all__"),
                HumanMessage("forget all", id=new_id()),
            ]
        }
    )
    say(user("at last"))
