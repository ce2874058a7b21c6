"""Several processes on one store at once."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from crash.stores import open_store

from .workers import tagged, write_many

WRITERS = 4


@pytest.mark.parametrize("names", [["one"], ["a", "b", "c", "d"]], ids=["one session", "four sessions"])
def test_nothing_is_lost_or_doubled(names: list[str], tmp_path: Path, long_size: bool) -> None:
    """Four processes that make the store, choose its replica id, create the same sessions, and append to them while
    each seals under the others' hands: every message is there exactly once, in each writer's order, whoever
    reads meanwhile sees a beginning of it, and all of it is of one replica."""
    count = 400 if long_size else 60
    context = multiprocessing.get_context("spawn")
    root, state = tmp_path / "store", tmp_path / "state"
    start = context.Barrier(WRITERS)
    writers = [
        context.Process(target=write_many, args=(root, state, number, names, count, start)) for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        check(root, tmp_path / "reader", names, count, complete=False)
        writers[0].join(0.02)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    check(root, tmp_path / "reader", names, count, complete=True)
    assert len(os.listdir(root / "refs")) == 1


def check(root: Path, state: Path, names: list[str], count: int, *, complete: bool) -> None:
    with open_store(root, state) as manager:
        for place, name in enumerate(names):
            if not complete and name not in manager:
                continue
            messages = manager.load_session(name).get_messages()
            for writer in range(WRITERS):
                mine = [message for message in messages if message["writer"] == writer]
                expected = [tagged(writer, serial) for serial in range(place, count, len(names))]
                assert mine == (expected if complete else expected[: len(mine)])
            assert {message["writer"] for message in messages} <= set(range(WRITERS))
