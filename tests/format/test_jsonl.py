"""Message lines: what goes in comes out, and what would not is refused with its exact place."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coda_fs_session import InvalidMessageError, Session
from coda_fs_session.format.jsonl import all_plain, decode, encode_message, encode_within

texts = st.text(st.characters(exclude_categories=("Cs",)))
borders = st.sampled_from([-(2**63), -(2**63) + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**53 + 1, -(2**31), 2**32, 0])
floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [-0.0, 0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e16, 1e22, 0.1, 1.0, 2.0**63]
)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | borders | floats | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
)
messages = st.dictionaries(texts, values, max_size=5)


def same(one: Any, other: Any) -> bool:
    """Compare with types, the sign of zero and key order, which `==` does not see."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and (not isinstance(one, float) or math.copysign(1, one) == math.copysign(1, other))


@given(messages)
@example({"content": '\x00\x1f\x7f\x80\u2028\u2029\ufeff\uffff\U0010ffff"\\/'})
@example({"b": 1, "a": {"d": 1, "c": [True, 1, 1.0, -0.0]}})
def test_message_in_is_message_out(message: dict[str, Any]) -> None:
    """Every JSON object comes back with types, sign of zero and order of keys; its line holds no newline or tab."""
    line = encode_message(message, "messages[0]")
    assert same(decode(line), message)
    assert not {*b"\n\t\r"} & {*line}


@given(messages)
def test_lines_are_canonical(message: dict[str, Any]) -> None:
    """Reading a line and writing it again gives the same bytes, so that equal messages have equal hashes."""
    line = encode_message(message, "m")
    assert encode_message(decode(line), "m") == line


@dataclass
class Point:
    x: int


def nested(levels: int) -> Any:
    """Return a value that makes a message of as many levels, the message itself counted."""
    value: Any = []
    for _ in range(levels - 2):
        value = [value]
    return value


def cyclic() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED = {
    "nan": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "tuple": (1, 2),
    "empty tuple": (),
    "set": {1},
    "frozenset": frozenset(),
    "bytes": b"x",
    "bytearray": bytearray(b"x"),
    "datetime": datetime(2024, 5, 17, tzinfo=UTC),
    "date": date(2024, 5, 17),
    "time": time(12),
    "dataclass": Point(1),
    "decimal": Decimal(1),
    "complex": 1j,
    "object": object(),
    "lone surrogate": "a\ud800b",
    "low surrogate": "\udc00",
    "65 bits": 2**64,
    "minus 65 bits": -(2**63) - 1,
    "huge": 10**400,
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda bad: {"content": bad}, "messages[0].content"),
        (
            lambda bad: {"ok": [1, (), 2][:1], "calls": [{}, {"arguments": [None, bad]}]},
            "messages[0].calls[1].arguments[1]",
        ),
        (lambda bad: {"a b": {"ü": bad}}, "messages[0]['a b'].ü"),
        (lambda bad: {"": [[bad]]}, "messages[0][''][0][0]"),
    ],
    ids=["top", "deep", "odd keys", "empty key"],
)
def test_refusals_say_where(bad: Any, wrap: Any, path: str) -> None:
    """What would not come back is refused with the path that leads to it; message and session stay as they were."""
    message = wrap(bad)
    before = copy.copy(message)
    session = Session("chat")
    with pytest.raises(InvalidMessageError) as caught:
        session.add_message(message)
    assert caught.value.value_path == path
    assert str(caught.value).startswith(f"{path}: ")
    assert message.keys() == before.keys()
    assert all(message[key] is before[key] for key in message)
    assert len(session) == 0


@pytest.mark.parametrize("key", [1, 1.5, None, True, (1, 2), b"x", "\ud800", "ok\udfff"])
@pytest.mark.parametrize(
    ("wrap", "path"),
    [(lambda inner: inner, "messages[0]"), (lambda inner: {"a": [inner]}, "messages[0].a[0]")],
)
def test_keys_must_be_text(key: Any, wrap: Any, path: str) -> None:
    """A key that is no text, or holds a lone surrogate, is refused with the path of the dict that has it."""
    with pytest.raises(InvalidMessageError) as caught:
        encode_message(wrap({"fine": 1, key: 1}), "messages[0]")
    assert caught.value.value_path == path


@pytest.mark.parametrize("message", [None, [], "text", 1, ("role", "user"), [("role", "user")]])
def test_a_message_is_a_dict(message: Any) -> None:
    """Anything but a dict is refused as a whole."""
    session = Session("chat", [{"role": "user"}])
    with pytest.raises(InvalidMessageError) as caught:
        session.add_message(message)
    assert caught.value.value_path == "messages[1]"


def test_two_hundred_levels() -> None:
    """200 levels come back, 201 are refused, in lists and in dicts, at the level that is one too many."""
    message = {"content": nested(200)}
    assert decode(encode_message(message, "m")) == message
    with pytest.raises(InvalidMessageError) as caught:
        encode_message({"content": nested(201)}, "m")
    assert caught.value.value_path == "m.content" + "[0]" * 199
    for levels, fits in ((200, True), (201, False), (255, False), (5000, False)):
        deep: dict[str, Any] = {}
        for _ in range(levels - 1):
            deep = {"a": deep}
        if fits:
            assert decode(encode_message(deep, "m")) == deep
        else:
            with pytest.raises(InvalidMessageError) as caught:
                encode_message(deep, "m")
            assert caught.value.value_path == "m" + ".a" * 200


def test_levels_among_many_lists() -> None:
    """In a message with too many lists and dicts to look at each, levels count all the same."""
    many: list[Any] = [[] for _ in range(100_001)]
    message = {"content": nested(200), "more": many}
    assert decode(encode_message(message, "m")) == message
    with pytest.raises(InvalidMessageError) as caught:
        encode_message({"content": nested(201), "more": many}, "m")
    assert caught.value.value_path == "m.content" + "[0]" * 199


def test_brackets_in_text_are_no_levels() -> None:
    """Text full of brackets is not taken for nesting."""
    message = {"content": "[{" * 500, "list": [[] for _ in range(500)]}
    assert decode(encode_message(message, "m")) == message


def test_cycles_are_refused() -> None:
    """A list or dict that contains itself is refused, and the search for the place ends."""
    loop: dict[str, Any] = {"role": "user"}
    loop["self"] = loop
    for message in ({"content": cyclic()}, loop):
        with pytest.raises(InvalidMessageError, match="deeper than 200"):
            encode_message(message, "m")


def test_what_was_added_is_a_copy() -> None:
    """Changing a message after it was added changes nothing in the session."""
    message = {"content": ["a"]}
    session = Session("chat")
    session.add_message(message)
    message["content"].append("b")
    assert session.get_messages() == [{"content": ["a"]}]


class Score(float):
    """As numpy.float64 is one."""


class Name(str):
    """As members of an enumeration of texts are."""


@pytest.mark.parametrize(
    ("message", "place", "told"),
    [
        ({"a": [{"scores": [1.0, Score(0.5)]}]}, "messages[0].a[0].scores[1]", "Score is a kind of float"),
        ({"a": [{Name("k"): 1}]}, "messages[0].a[0]", "the key 'k' is Name, a kind of str"),
        ({Name("k"): 1}, "messages[0]", "the key 'k' is Name, a kind of str"),
        ({"a": {1: 1}}, "messages[0].a", "the key 1 is int, and JSON keys are plain text"),
    ],
)
def test_kinds_of_plain_types_are_named(message: dict[str, Any], place: str, told: str) -> None:
    """What is nearly a number or text is named with its place and type, however deep it is."""
    with pytest.raises(InvalidMessageError) as caught:
        encode_message(message, "messages[0]")
    assert caught.value.value_path == place
    assert told in caught.value.problem


@given(st.lists(messages, max_size=3))
def test_plain_messages_are_seen_to_be_plain(given: list[dict[str, Any]]) -> None:
    """What JSON keeps as it is needs no second look."""
    assert all_plain(given)


@pytest.mark.parametrize(
    "odd",
    [
        *((), {1}, b"x", math.inf, math.nan, -math.inf, date(2024, 1, 1), Decimal(1)),
        *(type("Text", (str,), {})("x"), type("Number", (int,), {})(1), type("Object", (dict,), {})()),
    ],
    ids=lambda odd: type(odd).__name__,
)
def test_what_is_not_plain(odd: Any) -> None:
    """Anything besides the plain JSON types takes the slow way, however deep in a message it is."""
    assert not all_plain([{"a": odd}])
    assert not all_plain([{"a": 1}, {"a": [{"b": odd}]}])
    assert not all_plain([odd])


def test_deep_messages_are_looked_at_the_slow_way() -> None:
    """Up to the limit of nesting a message is plain; one level more is not, and neither is one without an end."""
    assert all_plain([{"a": nested(200)}])
    assert not all_plain([{"a": nested(201)}])
    endless: dict[str, Any] = {}
    endless["a"] = endless
    assert not all_plain([endless])


@pytest.mark.parametrize(
    "message", [{"a": "x" * 50}, {"a": 1.5, "b": [True, None]}, {"ü": "é"}, {"a": (1,)}, {"a": nested(200)}]
)
def test_a_limit_for_a_line(message: dict[str, Any]) -> None:
    """A line of the very limit is returned, and None for a limit that is one byte less."""
    if "a" in message and isinstance(message["a"], tuple):
        with pytest.raises(InvalidMessageError, match=r"messages\[2\]\.a"):
            encode_within(message, [{}, {}], 1000)
        return
    line = encode_message(message, "m")
    assert encode_within(message, [], len(line)) == line
    assert encode_within(message, [], len(line) - 1) is None


def test_a_message_that_is_none_is_named_by_its_place() -> None:
    """What comes after n messages is messages[n] in an error."""
    with pytest.raises(InvalidMessageError, match=r"messages\[3\]"):
        encode_within("no dict", [{}, {}, {}], 1000)
    with pytest.raises(InvalidMessageError, match="deeper than 200"):
        encode_within({"a": nested(201)}, [], 10_000)


class _Model:
    """What the clients of providers return has this method, pydantic or not."""

    def model_dump(self) -> dict[str, str]:
        return {"role": "assistant"}


def test_a_model_is_told_of_its_dump() -> None:
    """A message of a provider's client, or a part of one, is refused with what makes a dict of it."""
    for value, path in ((_Model(), "messages[0]"), ({"calls": [_Model()]}, "messages[0].calls[0]")):
        with pytest.raises(InvalidMessageError, match=r"_Model.*: use its \.model_dump\(\)") as caught:
            encode_message(value, "messages[0]")
        assert caught.value.value_path == path
    with pytest.raises(InvalidMessageError, match=r"not _Model: use its \.model_dump\(\)"):
        Session("chat", [_Model()])  # type: ignore[list-item]
    with pytest.raises(InvalidMessageError, match=r"not type$"):
        encode_message(_Model, "messages[0]")
