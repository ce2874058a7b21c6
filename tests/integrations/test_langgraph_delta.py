"""Channels that keep what was written to them, and their value only now and then."""

from __future__ import annotations

from itertools import chain
from typing import Annotated, Any

import pytest
from storekit import Opener

from .kit import framework

framework("langgraph", "langgraph")

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from coda_fs_session import SessionManager
from coda_fs_session.integrations.langgraph import CodaSaver

from .langgraph_twin import Twin, new_id


def folded(messages: list[AnyMessage], writes: list[Any]) -> list[AnyMessage]:
    for each in writes:
        messages = add_messages(messages, each)  # type: ignore[assignment, arg-type]
    return messages


def joined(words: list[str], writes: list[list[str]]) -> list[str]:
    return [*words, *chain.from_iterable(writes)]


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], DeltaChannel(folded, snapshot_frequency=4)]
    words: Annotated[list[str], DeltaChannel(joined, snapshot_frequency=100)]


def graph(saver: Any) -> Any:
    made = StateGraph(State)

    def answer(state: State) -> dict[str, Any]:
        text = f"answer to {state['messages'][-1].content}"
        return {"messages": [AIMessage(text, id=new_id())], "words": [text]}

    made.add_node("answer", answer)
    made.add_edge(START, "answer")
    return made.compile(checkpointer=saver)


def say(made: Any, config: RunnableConfig, text: str) -> list[str]:
    found = made.invoke({"messages": [HumanMessage(text, id=new_id())]}, config, durability="sync")
    return [str(each.content) for each in found["messages"]]


CONFIG: RunnableConfig = {"configurable": {"thread_id": "a"}}


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_every_state_is_the_same(make: Opener, durability: str) -> None:
    """As with LangGraph's saver in memory: with snapshots and without, from the past, and after a removal."""
    with make() as manager:
        twin = Twin(CodaSaver(manager))
        made = graph(twin)
        for number in range(6):
            made.invoke({"messages": [HumanMessage(f"{number}", id=new_id())]}, CONFIG, durability=durability)
        states = list(made.get_state_history(CONFIG))
        assert len(states[0].values["words"]) == 6
        middle = states[len(states) // 2]
        made.invoke({"messages": [HumanMessage("other", id=new_id())]}, middle.config, durability=durability)
        first = made.get_state(CONFIG).values["messages"][0]
        made.update_state(CONFIG, {"messages": [RemoveMessage(first.id)]})
        made.invoke({"messages": [HumanMessage("last", id=new_id())]}, CONFIG, durability=durability)
        assert twin.check() > 8
        again = graph(CodaSaver(manager))
        assert [each.values for each in again.get_state_history(CONFIG)] == [
            each.values for each in made.get_state_history(CONFIG)
        ]


def test_what_is_said_is_there_to_read(make: Opener) -> None:
    """The session has each message when it was said, not when a snapshot is taken."""
    with make() as manager:
        made = graph(CodaSaver(manager))
        for number in range(6):
            told = say(made, CONFIG, f"{number}")
            session = manager.load_session("langgraph/a")
            assert [each["content"] for each in session.get_messages()] == told
        assert [info.name for info in manager.list_sessions()] == ["langgraph/a"]
        early = next(each for each in made.get_state_history(CONFIG) if len(each.values.get("messages", ())) == 4)
        told = say(made, early.config, "another way")
        assert len(told) == 6
        assert [each["content"] for each in manager.load_session("langgraph/a/1").get_messages()] == told


def test_a_pruned_thread_keeps_what_its_value_is_made_of(make: Opener) -> None:
    """States back to a snapshot of every such channel stay, and a copy has them too."""
    with make() as manager:
        saver = CodaSaver(manager)
        made = graph(saver)
        for number in range(9):
            say(made, CONFIG, f"{number}")
        before = made.get_state(CONFIG).values
        count = len(list(saver.list(CONFIG)))
        saver.prune(["a"])
        assert made.get_state(CONFIG).values == before
        saver.copy_thread("a", "b")
        saver.delete_thread("a")
        copied: RunnableConfig = {"configurable": {"thread_id": "b"}}
        assert made.get_state(copied).values == before
        assert len(say(made, copied, "more")) == 20
        assert len(before["words"]) == 9
    with SessionManager({"session": {"backend": "memory"}}) as manager:
        saver = CodaSaver(manager)
        only = StateGraph(State)
        only.add_node("answer", lambda state: {"messages": [AIMessage("a", id=new_id())]})
        only.add_edge(START, "answer")
        other = only.compile(checkpointer=saver)
        for number in range(9):
            other.invoke({"messages": [HumanMessage(f"{number}", id=new_id())]}, CONFIG)
        saver.prune(["a"])
        assert len(list(saver.list(CONFIG))) < count / 2
        assert len(other.get_state(CONFIG).values["messages"]) == 18
