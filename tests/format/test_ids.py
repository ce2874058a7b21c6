"""Ids: what has the form of one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coda_fs_session.format.ids import are_hex64, is_hex64

GOOD = "0123456789abcdef" * 4

nearly: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [GOOD.upper(), GOOD[:-1], GOOD + "0", GOOD[:-1] + "g", GOOD[:-1] + " ", GOOD[:-1] + "\n", GOOD[:-1] + "é"]
    ),
    st.sampled_from([GOOD[:-1] + "٣", GOOD[:-1] + "\ud800", "?" * 64, "", None, 5, GOOD.encode(), [GOOD]]),
    st.text(max_size=66),
)
texts = st.lists(st.one_of(st.text("0123456789abcdef", min_size=64, max_size=64), nearly), max_size=4)


@given(texts)
def test_all_at_once_or_one_by_one(values: list[Any]) -> None:
    """The quick test of many says what the test of each says."""
    assert are_hex64(values) == all(map(is_hex64, values))
