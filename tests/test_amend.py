"""Amending: what somebody holds is changed in place, and only where it still is what was looked at."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from coda_fs_session.hooks.amend import amend, bring


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": "x", "b": [1, {"c": "y"}]}, {"a": "z", "b": [1, {"c": "w"}]}),
        ({"a": 1}, {"a": True}),
        ({"a": 0.0}, {"a": -0.0}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1, "b": 2}, {"b": 2}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": [1, 2]}, {"a": [2]}),
        ({"a": {"b": 1}}, {"a": [1]}),
        ({}, {"a": 1}),
        ({"a": 1}, {}),
    ],
)
def test_any_change(old: dict[str, Any], new: dict[str, Any]) -> None:
    """The dict becomes exactly the new one, types and key order included, and stays the same object."""
    live = orjson.loads(orjson.dumps(old))
    amend([live], [orjson.dumps(old)], [orjson.dumps(new)], 0)
    assert orjson.dumps(live) == orjson.dumps(new)


def test_inner_objects_stay() -> None:
    """A list or dict inside, which somebody may hold too, is changed in place."""
    inner = {"c": "secret"}
    live: dict[str, Any] = {"b": [inner]}
    amend([live], [b'{"b":[{"c":"secret"}]}'], [b'{"b":[{"c":"*"}]}'], 0)
    assert live["b"][0] is inner
    assert inner == {"c": "*"}


def test_what_was_changed_meanwhile_stays() -> None:
    """A message that is another one by now, at that place, is left alone; so is a text that grew."""
    before, after = b'{"a":"secret","n":1}', b'{"a":"*","n":2}'
    other = {"a": "secret", "n": 1, "more": True}
    amend([other], [before], [after], 0)
    assert other == {"a": "secret", "n": 1, "more": True}
    grown = {"a": "secret and more", "n": 1}
    bring(grown, {"a": "secret", "n": 1}, {"a": "*", "n": 2})
    assert grown == {"a": "secret and more", "n": 2}
    gone: dict[str, Any] = {"n": 1}
    bring(gone, {"a": "secret", "n": 1}, {"a": "*", "n": 2})
    assert gone == {"n": 2}


def test_other_numbers_of_messages() -> None:
    """Messages dropped or added replace the run only where all of it is as it was."""
    lines = [b'{"n":1}', b'{"n":2}']
    live = [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}]
    amend(live, lines, [b'{"n":9}'], 1)
    assert live == [{"n": 0}, {"n": 9}, {"n": 3}]
    changed = [{"n": 0}, {"n": 1}, {"n": 5}]
    amend(changed, lines, [], 1)
    assert changed == [{"n": 0}, {"n": 1}, {"n": 5}]
    shifted = [{"n": 0}, {"n": 1}]
    amend(shifted, lines, [], 1)
    assert shifted == [{"n": 0}, {"n": 1}]
