"""Whether a program still holds a part of something, told by the counts of references."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from coda_fs_session.session.holders import is_held_inside


def conversation(count: int = 5) -> list[Any]:
    """Return messages of which nobody holds a part."""
    text = json.dumps([{"role": "user", "content": [{"type": "text", "x": {"y": [n, {}]}}]} for n in range(count)])
    messages: list[Any] = json.loads(text)
    return messages


@pytest.mark.parametrize("count", [0, 1, 300])
def test_nothing_is_held(count: int) -> None:
    messages = conversation(count)
    assert not is_held_inside(messages)
    assert not is_held_inside({}, messages)


@pytest.mark.parametrize(
    "take",
    [
        lambda messages: messages[2],
        lambda messages: messages[-1]["content"],
        lambda messages: messages[0]["content"][0]["x"]["y"][1],
        lambda messages: messages[1:3],
        lambda messages: messages[1].values(),
        lambda messages: iter(messages[1]),
        lambda messages: [message for message in messages if message["role"] == "user"],
        lambda messages: itertools.chain(messages[3]["content"]),
    ],
)
def test_what_holds_a_part_is_seen_until_it_goes(take: Any) -> None:
    """A message, anything nested in it, and what goes through one: seen at any depth, while it is there."""
    messages = conversation()
    part = take(messages)
    assert is_held_inside(messages)
    assert is_held_inside({"a": 1}, messages)
    del part
    assert not is_held_inside(messages)


def test_parts_that_only_other_parts_hold_are_not_held() -> None:
    """A list that several messages share, at different depths, in circles or many times over, is nobody else's."""
    messages = conversation()
    shared: Any = [1]
    for message in messages:
        message["tools"] = shared
    del message
    assert is_held_inside(messages)
    del shared
    assert not is_held_inside(messages)
    messages[1]["deep"] = messages[0]["content"][0]["x"]
    messages[2]["itself"] = messages[2]
    doubled: Any = {}
    for _ in range(60):
        doubled = [doubled, doubled]
    messages.append(doubled)
    del doubled
    assert not is_held_inside(messages)
    part = messages[1]["deep"]
    assert is_held_inside(messages)
    assert part is messages[0]["content"][0]["x"]
