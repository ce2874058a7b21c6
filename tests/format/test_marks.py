"""Marks: which moments of a session's life are kept."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from coda_fs_session.format.marks import EXACT, Mark, decode_marks, thinned
from coda_fs_session.format.records import LARGEST_COUNT

NOW = "2024-05-17T12:00:00.000000+00:00"


@given(st.lists(st.integers(1, 50), max_size=300), st.integers(0, 9))
def test_the_newest_are_kept_and_no_save_is_lost(steps: list[int], begin: int) -> None:
    """The first and the newest marks stay as they are; what is left out counts in the one after it."""
    marks = [Mark(begin, NOW, 0)]
    for step in steps:
        marks.append(Mark(marks[-1].messages + step, NOW))
    kept = thinned(marks)
    assert kept[0] == marks[0]
    assert list(kept[-EXACT:]) == marks[-EXACT:]
    assert len(kept) <= 1 + 32 + EXACT
    assert {mark.messages for mark in kept} <= {mark.messages for mark in marks}
    assert sum(mark.saves for mark in kept) == len(steps)
    place = [mark.messages for mark in marks]
    for before, mark in pairwise(kept):
        assert mark.saves == place.index(mark.messages) - place.index(before.messages)


def test_they_stay_few_however_long_it_goes_on() -> None:
    """After 100,000 saves with a seal every 10: under 50 marks, all newest exact, and old ones far apart."""
    marks: tuple[Mark, ...] = (Mark(0, NOW, 0),)
    count = 0
    for _ in range(10_000):
        added = [Mark(count + number, NOW) for number in range(1, 11)]
        count += 10
        marks = thinned((*marks, *added))
    assert len(marks) <= 49
    assert all(mark.saves == 1 for mark in marks[-EXACT:])
    assert sum(mark.saves for mark in marks) == 100_000
    # Among the last thousand saves there are some to go back to, and so it is among all of them.
    for reach in (100, 1000, 10_000, 90_000):
        assert any(reach / 5 <= count - mark.messages <= reach for mark in marks)


def test_what_is_left_out_adds_up_to_what_can_be_read() -> None:
    """Bug: marks that claim the most saves that can be read were summed, and the ref with them was damaged."""
    marks = thinned([Mark(number, NOW, LARGEST_COUNT) for number in range(100)])
    assert len(marks) < 100
    assert decode_marks([mark.to_json() for mark in marks]) == marks
