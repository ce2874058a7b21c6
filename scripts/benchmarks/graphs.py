"""LangGraph's savers and LlamaIndex's stores: what each verb takes, and how much the states of a graph take up."""

import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .contenders import bytes_in
from .contenders.ours import Ours
from .lab import Lab
from .measure import Check, Row, Summary
from .verbs import Verb

SIZES = (200, 1000)


def langgraph(lab: Lab, _count: int, _run: Callable[..., Any]) -> Iterator[Verb]:
    """Put a state with one message more than before, what a task wrote, and find the newest state."""
    for size in SIZES:
        folder = lab.spare()
        ours, theirs = (_Thread(lab, saver, size) for saver in _savers(folder))
        yield Verb(f"put, {size:,} messages", ours.put, theirs.put, 2)
        yield Verb(f"put_writes, {size:,} messages", ours.put_writes, theirs.put_writes, 2)
        yield Verb(f"get, {size:,} messages", ours.get, theirs.get, 1.5)


def llama_index(lab: Lab, count: int, run: Callable[..., Any]) -> Iterator[Verb]:
    """The store of LlamaIndex's memory, beside its own over SQLAlchemy."""
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

    from coda_fs_session.integrations.llama_index import CodaMemoryStore

    folder = lab.spare()
    ours = CodaMemoryStore(Ours(folder / "ours").manager)
    theirs = SQLAlchemyChatStore("messages", f"sqlite+aiosqlite:///{folder / 'theirs.db'}")
    for store in (ours, theirs):
        messages = [ChatMessage(str(each["content"]), role="user") for each in lab.messages.take(count)]
        for start in range(0, count, 1000):
            run(store.add_messages("a", messages[start : start + 1000]))

    def add(store: Any) -> Awaitable[object]:
        return store.add_message("a", ChatMessage("one more", role="user"))

    yield Verb("add one", partial(add, ours), partial(add, theirs), 1.5)
    yield Verb(
        "last 10", *(partial(each.get_messages, "a", limit=10, offset=count - 10) for each in (ours, theirs)), 1.5
    )
    yield Verb("all", *(partial(each.get_messages, "a") for each in (ours, theirs)), 1.5)
    yield Verb("archive one", *(partial(each.archive_oldest_messages, "a", 1) for each in (ours, theirs)), 1)


def stored(lab: Lab) -> Row:
    """Run a graph of one model for so many messages: what the states take up, here and in SQLite."""
    count = min(1000, lab.scale.medium)
    row = Row(f"states of a graph, {count:,} messages", {}, [])
    if find_spec("langgraph") is None:
        row.notes.append("LangGraph is not installed: scripts/test --frameworks installs it")
        return row
    from langchain_core.messages import AIMessage, HumanMessage
    from langgraph.graph import START, MessagesState, StateGraph

    folder = lab.spare()
    texts = [str(each["content"]) for each in lab.messages.take(count)]
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [AIMessage(texts[len(state["messages"])])]})
    builder.add_edge(START, "model")
    sizes = []
    for saver, name in zip(_savers(folder, durable=False), ("ours", "theirs"), strict=True):
        graph = builder.compile(checkpointer=saver)
        for number in range(0, count, 2):
            graph.invoke({"messages": [HumanMessage(texts[number])]}, {"configurable": {"thread_id": "a"}})
        sizes.append(bytes_in(folder / name))
        row.contenders[name] = Summary.once(sizes[-1] / 1e6, "MB")
    row.checks.append(Check("ours / theirs", sizes[0] / sizes[1], must=0.01 if count == 1000 else None))
    return row


def _savers(folder: Path, *, durable: bool = True) -> tuple[Any, Any]:
    from langgraph.checkpoint.sqlite import SqliteSaver

    from coda_fs_session.integrations.langgraph import CodaSaver

    (folder / "theirs").mkdir(parents=True)
    database = sqlite3.connect(folder / "theirs" / "theirs.db", check_same_thread=False)
    theirs = SqliteSaver(database)
    theirs.setup()
    if not durable:
        database.execute("PRAGMA synchronous = OFF")
    return CodaSaver(Ours(folder / "ours", durable=durable).manager), theirs


class _Thread:
    """A thread of a graph in a saver, whose list of messages grows by one with each state."""

    def __init__(self, lab: Lab, saver: Any, size: int) -> None:
        self.lab, self.saver = lab, saver
        self.config: Any = {"configurable": {"thread_id": "a", "checkpoint_ns": ""}}
        self.messages: list[Any] = []
        self.version: Any = None
        self._grow(size)
        self._put()

    def _grow(self, count: int) -> None:
        from langchain_core.messages import AIMessage

        texts = (str(each["content"]) for each in self.lab.messages.take(count))
        self.messages = [*self.messages, *(AIMessage(text, id=str(uuid.uuid4())) for text in texts)]

    def _put(self) -> None:
        from langgraph.checkpoint.base import empty_checkpoint
        from langgraph.checkpoint.base.id import uuid6

        self.version = self.saver.get_next_version(self.version, None)
        state = {**empty_checkpoint(), "id": str(uuid6()), "channel_values": {"messages": self.messages}}
        state["channel_versions"] = {"messages": self.version}
        metadata = {"source": "loop", "step": 1, "parents": {}}
        self.config = self.saver.put(self.config, state, metadata, {"messages": self.version})

    async def put(self) -> None:
        self._grow(1)
        self._put()

    async def put_writes(self) -> None:
        self.saver.put_writes(self.config, [("messages", self.messages[-1:])], str(uuid.uuid4()))

    async def get(self) -> object:
        return self.saver.get_tuple({"configurable": {"thread_id": "a", "checkpoint_ns": ""}})
