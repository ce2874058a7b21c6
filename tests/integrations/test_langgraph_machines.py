"""LangGraph's saver on two machines, which put states to one thread while they are apart and then sync."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from .kit import framework

framework("langgraph", "langgraph")

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from coda_fs_session import CorruptionError, SessionManager, SessionWarning
from coda_fs_session.integrations.langgraph import CodaSaver

from . import langgraph_twin
from .test_langgraph import said, state, talk, thread
from .test_langgraph_delta import CONFIG, graph, say

pytestmark = pytest.mark.filterwarnings("ignore::coda_fs_session.SessionWarning")


class Apart:
    """Two machines that have the states of one thread up to a point, and then put some each before they sync."""

    def __init__(self, tmp_path: Path, backend: str, *, more_here: int = 1, more_there: int = 1) -> None:
        self.open_here = partial(open_store, tmp_path / "here", backend=backend)
        self.open_there = partial(open_store, tmp_path / "there", backend="files")
        self.put: list[tuple[RunnableConfig, list[str]]] = []
        with self.open_here() as here:
            config = self.add(here, thread("a"), "1", "2")
            here.sync(tmp_path / "there")
        with self.open_there() as there:
            self.there = self.go_on(there, config, "there", more_there)
        with self.open_here() as here:
            self.here = self.go_on(here, config, "here", more_here)
            here.sync(tmp_path / "there")

    def add(self, manager: SessionManager, config: RunnableConfig, *texts: str) -> RunnableConfig:
        saver = CodaSaver(manager)
        before = said(saver, config) if "checkpoint_id" in config["configurable"] else []
        texts = (*before, *texts)
        config = saver.put(*state(saver, config, talk(*texts), value=texts[-1], run_id=f"run {texts[-1]}"))
        saver.put_writes(config, [("value", texts[-1])], "task")
        self.put.append((config, list(texts)))
        return config

    def go_on(self, manager: SessionManager, config: RunnableConfig, who: str, count: int) -> RunnableConfig:
        for number in range(count):
            config = self.add(manager, config, f"{who} {number}")
        return config

    def managers(self) -> Iterator[SessionManager]:
        for opened in (self.open_here, self.open_there):
            with opened() as manager:
                yield manager

    def check(self, saver: CodaSaver) -> None:
        """Compare every state that was put with what is read, in lists too."""
        for config, texts in self.put:
            assert said(saver, config) == texts
            found = saver.get_tuple(config)
            assert found is not None
            assert found.checkpoint["channel_values"]["value"] == texts[-1]
            assert ("task", "value", texts[-1]) in (found.pending_writes or [])
        listed = [each.config for each in saver.list(thread(self.put[0][0]["configurable"]["thread_id"]))]
        assert sorted(map(str, listed)) == sorted(str(config) for config, _ in self.put)


@pytest.fixture(params=[(1, 1), (3, 1), (1, 3), (2, 2)], ids=str)
def apart(request: pytest.FixtureRequest, tmp_path: Path) -> Apart:
    return Apart(tmp_path, "files", more_here=request.param[0], more_there=request.param[1])


def test_every_state_is_there_on_both_machines(apart: Apart) -> None:
    """Which side has the name of the thread, and which that of its log, is decided for each alone.

    The messages of one side were read as those of another state, or a thread could not be read at all.
    """
    for manager in apart.managers():
        apart.check(CodaSaver(manager))


def test_both_go_on_and_meet(apart: Apart, tmp_path: Path) -> None:
    """A run goes on from any state, of whichever side; what was put is on both machines after the next sync."""
    with apart.open_here() as here, apart.open_there() as there:
        for manager, config in ((here, apart.here), (here, apart.there), (there, apart.here)):
            apart.add(manager, config, "more")
        for _ in range(2):
            here.sync(tmp_path / "there")
    for manager in apart.managers():
        apart.check(CodaSaver(manager))
    for manager in apart.managers():
        saver = CodaSaver(manager)
        newest = saver.get_tuple(thread("a"))
        assert newest is not None
        apart.add(manager, newest.config, "on")
        assert said(saver, thread("a"))[-1] == "on"


def test_what_tasks_wrote_to_a_state_of_another_side(apart: Apart) -> None:
    """It is found beside what the tasks of that side wrote."""
    with apart.open_here() as manager:
        saver = CodaSaver(manager)
        for config in (apart.here, apart.there):
            saver.put_writes(config, [("value", "late")], "another")
    with apart.open_here() as manager:
        for config in (apart.here, apart.there):
            found = CodaSaver(manager).get_tuple(config)
            assert found is not None
            assert [task for task, _, _ in found.pending_writes or []] == ["another", "task"]


def test_a_thread_is_deleted_with_all_its_sides(apart: Apart) -> None:
    """Nothing of it comes back under its name, and a thread whose name looks like that of a side stays."""
    with apart.open_here() as manager:
        saver = CodaSaver(manager)
        others = [info.name for info in manager.list_sessions() if info.name != "langgraph/a"]
        assert others
        apart.add(manager, thread("a~12345678"), "another thread")
        saver.delete_thread("a")
        assert list(saver.list(thread("a"))) == []
    with apart.open_here() as manager:
        names = sorted(info.name for info in manager.list_sessions(hidden=True))
        assert names == ["langgraph/a~12345678", "langgraph/a~12345678/log"]


def test_a_copy_has_the_messages_of_its_states(apart: Apart) -> None:
    """A thread is copied as it goes by its name: its log, and the side of its messages that the log means."""
    with apart.open_here() as manager:
        saver = CodaSaver(manager)
        saver.copy_thread("a", "b")
        found = [(each.config["configurable"]["checkpoint_id"], each) for each in saver.list(thread("b"))]
        expected = {config["configurable"]["checkpoint_id"]: texts for config, texts in apart.put}
        assert len(found) >= 2
        assert not [info.name for info in manager.list_sessions(prefix="langgraph/b", hidden=True) if "~" in info.name]
        for name, _ in found:
            assert said(saver, thread("b", name)) == expected[name]


def test_states_that_are_taken_out(apart: Apart, tmp_path: Path) -> None:
    """What another machine put while it was apart stays when a thread is rid of all but its newest state."""
    with apart.open_here() as here, apart.open_there() as there:
        for manager, who in ((here, "here"), (there, "there")):
            # A branch, of which the side of the log alone may know.
            apart.add(manager, apart.put[0][0], f"{who} again")
        here.sync(tmp_path / "there")
    with apart.open_here() as manager:
        saver = CodaSaver(manager)
        newest = saver.get_tuple(thread("a"))
        assert newest is not None
        named = {record["state"] for record in manager.load_session("langgraph/a/log") if "state" in record}
        saver.prune(["a"])
        left = {each.config["configurable"]["checkpoint_id"] for each in saver.list(thread("a"))}
        every = {config["configurable"]["checkpoint_id"]: texts for config, texts in apart.put}
        assert left >= every.keys() - named
        records = manager.load_session("langgraph/a/log").get_messages()
        assert [record["state"] for record in records if "state" in record] == [
            newest.config["configurable"]["checkpoint_id"]
        ]
        for name in left:
            assert said(saver, thread("a", name)) == every[name]


def test_states_of_a_run_are_deleted_on_all_sides(apart: Apart) -> None:
    """None of them is left in a side, and the others can be read."""
    with apart.open_here() as manager:
        saver = CodaSaver(manager)
        saver.delete_for_runs(["run here 0", "run there 0"])
        gone = [each for each in apart.put if each[1][-1] in ("here 0", "there 0")]
        assert [saver.get_tuple(config) for config, _ in gone] == [None, None]
        apart.put = [each for each in apart.put if each not in gone]
        apart.check(saver)


def test_channels_that_keep_what_was_written(tmp_path: Path) -> None:
    """A channel that is made of writes is made of those of whichever side, also where a run goes on in another one."""
    stores = [tmp_path / "0", tmp_path / "1"]
    with open_store(stores[0]) as here:
        say(graph(CodaSaver(here)), CONFIG, "first")
        here.sync(stores[1])
    newest: list[tuple[RunnableConfig, list[str]]] = []
    for store in stores:
        with open_store(store) as manager:
            made = graph(CodaSaver(manager))
            said_there = say(made, CONFIG, f"in {store.name}")
            newest.append((made.get_state(CONFIG).config, said_there))
    with open_store(stores[0]) as here:
        here.sync(stores[1])
        for config, before in newest:
            made = graph(CodaSaver(here))
            assert [str(each.content) for each in made.get_state(config).values["messages"]] == before
            after = say(made, config, "on")
            assert after[:-2] == before
            last = max(made.get_state_history(CONFIG), key=lambda each: each.config["configurable"]["checkpoint_id"])
            assert [str(each.content) for each in last.values["messages"]] == after
            assert last.values["words"][-1] == "answer to on"
            assert len(last.values["words"]) == 3
            # What a person reads is what was said, of one side alone.
            talks = [here.load_session(info.name).get_messages() for info in here.list_sessions()]
            assert after in [[message["content"] for message in each] for each in talks]


def test_messages_without_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which side is meant is told by all that a message says, where it has no id."""

    def nameless(*texts: str) -> list[BaseMessage]:
        return [HumanMessage(text) for text in texts]

    monkeypatch.setitem(globals(), "talk", nameless)
    apart = Apart(tmp_path, "files")
    for manager in apart.managers():
        apart.check(CodaSaver(manager))


def test_no_side_has_the_messages(apart: Apart) -> None:
    """Where both sides were changed by hand, a state is no other side's: the error says so."""
    with apart.open_here() as manager:
        for info in manager.list_sessions(prefix="langgraph/a"):
            session = manager.load_session(info.name)
            session.messages = [{**message, "id": f"edited {n}"} for n, message in enumerate(session.get_messages())]
            manager.save_session(session)
        with pytest.raises(CorruptionError, match="none of its sides"):
            CodaSaver(manager).get_tuple(apart.here)


def test_an_edited_message_where_there_is_one_side(tmp_path: Path) -> None:
    """What was edited in the session is what the states have from then on, as nobody else's can be meant."""
    with open_store(tmp_path / "store") as manager:
        saver = CodaSaver(manager)
        config = saver.put(*state(saver, thread("a"), [HumanMessage("secret"), HumanMessage("kept", id="1")]))
        session = manager.load_session("langgraph/a")
        session.messages[0]["content"] = "edited"
        manager.save_session(session)
        assert said(saver, config) == ["edited", "kept"]


@pytest.mark.parametrize("seed", range(4))
def test_random_histories(tmp_path: Path, seed: int, request: pytest.FixtureRequest) -> None:
    """Two machines put states from any state that they know, and sync now and then: each is read as it was put."""
    chosen = random.Random(seed)
    stores = [tmp_path / "0", tmp_path / "1"]
    opened: list[Any] = [partial(open_store, store, backend="files") for store in stores]
    known: list[dict[str, list[str]]] = [{}, {}]
    managers = [each() for each in opened]
    savers = [CodaSaver(manager) for manager in managers]
    try:
        for step in range(60):
            who = chosen.randrange(2)
            saver = savers[who]
            kind = chosen.random()
            if kind < 0.75:
                parent = chosen.choice([None, *known[who]]) if chosen.random() < 0.3 else max(known[who], default=None)
                before = known[who][parent] if parent else []
                texts = [*before[: chosen.randint(0, len(before))], f"{step}"] if chosen.random() < 0.3 else [*before]
                texts += [f"{who} {step}"]
                config = saver.put(*state(saver, thread("a", parent), talk(*texts), value=step))
                known[who][config["configurable"]["checkpoint_id"]] = texts
            elif kind < 0.9:
                managers[0].sync(stores[1])
                known = [known[0] | known[1], known[0] | known[1]]
            else:
                managers[who].close()
                managers[who] = opened[who]()
                savers[who] = CodaSaver(managers[who])
            for name in chosen.sample(sorted(known[who]), min(4, len(known[who]))):
                assert said(savers[who], thread("a", name)) == known[who][name]
        for manager, states in zip(managers, known, strict=True):
            saver = CodaSaver(manager)
            assert len(list(saver.list(thread("a")))) == len(states)
            for name, texts in states.items():
                assert said(saver, thread("a", name)) == texts
    finally:
        for manager in managers:
            manager.close()


class _Noted(CodaSaver):
    """Puts everything into a saver in memory too, which knows what all machines have put."""

    def __init__(self, manager: SessionManager, every: InMemorySaver) -> None:
        super().__init__(manager)
        self.every = every

    def put(self, config: RunnableConfig, *given: Any) -> RunnableConfig:
        self.every.put(config, *given)
        return super().put(config, *given)

    def put_writes(self, config: RunnableConfig, *given: Any) -> None:
        self.every.put_writes(config, *given)
        super().put_writes(config, *given)


@pytest.mark.parametrize("number", range(4))
def test_runs_of_a_graph_beside_a_saver_in_memory(tmp_path: Path, seed: int, number: int) -> None:
    """Every state that a graph has put on either machine, with all within and of sub-graphs, is on both in the end.

    They are those of LangGraph's saver in memory that got all of them. The graph has tools, an interrupt, parallel
    tasks and removals, and goes on from old states.
    """
    draw = random.Random(f"{seed} {number}")
    every = InMemorySaver()
    stores = [tmp_path / "0", tmp_path / "1"]
    config = thread("a")
    with open_store(stores[0]) as one, open_store(stores[1]) as two:
        graphs = [langgraph_twin.graph(_Noted(manager, every)) for manager in (one, two)]
        for _ in range(14):
            made = draw.choice(graphs)
            text = draw.choice(["hello", "use a tool", "ask me", "spread", "forget", "back", "edit"])
            old = draw.choice([each for each in made.get_state_history(config) if not each.next] or [None])
            given = {"messages": [HumanMessage(text, id=langgraph_twin.new_id())]}
            if text == "edit" and old is not None:
                made.update_state(old.config, given)
            else:
                made.invoke(given, old.config if text == "back" and old is not None else config, durability="sync")
            if text == "ask me":
                made.invoke(Command(resume="yes"), config, durability="sync")
            if draw.random() < 0.3:
                one.sync(stores[1])
        for _ in range(2):
            one.sync(stores[1])
        for manager in (one, two):
            check = langgraph_twin.Twin(CodaSaver(manager))
            check.other = every
            assert check.check() > 40


def test_the_warning_names_the_side(apart: Apart) -> None:
    """A program that has the thread open when a sync brings another side is told so, as for any session."""
    with apart.open_here() as manager, pytest.warns(SessionWarning, match="langgraph/a"):
        CodaSaver(manager).get_tuple(thread("a"))
