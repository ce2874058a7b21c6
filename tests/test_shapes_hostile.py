"""Messages of odd shapes: what they say is found out without an error, and in linear time."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from coda_fs_session.session.shapes import counted_text, model, parts, preview, role, text


def words_of(text: str) -> list[str]:
    return text.split()


LOOKS: list[Callable[[dict[str, Any]], Any]] = [parts, role, model, text, counted_text, preview]

KEYS = st.sampled_from(
    words_of(
        """
        content parts role type kind part_kind text thinking reasoning summary message payload data kwargs
        id call_id tool_call_id tool_calls toolCalls function custom function_call name arguments args input
        output result response toolUse toolResult functionCall functionResponse reasoningContent
        reasoningText inlineData image document source resource url uri image_url file state toolInvocation
        attachments thoughts author from sender value model
        """
    )
)
WORDS = st.sampled_from(
    words_of(
        """
        user assistant tool system ai human text thinking tool_use tool_result tool-x function_call
        function_call_output reasoning image file binary message user-prompt tool-return retry-prompt
        request response step-start x
        """
    )
)
VALUES = st.recursive(
    st.one_of(WORDS, st.text(max_size=3), st.integers(), st.floats(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=25,
)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
@settings(max_examples=200)
def test_any_structure(message: dict[str, Any]) -> None:
    """Known names with values of any type never raise, and change nothing; parts are texts throughout."""
    before = copy.deepcopy(message)
    for look in LOOKS:
        look(message)
    assert str(message) == str(before)
    for part in parts(message):
        assert all(isinstance(field, str) for field in part)
    assert isinstance(role(message), str)
    assert len(preview(message)) <= 80
    assert preview(message).isprintable() or not preview(message).isascii()


def nested(key: str, depth: int, kind: str) -> dict[str, Any]:
    value: Any = "end"
    for _ in range(depth):
        value = [{"type": kind, key: value}]
    return {"role": "user", "content": value}


@pytest.mark.parametrize("kind", ["text", "tool_result", "tool_use", "thinking", "hologram", "file", "image"])
@pytest.mark.parametrize("key", ["content", "output", "text", "input", "source", "summary"])
def test_deep_nesting(kind: str, key: str) -> None:
    """As deep as a message may be, and deeper, is no error; what lies deep is not lost."""
    # The last one is beyond what Python lets functions call themselves.
    for depth in (99, 150, 1500):
        for look in LOOKS:
            look(nested(key, depth, kind))
    if kind in ("tool_result", "hologram") and key == "content":
        assert "end" in counted_text(nested(key, 90, kind))


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, {"a": {3}}, b"x", object(), 2**70, float("nan"), "\ud800"])
def test_what_json_refuses(value: Any) -> None:
    """A live list may hold what no storage takes: looking at it is no error."""
    for message in (
        {"content": value},
        {"content": [value]},
        {"tool_calls": value},
        {"role": value},
        {"content": [{"input": value, "type": "tool_use"}]},
    ):
        for look in LOOKS:
            look(message)


def calls_made(look: Callable[[dict[str, Any]], Any], message: dict[str, Any]) -> int:
    """Return how many functions are called, those of C included."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        look(message)
    finally:
        sys.setprofile(None)
    return count


def wide(kind: str, size: int) -> dict[str, Any]:
    inner = [{"type": "text", "text": "x"} for _ in range(size)]
    return {"role": "user", "content": [{"type": kind, "content": inner, "output": inner, "id": "i"}] * 3}


def deep_and_wide(kind: str, size: int) -> dict[str, Any]:
    value: Any = "end"
    for _ in range(7):
        value = [{"type": kind, "content": value, "output": [{"text": "x"}] * (size // 7)}]
    return {"role": "user", "content": value}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("kind", ["text", "tool_result", "tool_use", "thinking", "message", "x"])
@pytest.mark.parametrize("make", [wide, deep_and_wide])
def test_work_is_linear(look: Callable[[dict[str, Any]], Any], kind: str, make: Callable[[str, int], Any]) -> None:
    """Eight times the message takes eight times the calls, or fewer."""
    small, large = calls_made(look, make(kind, 200)), calls_made(look, make(kind, 1600))
    assert large <= 8.5 * small + 100


@pytest.mark.parametrize("look", [text, counted_text, preview])
@pytest.mark.parametrize("piece", ["data:", ";base64,", "data:;base64,A", '"', "\\", "\x1b", "\u202e ", "a" * 79 + " "])
def test_long_texts(look: Callable[[dict[str, Any]], Any], piece: str) -> None:
    """A text of one piece many times is gone through in time that its length tells: this ends."""
    look({"content": piece * 200_000})
    look({"content": [{"type": "x", "data": piece * 200_000}]})
