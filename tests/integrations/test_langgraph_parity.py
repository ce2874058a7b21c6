"""A graph on `CodaSaver` has the states that it has on LangGraph's saver in memory."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from storekit import open_store

from .kit import framework

framework("langgraph", "langgraph")

from coda_fs_session.integrations.langgraph import CodaSaver

from .langgraph_twin import Twin, graph, scenario


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_state_is_the_same(tmp_path: Path, durability: str) -> None:
    """With tools, interrupts, parallel tasks, sub-graphs, removals, edits in the past; and again in a new process."""
    opened = partial(open_store, tmp_path / "store", backend="files")
    with opened() as manager:
        twin = Twin(CodaSaver(manager))
        scenario(graph(twin), "a", durability)
        count = twin.check()
        assert count > (15 if durability == "exit" else 60)
    with opened() as manager:
        again = CodaSaver(manager)
        assert twin.check(again) == count
        shown = [info.name for info in manager.list_sessions(order="name")]
        assert shown[0] == "langgraph/a"
        assert all(name.removeprefix("langgraph/a/").isdecimal() for name in shown[1:])
