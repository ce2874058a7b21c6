"""JSON of other programs: exact, by the piece, and never half a document."""

from __future__ import annotations

import io
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from coda_fs_session import ExportError
from coda_fs_session.interchange import parsing, times

DOCUMENTS: list[Any] = [
    [],
    [1, 2.5, "x", None, True],
    [{"a": 1, "b": [{"a": 2}, {"a": 3}]}, {"a": 3}, {"a": '{"a": "\\'}, {"b": 4}],
    [{"a": float("nan")}, {"a": "\ud800"}, {"a": 2**70}, {"a": "é\U0001f600"}],
    {"a": [1]},
    [{"a": [[]] * 3, "b": {"a": "}],"}}] * 5,
    [["]", [[]], {}], "a\\", "", {"a": '}"{\\'}, -1e5, [[1, [2]], {"a": [[3], {"a": '["'}]}], 0],
    [{"a": [0, {"a": 1}, {"a": "x" * 99}, {"a": 2}]}, {"a": [{"a": 1}]}, {"a": {"a": 1}}] * 3,
]


def all_of(data: bytes) -> list[Any]:
    return [value for value, _ in parsing.elements(io.BytesIO(data), "file.json")]


@pytest.fixture(params=["at once", "in pieces"])
def _piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in pieces":
        monkeypatch.setattr(parsing, "_STEP", 7)


@pytest.mark.usefixtures("_piece")
@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
@pytest.mark.parametrize("indent", [None, 1])
def test_elements(document: Any, indent: int | None) -> None:
    """Each element comes as the standard library reads it; a document that is cut anywhere is an error."""
    expected = document if isinstance(document, list) else [document]
    for ascii_only in (True, False):
        data = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
        assert repr(all_of(data)) == repr(expected)
        assert repr(all_of(b"\xef\xbb\xbf\n " + data + b"\n")) == repr(expected)
        for cut in range(1, len(data)):
            with pytest.raises(ExportError, match=r"file\.json"):
                all_of(data[:cut])
        with pytest.raises(ExportError):
            all_of(data + b"x")


@pytest.mark.parametrize("digits", range(17, 26))
def test_long_numbers(digits: int) -> None:
    """An integer of any length is what it is, wherever it stands; orjson reads one of more than 64 bits as a float."""
    for before in range(12):
        chats = [{"a": "x" * before, "b": -int("9" * digits)}, {"a": "1 22 333 4444 55555", "b": int("8" * digits)}]
        assert all_of(json.dumps([*chats, *chats]).encode()) == [*chats, *chats]
        assert [parsing.parsed(json.dumps(chat).encode()) for chat in chats] == chats


@pytest.mark.usefixtures("_piece")
def test_nesting_without_end() -> None:
    """A document that is nested 100,000 times is an error, whole or cut, and no end of the process."""
    for data in (b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000):
        with pytest.raises(ExportError):
            all_of(data)


@pytest.mark.usefixtures("_piece")
@pytest.mark.parametrize(
    "data", ["[1 2]", '[{"a":1}{"a":2}]', '[{"a":1};{"a":2}]', "[,1]", "[1,]", "[1,,2]", '["\x00"]']
)
def test_no_document(data: str) -> None:
    """Elements stand between commas, one each, or there is nothing to import."""
    with pytest.raises(ExportError):
        all_of(data.encode())
    assert all_of(b'[1,22,{"a":1},{"a":2}]') == [1, 22, {"a": 1}, {"a": 2}]


def test_nothing_is_given_of_a_document_that_is_cut() -> None:
    """Not even the elements that are whole: what reads them would store them."""
    found = parsing.elements(io.BytesIO(b'[{"a": 1}, {"a": 2}, {"a"'), "file.json")
    with pytest.raises(ExportError):
        next(found)


@pytest.mark.parametrize("element", [{"a": 1}, {"a": [{"a": 1}]}, 1])
def test_only_a_part_is_in_memory(element: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When an element is given, not much more is read than it, in either form of a document."""
    monkeypatch.setattr(parsing, "_STEP", 64)
    stream = io.BytesIO(json.dumps([element] * 200).encode())
    found = parsing.elements(stream, "file.json")
    for number in range(1, 100):
        assert next(found)[0] == element
        assert stream.tell() <= number * (len(json.dumps(element)) + 2) + 128


def test_what_is_skipped() -> None:
    """An element that is the same to the byte need not be given again, and a change of one byte tells."""
    data = b'[{"a": 1}, {"a": 2}, 3]'
    first = list(parsing.elements(io.BytesIO(data), "file.json"))
    known = {raw for _, raw in first[:2]}
    assert [value for value, _ in parsing.elements(io.BytesIO(data), "file.json", known.__contains__)] == [3]
    changed = data.replace(b"2", b"4")
    assert [value for value, _ in parsing.elements(io.BytesIO(changed), "f", known.__contains__)] == [{"a": 4}, 3]


@pytest.mark.parametrize("seed", range(20))
def test_lines_that_are_cut(seed: int) -> None:
    """Cut at any byte, lines are read as far as they go, and only the last one is missing."""
    chance = random.Random(seed)
    records = [{"n": number, "text": "é" * chance.randrange(9)} for number in range(8)]
    data = b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in records)
    cut = chance.randrange(len(data))
    notes: list[str] = []
    found = list(parsing.lines(io.BytesIO(data[:cut]), notes))
    assert found == records[: len(found)]
    assert data[:cut].count(b"\n") <= len(found) <= data[:cut].count(b"\n") + 1
    assert all("not whole yet" in note for note in notes)


def test_odd_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no object is left out with its number; the lines around it are read, the last without its end."""
    monkeypatch.setattr(parsing, "MOST_OF_A_LINE", 40)
    data = b'\xef\xbb\xbf{"a": 1}\r\n\nno json\n[1]\n{"b": "%b"}\n{"c": 3}' % (b"x" * 100)
    notes: list[str] = []
    assert list(parsing.lines(io.BytesIO(data), notes)) == [{"a": 1}, {"c": 3}]
    assert [note.partition(" ")[2][:1] for note in notes] == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1695326273.968528, "2023-09-21T19:57:53.968528Z"),
        (1695326273, "2023-09-21T19:57:53Z"),
        (1695326273500, "2023-09-21T19:57:53.5Z"),
        (1695326273500000, "2023-09-21T19:57:53.5Z"),
        (1695326273500000000, "2023-09-21T19:57:53.5Z"),
        ("2023-09-21T19:57:53.123456789Z", "2023-09-21T19:57:53.123456Z"),
        ("2023-09-21T21:57:53+02:00", "2023-09-21T19:57:53Z"),
        ("2023-09-21 21:57", "2023-09-21 21:57"),
        *((bad, None) for bad in (0, 1e300, float("nan"), True, None, "soon", "1999-01-01T00:00:00Z", "2101-01-01")),
        *((bad, None) for bad in ("2023-02-30T00:00:00Z", [], 4102444800, -1)),
    ],
)
def test_times(value: Any, text: str | None) -> None:
    """Every unit and form gives UTC; a naive time stays as it is; what is no time of these years is None."""
    assert times.stamp(value) == text
    assert (times.moment(value) is None) == (text is None)


def test_a_time_that_says_all() -> None:
    """Where the stamp has less than the source, the source's own must be kept."""
    assert times.stamped(1695326273.968528)[1]
    assert times.stamped("2023-09-21T19:57:53Z")[1]
    assert not times.stamped("2023-09-21T21:57:53+02:00")[1]
    assert not times.stamped("2023-09-21T19:57:53.123456789Z")[1]
    assert not times.stamped(1695326273500)[1]
    assert times.moment("2024-01-01T00:00:00Z") == datetime(2024, 1, 1, tzinfo=UTC)
