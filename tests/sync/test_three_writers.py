"""One store on one disk, edited by three processes that are two replicas, while a fourth lists and watches it."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from crash.stores import open_store
from simulator.views import view_of

from coda_fs_session import SessionEvent, SessionManager, SessionWarning

REPLICAS = ("east-00000001", "east-00000001", "west-00000002")
NAMES = ("shared", "other")


def tagged(writer: int, serial: int) -> dict[str, Any]:
    return {"role": "user", "content": f"{writer}.{serial} {'x' * (serial * 37 % 200)}"}


def write(root: Path, state: Path, writer: int, count: int, start: Barrier) -> None:
    """Save messages to sessions that the others write to as well, opening them again now and then."""
    warnings.simplefilter("ignore", SessionWarning)
    start.wait()
    for first in range(0, count, 10):
        with open_store(root, state / REPLICAS[writer], replica=REPLICAS[writer]) as manager:
            sessions = [manager.create_session(name) for name in NAMES]
            for serial in range(first, min(first + 10, count)):
                session = sessions[serial % len(NAMES)]
                session.add_message(tagged(writer, serial))
                manager.save_session(session)


def texts(manager: SessionManager) -> Iterator[list[str]]:
    for shown in view_of(manager).values():
        lines = [] if shown.lines is None else shown.lines
        yield [line.partition(b'"content":"')[2].partition(b" ")[0].decode() for line in lines]


@pytest.mark.parametrize("round_number", range(2))
def test_nothing_is_lost_while_somebody_lists(round_number: int, tmp_path: Path, long_size: bool) -> None:
    """Two replicas in one folder fork conversations under each other's hands. Whoever lists meanwhile never sees fewer
    messages than before; in the end every message is in some session, in its writer's order, and none is lost, and who
    watched was told the same as who lists."""
    count = 200 if long_size else 40
    context = multiprocessing.get_context("spawn")
    root, state = tmp_path / "store", tmp_path / "state"
    start = context.Barrier(len(REPLICAS) + 1)
    writers = [
        context.Process(target=write, args=(root, state, number, count, start)) for number in range(len(REPLICAS))
    ]
    for writer in writers:
        writer.start()
    seen: set[str] = set()
    told: dict[str, int] = {}
    warnings.simplefilter("ignore", SessionWarning)
    with open_store(root, tmp_path / "watcher", replica="watcher-0000000a") as manager, manager.watch() as watch:
        start.wait()
        while any(writer.is_alive() for writer in writers):
            seen = look(root, tmp_path / "reader", seen)
            take(watch.next(timeout=0.01), told)
        while event := watch.next(timeout=10 if told != counts(manager) else 0):
            take(event, told)
        assert told == counts(manager)
    assert [writer.exitcode for writer in writers] == [0] * len(writers)
    seen = look(root, tmp_path / "reader", seen)
    assert seen == {f"{writer}.{serial}" for writer in range(len(REPLICAS)) for serial in range(count)}
    assert sorted(os.listdir(root / "refs")) == sorted(set(REPLICAS))


def take(event: SessionEvent | None, told: dict[str, int]) -> None:
    """Bring what a watch has told up to date by one more event."""
    if event is None:
        return
    told.pop(event.previous_name or event.name, None)
    if event.info is not None:
        told[event.name] = event.info.message_count


def counts(manager: SessionManager) -> dict[str, int]:
    return {info.name: info.message_count for info in manager.list_sessions()}


def look(root: Path, state: Path, before: set[str]) -> set[str]:
    """Return every message shown now; all those shown before are, and each writer's are in order wherever they are."""
    with open_store(root, state, replica="reader-00000009") as manager:
        names, sessions = set[str](), list[list[str]]()
        # A list and the loading of what it names are two looks: in between a new side may have taken a name over.
        while names != set(counts(manager)):
            names, sessions = set(counts(manager)), list(texts(manager))
    for session in sessions:
        for writer in range(len(REPLICAS)):
            mine = [int(text.partition(".")[2]) for text in session if text.startswith(f"{writer}.")]
            assert mine == sorted(set(mine))
    shown = {text for session in sessions for text in session}
    assert before <= shown, f"seen before, and not now: {sorted(before - shown)}"
    return shown
