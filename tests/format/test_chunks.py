"""Cuts: the same messages give the same chunks, however they came in."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.format.chunks import STANDARD, Sizes, closes, holds_cut, join, split
from coda_fs_session.format.ids import object_id
from coda_fs_session.format.tree import chunks
from coda_fs_session.repo.lookup.names import resolve
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

SMALL = Sizes(minimum=60, spread=150, large=300, full=400, fan_out=2, deferred=0)

lengths = st.lists(st.sampled_from([0, 5, 20, 40, 80, 150, 320]), max_size=60)


class Store:
    """A store in memory, and the sealed chunks of what is in it."""

    def __init__(self) -> None:
        self.repo = Repository(MemoryBackend(), MemoryState(), Settings(sizes=SMALL))
        self.manager = SessionManager({"session": {"autosave_interval": 0}}, storage=RepoStorage(self.repo))

    def save(self, name: str, messages: list[dict[str, Any]]) -> Session:
        session = self.manager.create_session(name)
        session.messages = messages
        self.manager.save_session(session)
        return session

    def sealed(self, name: str) -> list[str]:
        """Return the object ids of the chunks of a session, hidden messages included."""
        head = resolve(self.repo, name).head
        assert head is not None
        spine = head.header.base.spine
        return [entry.id for _, entry in chunks(spine, 0, spine.messages, self.repo.objects.node)]


def messages(sizes: Iterable[int]) -> list[dict[str, Any]]:
    return [{"n": number, "text": "x" * size} for number, size in enumerate(sizes)]


def lines_of(given_messages: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(message, separators=(",", ":")).encode() for message in given_messages]


def cut(given_messages: list[dict[str, Any]]) -> list[str]:
    """Return the chunks that the messages have when they are cut in one go."""
    return [object_id(join(run)) for run, closed in split(lines_of(given_messages), SMALL) if closed]


@settings(max_examples=60, deadline=None)
@given(lengths, st.randoms(use_true_random=False))
def test_any_save_pattern_gives_the_same_chunks(sizes: list[int], choice: random.Random) -> None:
    """One save, a save a message, and anything between: the sealed chunks are the same objects."""
    store, all_messages = Store(), messages(sizes)
    store.save("at once", all_messages)
    piecewise = store.manager.create_session("piecewise")
    for message in all_messages:
        piecewise.add_message(message)
        if choice.random() < 0.4:
            store.manager.save_session(piecewise)
        if choice.random() < 0.1:
            store.manager.save_session(piecewise)
            del piecewise
            piecewise = store.manager.load_session("piecewise")
    store.manager.save_session(piecewise)
    assert store.sealed("piecewise") == store.sealed("at once") == cut(all_messages)


@settings(max_examples=60, deadline=None)
@given(lengths, lengths, st.data())
def test_forks_share_and_stay_canonical(sizes: list[int], more: list[int], data: st.DataObject) -> None:
    """A fork at any message, continued in any way, has the chunks of its messages saved at once; so has its fork."""
    store, expected = Store(), messages(sizes)
    store.save("0", expected)
    own = [{"fork": number, "text": "y" * size} for number, size in enumerate(more)]
    for generation in range(1, 4):
        at = data.draw(st.integers(0, len(expected)))
        fork = store.manager.create_session(str(generation), branch_from=str(generation - 1), at=at)
        expected = expected[:at] + [{**message, "in": generation} for message in own]
        for message in expected[at:]:
            fork.add_message(message)
            if data.draw(st.booleans()):
                store.manager.save_session(fork)
        store.manager.save_session(fork)
        assert fork.get_messages() == expected
        assert store.sealed(str(generation)) == cut(expected)


@settings(max_examples=60, deadline=None)
@given(lengths.filter(len), st.data())
def test_edits_change_few_chunks(sizes: list[int], data: st.DataObject) -> None:
    """After edits the chunks are those of the resulting messages, and those before the edit are the old ones."""
    store, expected = Store(), messages(sizes)
    session = store.save("chat", expected)
    before = cut(expected)
    at = data.draw(st.integers(0, len(expected) - 1))
    # Nothing in place of the first message would be a truncation, which hides it and cuts nothing anew.
    replacement = messages(data.draw(st.lists(st.sampled_from([5, 80, 320]), min_size=at == 0, max_size=3)))
    expected = expected[:at] + replacement + expected[at + 1 :]
    session.messages[at : at + 1] = replacement
    store.manager.save_session(session)
    assert store.sealed("chat") == cut(expected)
    after = set(cut(expected))
    untouched = [len(run) for run, closed in split(lines_of(messages(sizes)), SMALL) if closed]
    whole = 0
    for identity, count in zip(before, untouched, strict=True):
        whole += count
        if whole <= at - 1:
            assert identity in after


@given(st.lists(st.integers(0, 1000), max_size=200))
def test_bounds(sizes: list[int]) -> None:
    """A chunk ends below the minimum only beside a large message, never passes full + large, and nothing is lost."""
    lines = [b"x" * size for size in sizes]
    runs = list(split(lines, SMALL))
    assert [line for run, _ in runs for line in run] == lines
    for place, (run, closed) in enumerate(runs):
        size = sum(len(line) + 1 for line in run)
        large = [line for line in run if len(line) + 1 >= SMALL.large]
        assert not large or len(run) == 1
        assert large or size < SMALL.full + SMALL.large
        assert closed or place == len(runs) - 1
        if closed and not large and size < SMALL.minimum:
            assert len(runs[place + 1][0][0]) + 1 >= SMALL.large


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(0, 60))
def test_cutting_can_stop_and_go_on(sizes: list[int], at: int) -> None:
    """Cutting the rest after what is pending gives what cutting everything gives."""
    lines = [b"%d" % number * size for number, size in enumerate(sizes)]
    first = list(split(lines[:at], SMALL))
    pending = first.pop()[0] if first and not first[-1][1] else []
    assert first + list(split(lines[at:], SMALL, pending=pending)) == list(split(lines, SMALL))


@pytest.mark.parametrize(
    "sizes",
    [(20, 200), (300, 700), (10, 8_000), (5_000, 20_000), (30_000, 60_000)],
    ids=lambda pair: f"{pair[0]}-{pair[1]}",
)
def test_average_is_128_kib(sizes: tuple[int, int]) -> None:
    """With the standard sizes chunks have about 128 KiB, whatever the size of messages, and 32 to 256 KiB each."""
    choice = random.Random(5)
    total, lines = 0, []
    while total < 24 * 2**20:
        lines.append(choice.randbytes(choice.randint(*sizes) // 2).hex().encode())
        total += len(lines[-1]) + 1
    found = [sum(len(line) + 1 for line in run) for run, closed in split(lines, STANDARD) if closed]
    assert min(found) >= 32 * 1024
    assert max(found) <= 256 * 1024
    assert 110 * 1024 < sum(found) / len(found) < 146 * 1024


def test_a_large_message_is_alone_in_its_chunk() -> None:
    """A message of 64 KiB or more shares its chunk with no other, so that its chunk depends on itself alone."""
    small, large = b"x" * 100, b"y" * (STANDARD.large - 1)
    runs = list(split([small, large, small, large, large, b"z" * (STANDARD.large - 2)], STANDARD))
    assert [(len(run), closed) for run, closed in runs] == [(1, True)] * 5 + [(1, False)]


ALWAYS, NEVER, FAR = 0, 2**60, 10**9
"""The hash test, decided by its scale alone; and a size that nothing reaches."""


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(minimum=100, spread=ALWAYS, large=FAR, full=FAR),
        Sizes(minimum=50, spread=NEVER, large=FAR, full=100),
        Sizes(minimum=FAR, spread=NEVER, large=100, full=FAR),
    ],
    ids=["minimum", "full", "large"],
)
def test_every_size_counts_from_its_very_byte(sizes: Sizes) -> None:
    """A line that reaches a size with its newline ends a chunk, and one that is a byte shorter does not."""
    short, long = b"x" * 98, b"x" * 99
    assert (closes(short, 99, sizes), closes(long, 100, sizes)) == (False, True)
    assert (holds_cut([short], sizes), holds_cut([long], sizes)) == (False, True)
    assert list(split([short], sizes)) == [([short], False)]
    assert list(split([long], sizes)) == [([long], True)]


def test_what_came_before_counts() -> None:
    """Bytes since the last cut, and pending lines with their newlines, are part of the size."""
    sizes = Sizes(minimum=100, spread=ALWAYS, large=FAR, full=FAR)
    assert not holds_cut([b"x" * 48], sizes, after=50)
    assert holds_cut([b"x" * 49], sizes, after=50)
    assert not holds_cut([b"x" * 40, b"x" * 57], sizes)
    assert holds_cut([b"x" * 40, b"x" * 58], sizes)
    assert list(split([b"x" * 57], sizes, pending=[b"y" * 40])) == [([b"y" * 40, b"x" * 57], False)]
    assert list(split([b"x" * 58, b"z"], sizes, pending=[b"y" * 40])) == [
        ([b"y" * 40, b"x" * 58], True),
        ([b"z"], False),
    ]


def test_the_hash_test_is_strict() -> None:
    """The chance is crc32 x spread < length x 2^32; equal is not less."""
    line = b"x" * 27 + b"B\xee@\x02"
    assert crc32(line) == 2**20
    equal = (len(line) + 1 << 32) // 2**20
    for spread, expected in ((equal - 1, True), (equal, False), (equal + 1, False)):
        sizes = Sizes(minimum=1, spread=spread, large=FAR, full=FAR)
        assert closes(line, 32, sizes) is expected
        assert holds_cut([line], sizes) is expected
        assert list(split([line], sizes)) == [([line], expected)]


def test_the_sizes_of_the_format() -> None:
    """The numbers are those of the format, for ever: other ones would cut equal messages otherwise."""
    assert STANDARD == Sizes(minimum=32_768, spread=147_456, large=65_536, full=196_608, fan_out=32, deferred=16_384)
