"""A reader made from FORMAT.md alone names the sides of diverged sessions as the library does."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from coda_fs_session.testing import places
from coda_fs_session.testing.steps import History, random_history
from coda_fs_session.testing.world import run

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
        (replica, *_) = run(history).replicas
        store = tmp_path / str(number)
        (store / "refs").mkdir(parents=True)
        for path, data in replica.place.files().items():
            (store / path).parent.mkdir(parents=True, exist_ok=True)
            (store / path).write_bytes(data)
        listed = dict(reversed(line.split("\t", 1)) for line in read_store(store).decode().splitlines())
        assert listed == {name: str(shown.info["message_count"]) for name, shown in replica.view.items()}, number
        for name, shown in replica.view.items():
            assert tuple(read_store(store, name).splitlines()) == shown.lines, (number, name)
            assert json.loads(read_store(store, name, "--metadata")) == shown.info["metadata"], (number, name)
            derived += shown.label != name
    assert derived > HISTORIES / 4
