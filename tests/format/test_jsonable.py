"""`jsonable`: any value comes out storable, what could be stored comes out as it was, and each change is told."""

from __future__ import annotations

import base64
import collections
import dataclasses
import decimal
import enum
import math
import re
import sys
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import given

from coda_fs_session import Change, jsonable
from coda_fs_session.format.jsonl import decode, encode_value

PLAIN = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
SURROGATES = st.text(st.characters(), max_size=4) | st.sampled_from(["\ud800", "a\udfffb", "\ud83d\ude00"])
ANYTHING = st.recursive(
    st.one_of(
        *(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            SURROGATES,
            st.binary(max_size=3),
            st.complex_numbers(),
        ),
        *(st.datetimes(), st.dates(), st.times(), st.timedeltas(), st.decimals(), st.uuids(), st.fractions()),
        *(st.just(object()), st.just(int), st.just(len), st.ip_addresses()),
    ),
    lambda inner: st.one_of(
        *(st.lists(inner, max_size=3), st.tuples(inner, inner), st.lists(inner, max_size=2).map(collections.deque)),
        st.dictionaries(
            st.one_of(SURROGATES, st.integers(), st.floats(), st.none(), st.binary(max_size=2), st.tuples(st.text())),
            inner,
            max_size=3,
        ),
        *(
            st.frozensets(st.integers() | st.text()),
            st.builds(collections.OrderedDict, st.dictionaries(st.text(), inner, max_size=2)),
        ),
    ),
    max_leaves=10,
)


class Colour(enum.Enum):
    RED = "red"
    DAY = date(2024, 5, 1)


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int
    y: Any


class Pair(NamedTuple):
    left: int
    right: Any


class Model:
    """As pydantic's."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def model_dump(self) -> dict[str, Any]:
        return self.fields


class Scalar:
    """As numpy's."""

    dtype = "int64"

    def tolist(self) -> int:
        return 7


class Hostile:
    """Fails whatever is asked of it."""

    def __repr__(self) -> str:
        raise ValueError

    def model_dump(self) -> Any:
        raise RuntimeError


class Itself:
    def model_dump(self) -> Any:
        return self

    def __repr__(self) -> str:
        return "Itself \udfff"


@given(PLAIN)
def test_what_can_be_stored_stays(value: Any) -> None:
    """A value that JSON keeps comes back itself, with nothing told."""
    made, changes = jsonable(value)
    assert made is value
    assert changes == []


@given(ANYTHING)
def test_everything_becomes_storable(value: Any) -> None:
    """Whatever goes in, what comes out is stored exactly; a change is told where, and only where, there is one."""
    before = repr(value)
    made, changes = jsonable(value)
    assert decode(encode_value(made, "value")) == made
    assert repr(value) == before
    try:
        encode_value(value, "value")
    except ValueError:
        assert changes
    again, none = jsonable(made)
    assert again is made
    assert none == []


def at(path: str, made: Any) -> Any:
    """Return what stands at a path, which names no key that is no identifier."""
    for name, position in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        made = made[name or int(position)]
    return made


@pytest.mark.parametrize(
    ("given", "made", "was", "became"),
    [
        ((1, 2), [1, 2], "tuple", "a list"),
        ({3, 1, 2}, [1, 2, 3], "set", "a list"),
        ({"b", 1}, [1, "b"], "set", "a list"),
        (range(2), [0, 1], "range", "a list"),
        (b"hi", base64.b64encode(b"hi").decode(), "bytes", "base64"),
        (memoryview(b"hi")[::-1], base64.b64encode(b"ih").decode(), "memoryview", "base64"),
        (datetime(2024, 5, 1, 2, tzinfo=UTC), "2024-05-01T02:00:00+00:00", "datetime", "ISO 8601 text"),
        (timedelta(minutes=1, milliseconds=1), 60.001, "timedelta", "seconds"),
        (decimal.Decimal("1.10"), "1.10", "Decimal", "text"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001", "UUID", "text"),
        (PurePosixPath("a/b"), "a/b", "PurePosixPath", "text"),
        (Colour.RED, "red", "Colour", "its value"),
        (Colour.DAY, "2024-05-01", "Colour", "its value"),
        (Point(1, (2,)), {"x": 1, "y": [2]}, "Point", "a dict"),
        (Pair(1, 2), {"left": 1, "right": 2}, "Pair", "a dict"),
        (Model(a=1, b=(2,)), {"a": 1, "b": [2]}, "Model", "a dict"),
        (Scalar(), 7, "Scalar", "plain numbers"),
        (float("nan"), "nan", "the float nan", "text"),
        (-math.inf, "-inf", "the float -inf", "text"),
        (2**64, str(2**64), "an integer over 64 bits", "text"),
        (10**5000, hex(10**5000), "an integer over 64 bits", "text"),
        ("a\ud800b", "a\ufffdb", "lone surrogates", "U+FFFD"),
        ("\ud83d\ude00", "😀", "lone surrogates", "U+FFFD"),
        (ValueError("x"), "ValueError('x')", "ValueError", "its repr"),
        (Point, f"<class '{Point.__module__}.Point'>", "type", "its repr"),
        (Hostile(), "<Hostile>", "Hostile", "its repr"),
        (Itself(), "Itself \ufffd", "Itself", "its repr"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_forms(given: Any, made: Any, was: str, became: str) -> None:
    """Each type has its form; the change says what it was, what it became, and where."""
    assert jsonable(given)[0] == made
    value, changes = jsonable({"here": [given]})
    assert value == {"here": [made]}
    assert changes[0] == Change("value.here[0]", was, became)
    for change in changes:
        at(change.path, value)


def test_keys() -> None:
    """Keys become text as JSON writes them; two that become one cost no value; one that was text stays."""
    value, changes = jsonable(
        {
            1: "a",
            "1": "b",
            None: "c",
            Number.ONE.name: "d",
            (1, 2): "e",
            Colour.RED: "f",
            b"x": "g",
            "k\ud800": "h",
            2.5: "i",
        }
    )
    assert value == {
        "1~": "a",
        "1": "b",
        "null": "c",
        "ONE": "d",
        "(1, 2)": "e",
        "red": "f",
        "b'x'": "g",
        "k\ufffd": "h",
        "2.5": "i",
    }
    assert changes[0] == Change("value['1~']", "a key of type int", "text")
    assert list(jsonable({"b": 1, 2: 1, "a": 1})[0]) == ["b", "2", "a"]


def test_what_holds_itself() -> None:
    """A cycle is cut where it closes, through whatever type it goes; the same object twice is no cycle."""
    inner: dict[str, Any] = {"n": 1}
    inner["self"] = [inner, (inner,)]
    assert jsonable(inner)[0] == {"n": 1, "self": ["(holds itself)", ["(holds itself)"]]}
    point = Point(1, None)
    point.y = {"p": point}
    assert jsonable(point)[0] == {"x": 1, "y": {"p": "(holds itself)"}}
    same = (1,)
    assert jsonable([same, same])[0] == [[1], [1]]


def test_what_is_too_deep() -> None:
    """What is nested too deeply is cut at the last level that can be stored, however deep it is."""
    for depth in (201, 250, 100_000):
        value: Any = "end"
        for _ in range(depth):
            value = [value]
        made, changes = jsonable(value)
        encode_value(made, "value")
        assert [change.became for change in changes] == ["its repr"]
        if depth < 300:
            assert "end" in str(made)


def test_small_and_endless() -> None:
    """A structure that would fill the memory when it is written out is cut, and ends."""
    value: Any = ["x"]
    for _ in range(150):
        value = [value, value]
    made, changes = jsonable(value)
    assert {change.was for change in changes} >= {"a value that is repeated too often"}
    assert len(changes) < 1000
    encode_value(made, "value")


def test_depth_of_the_stack_is_not_used() -> None:
    """It works where the program has little of its stack left."""

    def down(levels: int) -> Any:
        return down(levels - 1) if levels else jsonable([[[[[[(1,)]]]]]])

    room = sys.getrecursionlimit() - len_of_stack() - 40
    assert down(room)[1][0].was == "tuple"


def len_of_stack() -> int:
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1  # type: ignore[assignment]
    return count
