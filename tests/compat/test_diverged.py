"""A reader made from FORMAT.md alone names the sides of diverged sessions as the library does."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from simulator import places
from simulator.steps import History, random_history
from simulator.world import run

from .reading import needs_zstdcat, read_store

HISTORIES = 40
CUT_OFTEN = places.SMALL._replace(large=2**16, deferred=0)
"""A few messages make a chunk, but none is large, and no fork passes a cut: there readers know the real sizes only."""


@needs_zstdcat
def test_a_reader_without_the_package_agrees_on_diverged_stores(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every side of every session, after random histories of several machines: its name, messages and metadata."""
    monkeypatch.setattr(places, "SMALL", CUT_OFTEN)
    derived = 0
    for number in range(seed, seed + HISTORIES):
        drawn = random_history(random.Random(number), longest=40)
        # The reader says of every file that is no ref that it could not be read.
        history = History(drawn.replicas, tuple(step for step in drawn.steps if step[0] != "litter"))
        derived += _check_same(history, tmp_path / str(number))
    assert derived > HISTORIES / 4


@needs_zstdcat
def test_metadata_set_while_another_machine_renamed(tmp_path: Path) -> None:
    """What one machine said of a session under its old name is part of it under the new one."""
    steps = (("create", (0, 0)), ("carry", (1, 0, 0, 0, 0, 0)), ("metadata", (0, 0, 0)), ("rename", (1, 0, 1)))
    _check_same(History(2, steps), tmp_path)


def _check_same(history: History, store: Path) -> int:
    """Read what a history leaves in both ways; return how many sessions go by derived names."""
    (replica, *_) = run(history).replicas
    for path, data in replica.place.files().items():
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        (store / path).write_bytes(data)
    (store / "refs").mkdir(parents=True, exist_ok=True)
    listed = dict(reversed(line.split("\t", 1)) for line in read_store(store).decode().splitlines())
    assert listed == {name: str(shown.info["message_count"]) for name, shown in replica.view.items()}, history.script()
    for name, shown in replica.view.items():
        assert tuple(read_store(store, name).splitlines()) == shown.lines, (name, history.script())
        metadata = json.loads(read_store(store, name, "--metadata"))
        assert metadata == shown.info["metadata"], (name, history.script())
    return sum(shown.label != name for name, shown in replica.view.items())
