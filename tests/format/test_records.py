"""Shared fields: each record as the very JSON that the format says, and what cannot be one refused."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest

from coda_fs_session import StoreFormatError
from coda_fs_session.format.generations import (
    FIRST_GENERATION,
    Generation,
    GenerationId,
    Operation,
    Picked,
    StateId,
    TakenIn,
)
from coda_fs_session.format.ids import CHAIN_START, Chain, ObjectId, chain_cut
from coda_fs_session.format.records import (
    Base,
    CommitLink,
    Parent,
    Stamped,
    Tag,
    Tail,
    chain_hash,
    count,
    decode_metadata,
)
from coda_fs_session.format.tree import Entry, Spine

NOW = "2024-05-17T12:00:00.000000+00:00"
A, B, C = (ObjectId(digit * 64) for digit in "abc")
CHUNK = Entry(A, 3, 40)
END = chain_cut(CHAIN_START, A)

BASE = Base(
    messages=5,
    bytes=60,
    chain=Chain(B),
    start=2,
    start_bytes=21,
    metadata={"set": Stamped(NOW, b'{"x":[1]}'), "gone": Stamped(NOW, None)},
    spine=Spine(((CHUNK,),)),
    tail=Tail(C, 90, 2, 20),
    tags={"draft": Tag(NOW, CommitLink(A, 300, 7)), "gone": Tag(NOW, None)},
)
BASE_JSON = {
    "messages": 5,
    "bytes": 60,
    "chain": B,
    "start": 2,
    "start_bytes": 21,
    "metadata": {"set": [NOW, {"x": [1]}], "gone": [NOW]},
    "tags": {"draft": [NOW, [A, 300, 7]], "gone": [NOW]},
    "spine": [[[A, 3, 40]]],
    "tail": [C, 90, 2, 20],
}
PLAIN_JSON = {"messages": 3, "bytes": 40, "chain": END, "spine": [[[A, 3, 40]]]}
GENERATION = Generation(FIRST_GENERATION, "rename", 5, Chain(A), 1, 4, Chain(B), "trip")
GENERATION_JSON = {
    "id": GENERATION.id,
    "parent": "0" * 64,
    "operation": "rename",
    "frozen": [5, A],
    "result": [1, 4, B],
    "name": "trip",
}


def test_a_base_with_every_field() -> None:
    """All fields of a base, in the order that the format gives them, both ways."""
    assert orjson.dumps(BASE.to_json()) == orjson.dumps(BASE_JSON)
    assert Base.from_json(BASE_JSON) == BASE


def test_what_is_left_out_of_a_base() -> None:
    """Fields at their default are not written, and what is not there has it."""
    empty = {"messages": 0, "bytes": 0, "chain": CHAIN_START}
    assert orjson.dumps(Base().to_json()) == orjson.dumps(empty)
    assert Base.from_json(empty) == Base()
    plain = Base(3, 40, END, spine=Spine(((CHUNK,),)))
    assert orjson.dumps(plain.to_json()) == orjson.dumps(PLAIN_JSON)
    assert Base.from_json(PLAIN_JSON) == plain


def test_all_of_a_base_may_be_hidden() -> None:
    """As many messages may be hidden as there are, and a tail may be its whole object."""
    assert Base.from_json({**BASE_JSON, "start": 5, "start_bytes": 60}).start == 5
    assert Base.from_json({**BASE_JSON, "tail": [C, 20, 2, 20]}).tail == Tail(C, 20, 2, 20)
    assert Tail.from_json([C, 2, 2, 2]) == Tail(C, 2, 2, 2)


@pytest.mark.parametrize(
    "fields",
    [
        *({"messages": 4}, {"messages": 6}, {"bytes": 59}, {"bytes": 61}, {"start": 6}, {"start_bytes": 61}),
        *({"start": -1}, {"start_bytes": -1}, {"start": 1.0}, {"chain": "B" * 64}, {"chain": None}, {"spine": {}}),
        *({"metadata": []}, {"metadata": {"k": []}}, {"metadata": {"k": [NOW, 1, 2]}}, {"metadata": {"k": ["now"]}}),
        *({"tags": []}, {"tags": {"k": []}}, {"tags": {"k": [NOW, [A, 300]]}}, {"tags": {"k": ["now"]}}),
        *({"tags": {"k": NOW}}, {"tags": {"k": [NOW, [A, 300, 7], 1]}}),
        *({"tail": None}, {"tail": {}}, {"tail": [C, 90, 2]}, {"tail": [C, 19, 2, 20]}, {"tail": [C, 90, 21, 20]}),
        *({"tail": ["c", 90, 2, 20]}, {"tail": [C, 90, 0, 20]}, {"tail": [C, 90, True, 20]}),
    ],
    ids=str,
)
def test_impossible_bases_are_refused(fields: dict[str, Any]) -> None:
    """A base that does not add up, or hides more than it has, raises ValueError."""
    with pytest.raises(ValueError):
        Base.from_json({**BASE_JSON, **fields})


@pytest.mark.parametrize("count", [False, 0.0, -0.0])
@pytest.mark.parametrize("field", ["messages", "bytes"])
def test_a_count_of_none_is_a_whole_number(field: str, count: object) -> None:
    """What Python takes for equal to 0 is no count in a base of nothing either."""
    with pytest.raises(ValueError):
        Base.from_json({**Base().to_json(), field: count})


def test_without_a_tail_the_chain_hash_follows_from_the_spine() -> None:
    """Only what stands in a tail may give the end another chain hash."""
    with pytest.raises(ValueError, match="chain hash"):
        Base.from_json({**PLAIN_JSON, "chain": B})


def test_a_generation() -> None:
    """All fields of a generation, both ways; the name is there for a rename only."""
    assert orjson.dumps(GENERATION.to_json()) == orjson.dumps(GENERATION_JSON)
    assert Generation.from_json(GENERATION_JSON) == GENERATION
    cleared = GENERATION._replace(operation="clear", name=None)
    assert "name" not in cleared.to_json()
    assert Generation.from_json(cleared.to_json()) == cleared
    assert cleared.id != GENERATION.id


@pytest.mark.parametrize(
    "fields",
    [
        *({"operation": None}, {"parent": "0" * 63}, {"parent": None}, {"id": A}, {"id": None}),
        *({"frozen": [6, A]}, {"frozen": [5, B]}, {"frozen": [5]}, {"frozen": [-1, A]}, {"frozen": [5, "a"]}),
        *({"result": [1, 4, A]}, {"result": [2, 4, B]}, {"result": [1, 5, B]}, {"result": [1, 4]}),
        *({"result": [-1, 4, B]}, {"result": [1, -4, B]}, {"result": [1, 4, "b"]}, {"name": "other"}),
    ],
    ids=str,
)
def test_impossible_generations_are_refused(fields: dict[str, Any]) -> None:
    """Another value in any field does not match the id; one that cannot be raises too, be the id right or not."""
    with pytest.raises(ValueError):
        Generation.from_json({**GENERATION_JSON, **fields})


STATE = StateId(FIRST_GENERATION, 3, Chain(C))
LINK = CommitLink(A, 300, 7)
FACTS: dict[str, dict[str, Any]] = {
    **{operation: {} for operation in ("clear", "edit", "truncate", "rename", "delete", "create")},
    **{operation: {"to": STATE} for operation in ("undo", "restore", "part")},
    "merge": {"merged": (TakenIn(STATE, LINK), TakenIn(StateId(GenerationId(B), 0, Chain(A)), LINK))},
    "pick": {"picked": (Picked("trip", Chain(A)), Picked("trip", Chain(B)))},
}


@pytest.mark.parametrize("operation", FACTS)
def test_every_operation_is_known(operation: Operation) -> None:
    """A generation may begin with each operation that the format names, with what that one needs."""
    generation = GENERATION._replace(operation=operation, **FACTS[operation])
    assert Generation.from_json(generation.to_json()) == generation


@pytest.mark.parametrize("operation", FACTS)
def test_a_generation_has_what_its_operation_needs_and_nothing_else(operation: Operation) -> None:
    """A merge of nothing, an undo that goes nowhere, a clear that took something in: none of it is a generation."""
    for other in FACTS:
        if FACTS[other] != FACTS[operation]:
            wrong = GENERATION._replace(operation=operation, **FACTS[other])
            with pytest.raises(ValueError, match="other fields than it needs"):
                Generation.from_json(wrong.to_json())


def test_what_an_operation_took_from_elsewhere_is_in_the_id() -> None:
    """The sixth element of the id is the states, as a list: no commit is in it, since commits have times."""
    five = ["0" * 64, "undo", [5, A], [1, 4, B], None]
    undone = GENERATION._replace(operation="undo", name=None, to=STATE)
    assert undone.id == hashlib.sha256(orjson.dumps([*five, [["0" * 64, 3, C]]])).hexdigest()
    assert undone.to_json()["to"] == ["0" * 64, 3, C]
    merged = undone._replace(operation="merge", to=None, merged=(TakenIn(STATE, LINK),))
    five[1] = "merge"
    assert merged.id == hashlib.sha256(orjson.dumps([*five, [["0" * 64, 3, C]]])).hexdigest()
    assert merged.to_json()["merged"] == [["0" * 64, 3, C, [A, 300, 7]]]
    assert merged._replace(merged=(TakenIn(STATE, CommitLink(B, 1, 0)),)).id == merged.id
    picked = undone._replace(operation="pick", to=None, picked=(Picked("trip", Chain(A)),))
    five[1] = "pick"
    assert picked.id == hashlib.sha256(orjson.dumps([*five, [["trip", A]]])).hexdigest()
    assert picked.to_json()["picked"] == [["trip", A]]


@pytest.mark.parametrize(
    "fields",
    [
        *({"to": None}, {"to": []}, {"to": ["0" * 64, 3]}, {"to": ["0" * 63, 3, C]}, {"to": ["0" * 64, -1, C]}),
        *({"to": ["0" * 64, 3, "c"]}, {"to": ["0" * 64, 4, C]}, {"to": ["0" * 64, 3, C, [A, 300, 7]]}),
        *({"merged": 1}, {"merged": [["0" * 64, 3, C]]}, {"merged": [["0" * 64, 3, C, [A]]]}),
        *({"picked": {}}, {"picked": [["trip"]]}, {"picked": [[1, A]]}, {"picked": [["trip", "a"]]}),
    ],
    ids=str,
)
def test_impossible_facts_are_refused(fields: dict[str, Any]) -> None:
    """What says no state, no commit and no message is no fact, and another one does not match the id."""
    undone = GENERATION._replace(operation="undo", name=None, to=STATE)
    with pytest.raises(ValueError):
        Generation.from_json({**undone.to_json(), **fields})


def test_an_operation_of_a_later_version_is_no_damage() -> None:
    """What this version does not know raises StoreFormatError, which says what to do."""
    changed = GENERATION._replace(operation="forget")  # type: ignore[arg-type]
    with pytest.raises(StoreFormatError, match=r"'forget'.*upgrade"):
        Generation.from_json(changed.to_json())


def test_a_generation_that_cannot_be_is_refused_with_its_right_id() -> None:
    """The id vouches for what was written, not for its sense."""
    with pytest.raises(ValueError, match="no parent"):
        Generation.from_json(GENERATION._replace(parent=GenerationId("0")).to_json())
    for wrong in (
        GENERATION._replace(start=-1),
        GENERATION._replace(messages=-1),
        GENERATION._replace(chain=Chain("b")),
    ):
        with pytest.raises(ValueError, match="is no"):
            Generation.from_json(wrong.to_json())


def test_parents_and_links() -> None:
    """Where a session was forked from, and where a commit is: as written, and nothing else."""
    parent = Parent("trip", 4, 1, Chain(A))
    assert orjson.dumps(parent.to_json()) == orjson.dumps({"name": "trip", "messages": 4, "start": 1, "chain": A})
    assert Parent.from_json(parent.to_json()) == parent
    link = CommitLink(A, 300, 7)
    assert link.to_json() == [A, 300, 7]
    assert CommitLink.from_json(link.to_json()) == link
    wrong: tuple[dict[str, Any], ...] = ({"name": 1}, {"messages": -1}, {"start": None}, {"chain": "x"})
    for fields in wrong:
        with pytest.raises(ValueError):
            Parent.from_json({**parent.to_json(), **fields})
    for bad in ([A, 300], ["a", 300, 7], [A, -1, 7], [A, 300, 7.0], {}, None):
        with pytest.raises(ValueError):
            CommitLink.from_json(bad)


def test_counts_and_chain_hashes() -> None:
    """A count is a whole number from 0, and neither True nor 1.0 is one."""
    assert (count(0), count(7), chain_hash(A)) == (0, 7, A)
    for bad in (-1, True, 1.0, "1", None):
        with pytest.raises(ValueError):
            count(bad)
    for bad in (A[:-1], A + "a", A.upper(), 0, None):
        with pytest.raises(ValueError):
            chain_hash(bad)


def test_metadata() -> None:
    """A key with a value, with null for a value, and one that was removed are three things."""
    found = decode_metadata({"a": [NOW, 1], "b": [NOW, None], "c": [NOW]})
    assert found == {"a": Stamped(NOW, b"1"), "b": Stamped(NOW, b"null"), "c": Stamped(NOW, None)}
