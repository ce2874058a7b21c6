"""Objects as the engine knows them: what it keeps in memory of them, and what it does not take for them."""

from __future__ import annotations

import pytest

from coda_fs_session import CorruptionError
from coda_fs_session.backends.base import NewObject
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.format.chunks import size_of
from coda_fs_session.format.ids import Chain, ObjectId, object_id
from coda_fs_session.format.records import Tail
from coda_fs_session.format.tree import Entry, encode_node
from coda_fs_session.repo.content import objects as module
from coda_fs_session.repo.content.objects import Objects


class Counting(MemoryBackend):
    """Notes which objects are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        self.read.append(identity)
        return super().get_object(identity, size=size, limit=limit)


def kept(objects: Objects, *runs: list[bytes]) -> list[Entry]:
    """Write chunks; return what refers to them."""
    made = [objects.new_chunk(lines) for lines in runs]
    objects.put(made)
    return [Entry(ObjectId(new.id), len(lines), len(new.data), None) for new, lines in zip(made, runs, strict=True)]


def reads(objects: Objects, entry: Entry) -> bool:
    """Tell whether the backend is asked for a chunk."""
    assert isinstance(objects.backend, Counting)
    before = len(objects.backend.read)
    objects.chunk(entry)
    return len(objects.backend.read) > before


def test_the_chunks_used_last_are_kept() -> None:
    """As many messages as the option says, in whichever chunks were used last."""
    objects = Objects(Counting(), cached_messages=4, compress_threshold=8192)
    first, second, third = kept(objects, [b"1", b"2"], [b"3", b"4"], [b"5", b"6"])
    assert [reads(objects, entry) for entry in (first, second)] == [True, True]
    assert [reads(objects, entry) for entry in (first, second, first)] == [False, False, False]
    assert reads(objects, third)
    assert [reads(objects, entry) for entry in (third, first)] == [False, False]
    assert reads(objects, second), "it was the one not used for the longest time"


def test_the_nodes_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many that a walk through a long list reads each once."""
    monkeypatch.setattr(module, "_CACHED_NODES", 2)
    objects = Objects(Counting(), cached_messages=0, compress_threshold=8192)
    nodes = []
    for entry in kept(objects, [b"1"], [b"2"], [b"3"]):
        data = encode_node([entry])
        objects.put([NewObject(object_id(data), data)])
        nodes.append(Entry(object_id(data), entry.messages, entry.bytes, Chain("0" * 64)))
    first, second, third = nodes

    def read(*wanted: Entry) -> list[str]:
        assert isinstance(objects.backend, Counting)
        objects.backend.read.clear()
        for node in wanted:
            assert objects.node(node)
        return objects.backend.read

    assert read(first, second, first) == [first.id, second.id]
    assert read(third, first, third) == [third.id]
    assert read(second) == [second.id]


def test_what_is_kept_may_be_16_kib_a_message() -> None:
    """So much on average, and not a byte more: the option bounds the memory whatever the messages are."""
    objects = Objects(Counting(), cached_messages=2, compress_threshold=2**20)
    fits, is_larger = kept(objects, [b"x" * (2 * 16 * 1024 - 1)], [b"x" * (2 * 16 * 1024)])
    assert [reads(objects, fits) for _ in range(2)] == [True, False]
    assert [reads(objects, is_larger) for _ in range(2)] == [True, True]
    assert not reads(objects, fits), "what is not kept takes nothing's place"


@pytest.mark.parametrize(("messages", "size"), [(4, 7), (3, 6), (2, 4)], ids=["lines", "bytes", "both"])
def test_a_tail_that_is_not_as_its_ref_says(messages: int, size: int) -> None:
    """A ref made on purpose to say something else of an object is told of, and no message is read."""
    objects = Objects(Counting(), cached_messages=0, compress_threshold=8192)
    lines = [b"1", b"22", b"3"]
    new = objects.new_chunk(lines)
    objects.put([new])
    assert objects.tail(Tail(ObjectId(new.id), len(new.data), 2, size_of(lines[:2]))) == lines[:2]
    with pytest.raises(CorruptionError):
        objects.tail(Tail(ObjectId(new.id), len(new.data), messages, size))
