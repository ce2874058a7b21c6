"""What a sync remembers is believed of these two stores, written by this version, and of nothing else."""

from __future__ import annotations

import pytest

from coda_fs_session.backends.base import Place, Sign
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.repo.sync import memory
from coda_fs_session.repo.sync.memory import Memory

HERE, THERE = Place("/here", Sign((1, 2))), Place("/there", Sign((3, 4)))


class Remembering(MemoryState):
    """Keeps what it is told to."""

    def __init__(self) -> None:
        super().__init__("here-00000001")
        self.kept: dict[str, bytes] = {}

    def recall(self, topic: str) -> bytes | None:
        return self.kept.get(topic)

    def remember(self, topic: str, data: bytes) -> None:
        self.kept[topic] = data


@pytest.fixture
def machine() -> Remembering:
    """A machine that remembers a sync of HERE and THERE."""
    machine = Remembering()
    Memory({"r/chat.jsonl": [1, 2], "r/donn\udce9es": [3, 4]}, {"ab": [1]}, {"ab": "f" * 16}).remember(
        machine, HERE, THERE
    )
    return machine


def test_it_is_recalled(machine: Remembering) -> None:
    """As it was, names that are no text included."""
    found = Memory.recall(machine, HERE, THERE)
    assert found.refs == {"r/chat.jsonl": [1, 2], "r/donn\udce9es": [3, 4]}
    assert found.verified_in("ab") == {"f" * 16}


@pytest.mark.parametrize(
    ("here", "there"),
    [(HERE._replace(store=Sign((9, 9))), THERE), (HERE, THERE._replace(store=Sign((9, 9))))],
    ids=["here", "there"],
)
def test_another_store_at_one_of_the_places(machine: Remembering, here: Place, there: Place) -> None:
    """Nothing is believed of it."""
    assert Memory.recall(machine, here, there) == Memory()


def test_what_another_version_remembered(machine: Remembering, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may mean something else by it."""
    monkeypatch.setattr(memory, "_VERSION", memory._VERSION + 1)
    assert Memory.recall(machine, HERE, THERE) == Memory()


def test_places_without_a_store(machine: Remembering) -> None:
    """Nothing is remembered of what is not made yet."""
    machine.kept.clear()
    Memory({"r/chat.jsonl": [1, 2]}).remember(machine, HERE, THERE._replace(store=None))
    assert machine.kept == {}
