"""LangGraph's saver beside others: other threads, other managers, another process."""

from __future__ import annotations

import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from .kit import framework, run, run_two

framework("langgraph", "langgraph")

from langgraph.checkpoint.base.id import uuid6

from coda_fs_session import SessionError
from coda_fs_session.integrations.langgraph import CodaSaver

from .test_langgraph import said, saver, state, talk, thread

__all__ = ["saver"]


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_another_saver_sees_what_was_taken_out(tmp_path: Path, backend: str) -> None:
    """Positions in a log change when states are taken out of it, also for a manager that had read it before."""
    opened = partial(open_store, tmp_path / "store", backend=backend)
    with opened() as one, opened() as two:
        here, there = CodaSaver(one), CodaSaver(two)
        config = thread("a")
        for number in range(6):
            config = here.put(*state(here, config, talk(*map(str, range(number + 1))), value=number))
        assert there.get_tuple(config) == here.get_tuple(config)
        here.prune(["a"])
        for number in range(6, 9):
            config = here.put(*state(here, config, talk(*map(str, range(number + 1))), value=number))
            found = there.get_tuple(config)
            assert found == here.get_tuple(config)
        assert len(list(there.list(thread("a")))) == 4


def test_a_log_that_was_changed_is_read_anew(tmp_path: Path) -> None:
    """Where a record stands in the place of another one, or another one follows, though there are as many as before."""
    opened = partial(open_store, tmp_path / "store", backend="files")
    with opened() as one, opened() as two:
        here, there = CodaSaver(one), CodaSaver(two)
        first = here.put(*state(here, thread("a"), talk("1"), value="shared"))
        here.put(*state(here, first, talk("1")))
        assert len(list(there.list(thread("a")))) == 2
        one.history("langgraph/a/log").undo()
        other = here.put(*state(here, first, talk("1")))
        assert [each.config for each in there.list(thread("a"))] == [other, first]
        one.history("langgraph/a/log").undo()

        found = here.get_tuple(first)
        assert found is not None
        last = {**found.checkpoint, "id": str(uuid6())}
        config = here.put(first, last, {"source": "loop", "step": 2, "parents": {}}, {})
        assert len(list(there.list(thread("a")))) == 2
        here.prune(["a"])
        assert len(one.load_session("langgraph/a/log")) == 2
        assert [each.checkpoint for each in there.list(thread("a"))] == [last]
        one.history("langgraph/a/log").undo()
        assert there.get_tuple(first) == here.get_tuple(first)
        assert there.get_tuple(config) == here.get_tuple(config)


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_a_list_that_another_saver_went_on_with(tmp_path: Path, backend: str) -> None:
    """A save to it is refused, and the list goes on beside: no state has what the other saver added in that place."""
    opened = partial(open_store, tmp_path / "store", backend=backend)
    with opened() as one, opened() as two:
        here, there = CodaSaver(one), CodaSaver(two)
        first = here.put(*state(here, thread("a"), talk("1")))
        put = []
        for number in range(3):
            for each, who in ((there, "there"), (here, "here"), (here, "more")):
                texts = ["1", *map(str, range(number)), f"{who} {number}"]
                put.append((each.put(*state(each, first, talk(*texts))), texts))
        for config, texts in put:
            assert said(here, config) == said(there, config) == texts


def test_states_that_are_put_while_others_are_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is lost, and its branch is kept."""
    opened = partial(open_store, tmp_path / "store", on_conflict="branch")
    with opened() as one, opened() as two:
        here, there = CodaSaver(one), CodaSaver(two)
        first = here.put(*state(here, thread("a"), talk("1", "2")))
        here.put(*state(here, first, talk("1", "2", "3")))
        put: list[object] = []
        choose = CodaSaver._latest

        def latest(saver: CodaSaver, reader: Any) -> set[str]:
            chosen = choose(saver, reader)
            if not put:
                put.append(there.put(*state(there, first, talk("1", "other"))))
            return chosen

        monkeypatch.setattr(CodaSaver, "_latest", latest)
        here.prune(["a"])
        assert [each.config for each in here.list(thread("a"))] == put
        assert said(here, thread("a")) == said(there, thread("a")) == ["1", "other"]


def test_threads_at_once(saver: CodaSaver) -> None:
    """Parallel tasks write to one state, and to others, from many threads."""
    config = saver.put(*state(saver, thread("a"), talk("1")))
    failed = []

    def work(number: int) -> None:
        try:
            for index in range(5):
                saver.put_writes(config, [("value", (number, index))], f"{number} {index}")
                assert said(saver, saver.put(*state(saver, thread(f"t{number}"), talk("1")))) == ["1"]
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    found = saver.get_tuple(config)
    assert found is not None
    assert found.pending_writes is not None
    assert sorted(value for _, _, value in found.pending_writes) == [[n, i] for n in range(4) for i in range(5)]


_WRITES = 10
_PROGRAM = """
import sys
from integrations.test_langgraph_beside import put_many
put_many(*sys.argv[1:])
"""


def put_many(store: str, backend: str, who: str) -> None:
    """Put states of one thread from the newest that is there; what one of two processes does."""
    with open_store(Path(store), backend=backend) as manager:
        saver = CodaSaver(manager)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()
        for number in range(_WRITES):
            found = saver.get_tuple(thread("a"))
            before = found.checkpoint["channel_values"]["messages"] if found else []
            texts = [*(str(each.content) for each in before), f"{who} {number}"]
            config = saver.put(*state(saver, found.config if found else thread("a"), talk(*texts), said=texts))
            saver.put_writes(config, [("value", f"{who} {number}")], who)


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_two_processes_on_one_thread(tmp_path: Path, backend: str) -> None:
    """Each state that one of them put is there once, with its very messages and what was written to it."""
    run_two(sys.executable, "-c", _PROGRAM, str(tmp_path / "store"), backend)
    with open_store(tmp_path / "store", backend=backend) as manager:
        found = list(CodaSaver(manager).list(thread("a")))
    told: dict[str, str] = {}
    for one in found:
        texts = [str(each.content) for each in one.checkpoint["channel_values"]["messages"]]
        assert texts == one.metadata["said"]  # type: ignore[typeddict-item]
        assert one.pending_writes == [(texts[-1][0], "value", texts[-1])]
        told[texts[-1]] = one.config["configurable"]["checkpoint_id"]
    assert len(found) == 2 * _WRITES
    assert sorted(told) == sorted(f"{who} {number}" for who in ("a", "b") for number in range(_WRITES))


def test_a_log_of_another_is_refused(saver: CodaSaver) -> None:
    """A session under the name of a log that no saver has written is left alone."""
    manager = saver._states._manager
    session = manager.create_session("langgraph/a/log")
    session.add_message({"role": "user", "content": "mine"})
    manager.save_session(session)
    with pytest.raises(SessionError, match="no adapter"):
        saver.put(*state(saver, thread("a"), talk("1")))
    with pytest.raises(SessionError, match="no adapter"):
        run(saver.aget_tuple(thread("a")))
