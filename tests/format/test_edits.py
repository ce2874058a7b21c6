"""Edits in commits: those of an answer that was saved as it came take up little more than their hashes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given

from coda_fs_session.format.edits import TailEdit, decode_edits, encode_edits
from coda_fs_session.format.ids import Chain, object_id
from coda_fs_session.format.records import encode_time

from .drawn import edits

BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def chain(number: int) -> Chain:
    return Chain(object_id(str(number).encode()))


def streamed(count: int, position: int = 7, first: int = 0) -> list[TailEdit]:
    """Return edits of one message, each of which replaced what the one before led to."""
    return [
        TailEdit(
            *(position, position + 1, (chain(first + number),)),
            encode_time(BEGUN + timedelta(milliseconds=37 * (first + number))),
            chain(first + number + 1),
        )
        for number in range(count)
    ]


@given(edits)
def test_round_trip(some: tuple[TailEdit, ...]) -> None:
    """Edits come back as they were written, whether they are alike, tell of each other, or have no time."""
    assert decode_edits(orjson.loads(orjson.dumps(encode_edits(some)))) == some


def test_streamed_edits_are_dense() -> None:
    """A thousand edits of one message are one entry, with 75 bytes an edit at most: its hash, and when it came."""
    some = streamed(1000)
    encoded = encode_edits(some)
    assert len(encoded) == 1
    assert len(orjson.dumps(encoded)) <= 75 * 1000
    assert list(decode_edits(encoded)) == some


def test_each_message_of_an_answer_is_an_entry() -> None:
    """What an edit led to stands there once: with the next edit where that replaces it, else behind the entry."""
    some = [*streamed(3), *streamed(3, position=9, first=50)]
    first, second = encode_edits(some)
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert (first[-1], second[-1]) == (chain(3), chain(53))
    assert list(decode_edits([first, second])) == some
    interrupted = [*streamed(2), streamed(1, first=9)[0]]
    assert [entry[5:] for entry in encode_edits(interrupted) if isinstance(entry, list)] == [[chain(2)], [chain(10)]]
    assert list(decode_edits(encode_edits(interrupted))) == interrupted


def test_entries_of_one_save_are_read() -> None:
    """What earlier writers wrote is read, with a time or without one; only messages tell what it led to."""
    time = encode_time(BEGUN)
    one, other = decode_edits([[3, 4, [chain(1)]], [3, 5, [chain(2)], time]])
    assert one == TailEdit(3, 4, (chain(1),))
    assert other == TailEdit(3, 5, (chain(2),), time)
    assert encode_edits([one, other]) == [[3, 4, [chain(1)]], [3, 5, [chain(2)], time]]


@pytest.mark.parametrize(
    "entry",
    [
        [3, 4],
        [4, 3, []],
        [3, 4, ["x"]],
        [3, 4, [], "yesterday"],
        [3, 4, 1, "ab" * 32, [encode_time(BEGUN)]],
        [3, 4, 1, "ab" * 31, [encode_time(BEGUN)], chain(0)],
        [3, 4, 1, "AB" * 32, [encode_time(BEGUN)], chain(0)],
        [3, 4, 1, "ab" * 64, [encode_time(BEGUN), "1"], chain(0)],
        [3, 4, 1, "ab" * 64, [encode_time(BEGUN), 10**30], chain(0)],
        [3, 4, 1, "ab" * 32, [], chain(0)],
        [3, 4, 1, "ab" * 32, [encode_time(BEGUN)], "x"],
        [3, 4, -1, "", [encode_time(BEGUN)], chain(0)],
        7,
    ],
)
def test_what_is_no_edit_is_refused(entry: object) -> None:
    """An entry that no writer makes is told from one, before anything is made of it."""
    with pytest.raises((ValueError, TypeError)):
        decode_edits([entry])
