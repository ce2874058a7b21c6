"""What covers what is a strict order, whatever the files say: so no session is ever left out by all the others."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from compat.reading import needs_zstdcat, read_store
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coda_fs_session import StoreError
from coda_fs_session.backends.base import NO_TOKEN, RefKey
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.format.chunks import STANDARD
from coda_fs_session.format.generations import FIRST_GENERATION, Generation
from coda_fs_session.format.ids import CHAIN_START
from coda_fs_session.format.records import Base, Stamped
from coda_fs_session.format.refs import Header, Save, encode_header, encode_save, parse_ref
from coda_fs_session.repo.ancestry import resolve
from coda_fs_session.repo.ancestry.covers import Order, compare
from coda_fs_session.repo.content.objects import Objects
from coda_fs_session.repo.content.state import State
from coda_fs_session.repo.lookup import names as lookup
from coda_fs_session.repo.writing.commits import make_commit

from .machines import Machine, said

NAMES = ("a", "b", "c")
START = datetime(2026, 1, 2, tzinfo=UTC)
HORIZON = "2036"

_STEPS = st.sampled_from(["create", "clear", "rename", "delete"])
_OPERATIONS = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 1)),
    st.tuples(st.just("describe"), st.sampled_from(["x", "y"]), st.integers(0, 3), st.sampled_from([None, 1, 2])),
    st.tuples(st.just("edit"), st.integers(0, 2), st.integers(0, 1)),
)
_REFS = st.tuples(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(NAMES), max_size=2),
    st.one_of(st.none(), st.none(), _STEPS),
    st.integers(0, 1),
    st.lists(_OPERATIONS, max_size=4),
)
_FILES = st.lists(
    st.one_of(
        _REFS,
        # A copy of an earlier one, as it was some lines before.
        st.tuples(st.integers(0, 5), st.integers(0, 2)),
    ),
    min_size=1,
    max_size=6,
)
"""Refs as anybody could write them: also such as no program would, with names that no step explains."""


def _time(seconds: int) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def _lines(number: int, drawn: Any) -> list[bytes]:
    name, former, operation, life, operations = drawn
    generation = operation and Generation(
        FIRST_GENERATION, operation, 0, CHAIN_START, 0, 0, CHAIN_START, name if operation == "rename" else None
    )
    header = Header(name, "x", _time(0), _time(number), Base(), None, tuple(former), life, generation)
    data, line_id = encode_header(header)
    lines, count = [data], 0
    for at, (kind, *what) in enumerate(operations, 1):
        metadata, messages, replace = {}, (), None
        if kind == "describe":
            key, stamp, value = what
            metadata = {key: Stamped(_time(stamp), None if value is None else orjson.dumps(value))}
        else:
            messages = (orjson.dumps({"content": str(what[-1])}),)
            if kind == "edit":
                replace = count = min(what[0], count)
            count += 1
        data, line_id = encode_save(Save(line_id, _time(number + 10 * at), messages, replace, metadata))
        lines.append(data)
    return lines


def files_of(drawn: Sequence[Any]) -> dict[str, bytes]:
    """Return ref files by their paths."""
    made: list[list[bytes]] = []
    for number, each in enumerate(drawn):
        if len(each) == 2:
            earlier, fewer = each
            lines = made[earlier % len(made)] if made else _lines(0, ("a", [], None, 0, []))
            made.append(lines[: max(1, len(lines) - fewer)])
        else:
            made.append(_lines(number, each))
    # The order of the paths is not that in which they were drawn.
    return {f"{'mfzaqk'[number % 6]}-{number}/any.jsonl": b"".join(lines) for number, lines in enumerate(made)}


def _heads(drawn: Sequence[Any]) -> list[State]:
    objects = Objects(MemoryBackend(), cached_messages=0, compress_threshold=8192)
    return [
        State.of(RefKey(path), NO_TOKEN, parse_ref(data, path), objects, STANDARD)
        for path, data in files_of(drawn).items()
    ]


def _check_order(order: Order) -> None:
    heads = order.heads
    for one in heads:
        assert order.same(one, one)
        assert not order.covers(one, one)
    for one, other in product(heads, repeat=2):
        assert order.same(one, other) == order.same(other, one)
        assert not (order.covers(one, other) and order.covers(other, one))
        if one is not other and order.same(one, other):
            assert order.covers(one, other) or order.covers(other, one), "one stands for the other"
    for one, other, third in product(heads, repeat=3):
        assert not (order.same(one, other) and order.same(other, third)) or order.same(one, third)
        assert not (order.covers(one, other) and order.covers(other, third)) or order.covers(one, third)
    left = order.newest()
    assert bool(left) == bool(heads)
    found = {each.head for each in left}.union(*(each.covered for each in left))
    assert found == set(heads), "each is left, or covered by one that is"
    assert not any(order.covers(one.head, other.head) for one, other in product(left, repeat=2))


@given(_FILES)
@settings(max_examples=120, deadline=None, database=None, print_blob=True)
def test_covers_is_a_strict_order(drawn: list[Any]) -> None:
    """It is irreflexive, antisymmetric and transitive, "same" is an equivalence, and something is always left.

    It was not: three refs of one state left each other out in a circle.
    """
    order = Order(_heads(drawn), compare)
    _check_order(order)
    for one, other in product(order.heads, repeat=2):
        assert order.same(one, other) == (one.name == other.name and compare(one, other) == (True, True))


@given(_FILES, st.integers(0, 2**32))
@settings(max_examples=100, deadline=None, database=None, print_blob=True)
def test_it_is_one_even_where_states_compare_in_circles(drawn: list[Any], seed: int) -> None:
    """No answer to what is earlier than what, not even a wrong one, makes a session disappear."""
    draw = random.Random(seed)
    _check_order(Order(_heads(drawn), lambda one, other: (draw.random() < 0.6, draw.random() < 0.6)))


@given(_FILES, st.integers(0, 2**32))
@settings(max_examples=120, deadline=None, database=None, print_blob=True)
def test_each_ref_is_accounted_for(drawn: list[Any], seed: int) -> None:
    """Each is shown, a tombstone, or covered by one of these; no two sessions go by one name.

    In which order the refs are read makes no difference.
    """
    heads = _heads(drawn)
    view = resolve.resolve_heads(heads, lambda name: False, HORIZON)
    every = (*view.sessions, *view.deleted)
    accounted = sorted(ref.key for shown in every for ref in (shown.head, *shown.covered))
    assert set(accounted) == {head.key for head in heads}
    labels = [shown.label for shown in view.sessions]
    assert len(set(labels)) == len(labels)
    for shown in view.sessions:
        assert shown.label == shown.head.name or shown.label.startswith(f"{shown.head.name}~")
        assert set(shown.same) <= set(shown.merged) <= set(shown.covered)
    again = heads.copy()
    random.Random(seed).shuffle(again)
    mixed = resolve.resolve_heads(again, lambda name: False, HORIZON)
    assert [_told(shown) for shown in mixed.sessions] == [_told(shown) for shown in view.sessions]


def _told(shown: resolve.Shown) -> tuple[object, ...]:
    return shown.label, shown.head.key, shown.head.metadata, shown.head.updated, [ref.key for ref in shown.covered]


@needs_zstdcat
@given(drawn=_FILES)
@example(drawn=[("b", [], None, 0, [("describe", "x", 0, 1)]), ("b", [], "clear", 0, [])])
@settings(max_examples=40, deadline=None, database=None, print_blob=True)
def test_a_reader_of_the_format_agrees(drawn: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A reader that was made from FORMAT.md alone shows the same sessions, with the same messages and metadata."""
    machine = Machine(tmp_path_factory.mktemp("drawn"), "here-00000001")
    for path, data in files_of(drawn).items():
        file = machine.store / "refs" / path
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
    infos = machine.manager().list_sessions()
    listed = dict(reversed(line.split("\t", 1)) for line in read_store(machine.store).decode().splitlines())
    assert listed == {info.name: str(info.message_count) for info in infos}
    for info in infos:
        assert json.loads(read_store(machine.store, info.name, "--metadata")) == info.metadata
        assert [json.loads(line) for line in read_store(machine.store, info.name).splitlines()] == (
            machine.manager().load_session(info.name).get_messages()
        )


def test_three_files_of_one_state(here: Machine, tmp_path: Path) -> None:
    """Two machines describe a session differently, and somebody keeps a copy of a folder from before: all are one.

    It was in no list, and creating it gave an empty one.
    """
    here.create("trip", said("warm?"))
    there = here.copied_to(tmp_path / "there", "a-00000002")
    (here.store / "refs" / "Copy").mkdir()
    (here.store / "refs" / "Copy" / "trip.jsonl").write_bytes(here.only_ref().read_bytes())
    for machine, key in ((here, "title"), (there, "model")):
        manager = machine.manager()
        session = manager.load_session("trip")
        session.update_metadata({key: 1})
        manager.save_session(session)
    there.send_to(here)
    (info,) = here.manager().list_sessions()
    session = here.manager().create_session("trip")
    assert info.metadata == session.metadata == {"title": 1, "model": 1}
    assert len(session) == info.message_count == 1


def test_a_commit_of_the_present_state_is_no_step(here: Machine) -> None:
    """Another program may commit a state that nothing came after: its ref and the one without that are the same."""
    here.create("trip", said("warm?"))
    repo = here.repository()
    head = here.head("trip")
    base, link, new = make_commit(repo, head, "seal", head.updated, None)
    repo.objects.put(new)
    data, _ = encode_header(replace(head.header, replica="there-00000002", base=base, commit=link))
    path = here.store / "refs" / "there-00000002" / "trip.jsonl"
    path.parent.mkdir()
    path.write_bytes(data)
    other = repo.read(RefKey("there-00000002/trip.jsonl"))
    assert compare(head, other) == compare(other, head) == (True, True)
    (info,) = here.manager().list_sessions()
    assert info.replica == here.replica, "of those that are the same, the first path is shown"


def test_nothing_left_is_an_error(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the order were broken, a session would not be absent: loading and creating it fail, and lists say so of it."""
    here.create("chat", said("mine"))
    here.create("other", said("fine"))
    copy = here.store / "refs" / "copy" / "chat.jsonl"
    copy.parent.mkdir()
    copy.write_bytes((here.store / "refs" / here.replica / "chat.jsonl").read_bytes())
    monkeypatch.setattr(Order, "newest", lambda self: [])
    manager = here.manager()
    for call in (manager.load_session, manager.create_session):
        with pytest.raises(StoreError, match="would be in no list"):
            call("chat")
    errors = {info.name: type(info.error) for info in manager.list_sessions()}
    assert errors == {"chat": StoreError, "other": type(None)}
    assert lookup.resolve(here.repository(), "other").head is not None
