"""The list tree against a plain list of chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_fs_session.format.ids import CHAIN_START, Chain, ObjectId, chain_cut, object_id
from coda_fs_session.format.tree import Entry, Spine, append, chunks, common_messages, decode_node, matches, prefix

counts = st.lists(st.integers(1, 5), max_size=80)
fan_outs = st.integers(2, 4)


@dataclass
class Tree:
    """A tree with its nodes, and the plain list of its chunks."""

    fan_out: int
    spine: Spine = Spine()
    nodes: dict[str, bytes] = field(default_factory=dict)
    plain: list[Entry] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=lambda: [CHAIN_START])
    reads: int = 0

    def add(self, entry: Entry) -> None:
        self.plain.append(entry)
        self.chains.append(chain_cut(self.chains[-1], entry.id))
        self.spine, new = append(self.spine, entry, self.fan_out, self.chains[-1])
        self.nodes.update((object_id(data), data) for data in new)

    def fetch(self, entry: Entry) -> list[Entry]:
        self.reads += 1
        entries = decode_node(self.nodes[entry.id])
        assert matches(entry, entries)
        assert len(entries) == self.fan_out
        return entries

    def positions(self) -> list[tuple[int, Entry]]:
        found, position = [], 0
        for entry in self.plain:
            found.append((position, entry))
            position += entry.messages
        return found


def tree(fan_out: int, messages: list[int]) -> Tree:
    made = Tree(fan_out)
    for number, count in enumerate(messages):
        made.add(Entry(ObjectId(object_id(b"%d" % number)), count, count * 10))
    return made


@given(fan_outs, counts)
def test_append(fan_out: int, messages: list[int]) -> None:
    """Appending keeps order, counts and the chain hash; no level reaches the fan-out."""
    made = tree(fan_out, messages)
    assert [entry for _, entry in chunks(made.spine, 0, 10**9, made.fetch)] == made.plain
    assert made.spine.messages == sum(messages)
    assert made.spine.bytes == 10 * sum(messages)
    assert made.spine.end_chain() == made.chains[-1]
    assert all(len(level) < fan_out for level in made.spine.levels)
    assert Spine.from_json(made.spine.to_json()) == made.spine


@given(fan_outs, counts, st.integers(-1, 300), st.integers(-1, 300))
def test_chunks(fan_out: int, messages: list[int], start: int, stop: int) -> None:
    """A range of messages yields exactly the chunks that hold any of it, with their positions."""
    made = tree(fan_out, messages)
    expected = [(at, entry) for at, entry in made.positions() if at < stop and at + entry.messages > max(start, 0)]
    assert list(chunks(made.spine, start, stop, made.fetch)) == expected


@given(fan_outs, counts, st.integers(0, 300))
def test_prefix(fan_out: int, messages: list[int], position: int) -> None:
    """A prefix is the very tree that its chunks alone would have, with the chunk that follows and the chain hash."""
    made = tree(fan_out, messages)
    found = prefix(made.spine, position, made.fetch)
    whole = [entry for at, entry in made.positions() if at + entry.messages <= position]
    alone = Tree(fan_out)
    for entry in whole:
        alone.add(entry)
    assert found.spine == alone.spine
    assert found.chain == made.chains[len(whole)]
    assert found.following == (made.plain[len(whole)] if len(whole) < len(made.plain) else None)


@given(fan_outs, counts, st.integers(0, 300), counts)
def test_going_on_from_a_prefix(fan_out: int, messages: list[int], position: int, more: list[int]) -> None:
    """Equal sequences of chunks have equal trees, whether built in one go or on a prefix of another tree."""
    made = tree(fan_out, messages)
    start = prefix(made.spine, position, made.fetch).spine
    kept = [entry for at, entry in made.positions() if at + entry.messages <= position]
    fork = Tree(fan_out, start, dict(made.nodes), list(kept), made.chains[: len(kept) + 1])
    alone = Tree(fan_out)
    for entry in kept:
        alone.add(entry)
    for number, count in enumerate(more):
        entry = Entry(ObjectId(object_id(b"more %d" % number)), count, count)
        fork.add(entry)
        alone.add(entry)
    assert fork.spine == alone.spine


def test_reads_are_logarithmic() -> None:
    """One message, the last ten, and a prefix of 3000 chunks each read a node a level."""
    made = tree(4, [3] * 3000)
    levels = math.ceil(math.log(3000, 4))
    for position in range(0, 9000, 77):
        made.reads = 0
        list(chunks(made.spine, position, position + 1, made.fetch))
        assert made.reads <= levels
        made.reads = 0
        prefix(made.spine, position, made.fetch)
        assert made.reads <= levels
    made.reads = 0
    list(chunks(made.spine, 8990, 9000, made.fetch))
    assert made.reads <= levels
    assert len(made.spine.levels) <= levels + 1


ID = "0" * 64


@pytest.mark.parametrize(
    "bad",
    [
        *(None, {}, [[ID, 1, 1]], [[[ID, 1]]], [[["x", 1, 1]]], [[[ID.upper() + "A", 1, 1]]], [[[ID, 0, 1]]]),
        *(
            [[[ID, 2, 1]]],
            [[[ID, 1.0, 1]]],
            [[[ID, True, 1]]],
            [[[ID, 1, 1, ID]]],
            [[], [[ID, 1, 1]]],
            [[[ID, 1, 1, "x"]]],
            [[[ID, 1, 1, ID, ID]]],
            [[], [[ID, 1, 1, ID, ID]]],
        ),
    ],
)
def test_impossible_spines_are_refused(bad: object) -> None:
    """What cannot be a spine raises ValueError rather than being read as something."""
    with pytest.raises(ValueError):
        Spine.from_json(bad)


def test_lists_of_every_kind_of_entry_are_checked_alike() -> None:
    """A wrong entry is refused among right ones too, which are all looked at together."""
    good: list[list[object]] = [[ID, 2, 20], ["1" * 64, 1, 1]]
    assert Spine.from_json([good]).levels == ((Entry(ObjectId(ID), 2, 20), Entry(ObjectId("1" * 64), 1, 1)),)
    nodes = [[*entry, "f" * 64] for entry in good]
    assert Spine.from_json([[], nodes]).messages == 3
    assert Spine.from_json([[], nodes]).bytes == 21
    for bad in ([ID, 0, 1], [ID, 2, 1], [ID, 1, True], [ID, 1], ["x", 1, 1], [ID, 1, 1, ID], "xyz", {}):
        with pytest.raises(ValueError):
            Spine.from_json([[*good, bad]])
        with pytest.raises(ValueError):
            Spine.from_json([[bad, *good]])


@pytest.mark.parametrize("fields", [[], [ID], [ID, 1], [ID, 1, 1, "x"], [ID, 1, 1, ID, ID], [ID, 0, 1], {}, None])
def test_impossible_nodes_are_refused(fields: object) -> None:
    """A line of a list node that is no entry raises ValueError, alone and twice."""
    line = orjson.dumps(fields) + b"\n"
    for data in (line, line * 2):
        with pytest.raises(ValueError):
            decode_node(data)


@given(fan_outs, counts, counts, counts)
def test_common_messages(fan_out: int, both: list[int], here: list[int], there: list[int]) -> None:
    """What two trees have in common is counted in whole chunks from the beginning, the same from either side."""

    def grown(own: str, messages: list[int]) -> Tree:
        made = tree(fan_out, both)
        for number, count in enumerate(messages):
            made.add(Entry(ObjectId(object_id(f"{own} {number}".encode())), count, count * 10))
        return made

    one, other = grown("here", here), grown("there", there)
    for first, second in ((one, other), (other, one)):
        assert common_messages(first.spine, second.spine, first.fetch, second.fetch) == sum(both)
    assert common_messages(one.spine, one.spine, one.fetch, one.fetch) == sum(both + here)


def test_common_messages_reads_a_node_a_level() -> None:
    """Where long trees part is found without reading what they share."""
    one, other = tree(4, [3] * 3000), tree(4, [3] * 2990)
    other.add(Entry(ObjectId("e" * 64), 1, 10))
    assert common_messages(one.spine, other.spine, one.fetch, other.fetch) == 3 * 2990
    assert max(one.reads, other.reads) <= 2 * math.ceil(math.log(3000, 4))
