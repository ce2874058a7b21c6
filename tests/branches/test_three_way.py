"""Merging lists by message: what is in the result, in which order, and what the strategies change."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_fs_session.repo.branches.three_way import Message, Strategy, merge, moment_of, numbered

lists = st.lists(st.sampled_from("abcdef"), max_size=8)


def messages(texts: str | list[str]) -> list[Message]:
    return numbered(orjson.dumps(text) for text in texts)


def merged(base: str, ours: str, theirs: str, strategy: Strategy = "append") -> str:
    found = merge(messages(base), messages(ours), messages(theirs), strategy)
    return "".join(orjson.loads(message.line) for message in found.messages)


def timed(*times: Any) -> list[Message]:
    return numbered(orjson.dumps({"content": place, **time}) for place, time in enumerate(times))


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [
        ("ab", "abx", "aby", "abxy"),
        ("ab", "ab", "abyz", "abyz"),
        ("abc", "ac", "abc", "ac"),
        ("abc", "abc", "ac", "ac"),
        ("abc", "aXbc", "abYc", "aXbYc"),
        # An edit is one away and one added, at one place.
        ("abc", "aBc", "abcd", "aBcd"),
        ("abc", "aBc", "aZc", "aBZc"),
        # Taken away by one side, and what it was answered with stays where it was.
        ("abc", "", "abcd", "d"),
        ("", "xy", "xz", "xyz"),
        # Both added the same line at two places: there once.
        ("ab", "axb", "abx", "axb"),
        # One more of what was there before.
        ("aa", "aaa", "aab", "aaab"),
        ("", "", "", ""),
    ],
)
def test_merging(base: str, ours: str, theirs: str, expected: str) -> None:
    """What either side took away is gone, what either added is there once, after what it came after."""
    assert merged(base, ours, theirs) == expected


@given(lists, lists, lists)
def test_nothing_doubles_or_vanishes(base: list[str], ours: list[str], theirs: list[str]) -> None:
    """Of any three lists the result has what both have and what either added, each once, in our order."""
    known, left, right = messages(base), messages(ours), messages(theirs)
    found = merge(known, left, right).messages
    kept = {message for message in left if message in right}
    added = {message for message in [*left, *right] if message not in known}
    assert len(set(found)) == len(found)
    assert set(found) == kept | added
    stays = [message for message in left if message in found]
    assert [message for message in found if message in left] == stays


@given(lists, lists, lists)
def test_merging_again_adds_nothing(base: list[str], ours: list[str], theirs: list[str]) -> None:
    """Once theirs is taken in, it is what both have in common: merged once more, nothing changes."""
    right = messages(theirs)
    found = merge(messages(base), messages(ours), right).messages
    assert merge(right, found, right).messages == found


@given(lists, lists, lists)
def test_two_that_merge_crosswise_have_the_same(base: list[str], ours: list[str], theirs: list[str]) -> None:
    """Whoever merges whom: the messages are the same, and by time in one order where all have one."""
    known, left, right = messages(base), messages(ours), messages(theirs)
    assert set(merge(known, left, right).messages) == set(merge(known, right, left).messages)


def test_strategies_matter_where_both_added() -> None:
    """The strategies "ours" and "theirs" leave out what the other side added at the same place, and nothing else."""
    assert merged("ab", "aXbx", "abyz", "ours") == "aXbx"
    assert merged("ab", "aXbx", "abyz", "theirs") == "aXbyz"
    assert merged("ab", "aXb", "abyz", "ours") == "aXbyz"


def test_interleaving_is_by_time() -> None:
    """By their times, each side in its own order, and the same whoever merges."""
    ours = timed({"time": "2026-01-01T00:00:00Z"}, {"time": "2026-01-01T00:00:04Z"}, {"time": "2026-01-01T00:00:03Z"})
    theirs = timed({"time": 1767225601}, {"time": 1767225603}, {"timestamp": 1767225605000})
    found = merge([], ours, theirs, "interleave")
    assert found.interleaved
    assert found.messages == merge([], theirs, ours, "interleave").messages
    kinds = ["ours" if message in ours and message not in theirs else "theirs" for message in found.messages]
    assert kinds == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert [message for message in found.messages if message in ours] == ours


def test_without_a_time_nothing_is_interleaved() -> None:
    """One of the messages has no time: ours come before theirs, and that is said."""
    ours, theirs = timed({"time": 9}, {}), timed({"created_at": 1})
    found = merge([], ours, theirs, "interleave")
    assert not found.interleaved
    assert found.messages == [*ours, *theirs]


def test_nothing_to_interleave_is_no_order_of_times() -> None:
    """Only one side added something: that it was interleaved is not said."""
    ours = timed({"time": 9})
    assert not merge([], ours, [], "interleave").interleaved


@pytest.mark.parametrize(
    ("fields", "moment"),
    [
        ({"timestamp": 1767225600}, 1767225600.0),
        ({"timestamp": 1767225600.5}, 1767225600.5),
        ({"timestamp": 1767225600000}, 1767225600.0),
        ({"created_at": "2026-01-01T00:00:00Z"}, 1767225600.0),
        ({"created_at": "2026-01-01T01:00:00+01:00"}, 1767225600.0),
        ({"time": "2026-01-01 00:00:00"}, 1767225600.0),
        ({"timestamp": "yesterday", "time": 5}, 5.0),
        ({"timestamp": True}, None),
        ({"timestamp": None}, None),
        ({"time": []}, None),
        ({}, None),
    ],
)
def test_the_time_of_a_message(fields: dict[str, Any], moment: float | None) -> None:
    """A message may tell its time under several names and in several forms; without a zone it is UTC."""
    assert moment_of(orjson.dumps(fields)) == moment
