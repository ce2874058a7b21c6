"""By what names the sides of a name go, and that working on one side renames no other."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import orjson
import pytest

from coda_fs_session.backends.base import NO_TOKEN, RefKey
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.format.chunks import STANDARD
from coda_fs_session.format.ids import CHAIN_START, Chain, chain_message
from coda_fs_session.format.refs import Header, encode_header, parse_ref
from coda_fs_session.repo.ancestry.lineage import Path as Way
from coda_fs_session.repo.ancestry.lineage import Run
from coda_fs_session.repo.ancestry.resolve import _named
from coda_fs_session.repo.content.objects import Objects
from coda_fs_session.repo.content.state import State

from .machines import Machine, contents, said

TIME = "2026-01-02T03:04:05.000006+00:00"
SIDES = 120

SMALLEST, SMALL, LARGE = sorted("xyz", key=lambda text: chain_message(CHAIN_START, orjson.dumps(said(text)[0])))
"""Texts that, as first messages, are steps in this order."""


def _diverge(here: Machine, there: Machine, first: str = SMALL) -> str:
    """Let two machines go on with one session, and tell each other; returns the derived name."""
    here.create("chat", said(first))
    here.send_to(there)
    here.change("chat", "here")
    there.change("chat", "there")
    _exchange(here, there)
    (derived,) = set(here.names()) - {"chat"}
    return derived


def _exchange(*machines: Machine) -> None:
    for one in machines:
        for other in machines:
            if one is not other:
                one.send_to(other)


def test_a_new_session_of_the_name_leaves_the_others_their_names(here: Machine, there: Machine) -> None:
    """One side was renamed, and its name given to a new session: the other side stays under its derived name.

    It got a second suffix, since it then diverged twice: from the new session and from the renamed one.
    """
    derived = _diverge(here, there)
    kept = here.read(derived)
    here.manager().rename_session("chat", "talk")
    assert here.names() == [derived, "talk"]
    here.create("chat", said("anew"))
    here.send_to(there)
    for machine in (here, there):
        assert machine.names() == ["chat", derived, "talk"]
        assert machine.read("chat") == ["anew"]
        assert machine.read(derived) == kept


@pytest.mark.parametrize("last", ["rename", "delete"])
def test_only_who_had_the_name_itself_gives_it_up(here: Machine, there: Machine, last: str) -> None:
    """Somebody who did not know of the new session goes on with the old one: that one side gets another name."""
    derived = _diverge(here, there)
    kept, old = here.read(derived), here.read("chat")
    if last == "rename":
        here.manager().rename_session("chat", "talk")
    else:
        here.manager().delete_session("chat")
    # Where it was deleted, the new session begins where that one ended: the older one keeps the name.
    here.create("chat", said("anew"))
    there.change("chat", "on")
    _exchange(here, there)
    assert here.names() == there.names()
    assert here.read(derived) == there.read(derived) == kept
    (moved,) = set(here.names()) - {"chat", derived, "talk"}
    new, gone_on = ("chat", moved) if last == "rename" else (moved, "chat")
    for machine in (here, there):
        assert machine.read(new) == ["anew"]
        assert machine.read(gone_on) == [*old, "on"]


def test_a_side_that_left_earlier_takes_the_name_of_one(here: Machine, there: Machine, tmp_path: Path) -> None:
    """A session of the name that began apart comes to stand before both sides of another: one of them moves."""
    derived = _diverge(here, there)
    kept, old = here.read(derived), here.read("chat")
    third = Machine(tmp_path / "third", "third-00000003")
    third.create("chat", said(SMALLEST))
    _exchange(here, there, third)
    for machine in (here, there, third):
        assert machine.read("chat") == [SMALLEST]
        assert machine.read(derived) == kept
        (moved,) = set(machine.names()) - {"chat", derived}
        assert machine.read(moved) == old


def test_equal_steps_at_different_forks(here: Machine, there: Machine, tmp_path: Path) -> None:
    """Sides that left at different states with the same message have different names."""
    here.create("chat", said(SMALLEST))
    manager = here.manager()
    session = manager.load_session("chat")
    session.clear_messages()
    manager.save_session(session)
    here.send_to(there)
    here.change("chat", SMALL)
    there.change("chat", LARGE)
    third = Machine(tmp_path / "third", "third-00000003")
    third.create("chat", said(LARGE, "by the third"))
    _exchange(here, there, third)
    assert here.names() == there.names() == third.names()
    assert here.read("chat") == [SMALL]
    assert sorted(map(here.read, here.names())) == sorted([[SMALL], [LARGE], [LARGE, "by the third"]])
    assert {name: here.read(name) for name in here.names()} == {name: third.read(name) for name in third.names()}


@pytest.mark.parametrize("number", range(4))
def test_a_session_that_was_renamed_keeps_the_name_from_no_other(here: Machine, there: Machine, number: int) -> None:
    """One machine once had a session of the name, another one has one now that has nothing in common with it.

    In half of the cases, by chance, that one went by a derived name, and creating the session made an empty one.
    """
    here.create("notes", said(f"the garden {number}"))
    here.manager().rename_session("notes", "garden")
    there.create("notes", said(f"the car {number}"))
    _exchange(here, there)
    for machine in (here, there):
        assert machine.names() == ["garden", "notes"]
        assert contents(machine.manager().create_session("notes")) == [f"the car {number}"]


@pytest.mark.parametrize("third_first", [False, True])
def test_the_name_of_a_renamed_side_goes_to_no_kin(
    here: Machine, there: Machine, tmp_path: Path, third_first: bool
) -> None:
    """A side was renamed: the other side keeps its derived name, and a session that has nothing to do with either
    gets the name itself."""
    first, other = (SMALLEST, SMALL) if third_first else (SMALL, SMALLEST)
    derived = _diverge(here, there, other)
    kept = here.read(derived)
    keeper = here if here.head("chat").key.replica == here.replica else there
    keeper.manager().rename_session("chat", "talk")
    third = Machine(tmp_path / "third", "third-00000003")
    third.create("chat", said(first, "third"))
    _exchange(here, there, third)
    for machine in (here, there, third):
        assert machine.names() == sorted(["chat", "talk", derived])
        assert machine.read("chat") == [first, "third"]
        assert machine.read(derived) == kept


def test_a_renamed_side_keeps_the_name_whichever_session_of_it_this_was(here: Machine, there: Machine) -> None:
    """Also where the name had been given before: the other side of that very conversation does not take it."""
    here.create("chat", said("an earlier one"))
    here.manager().rename_session("chat", "earlier")
    here.create("chat", said(SMALL))
    here.send_to(there)
    here.change("chat", "here")
    there.change("chat", "there")
    _exchange(here, there)
    (derived,) = set(here.names()) - {"chat", "earlier"}
    keeper = here if here.head("chat").key.replica == here.replica else there
    assert here.head("chat").header.life == 1
    keeper.manager().rename_session("chat", "talk")
    _exchange(here, there)
    for machine in (here, there):
        assert machine.names() == sorted(["earlier", "talk", derived])


@pytest.mark.parametrize("number", range(4))
def test_a_branch_that_is_given_the_name_its_parent_had(here: Machine, number: int) -> None:
    """Its messages are those of the parent, but it was no side of it under that name."""
    here.create("chat", said(number))
    manager = here.manager()
    manager.rename_session("chat", "talk")
    manager.create_session("twig", branch_from="talk")
    manager.rename_session("twig", "chat")
    assert here.names() == ["chat", "talk"]


def test_messages_from_before_a_name_was_given_anew_are_not_shared(here: Machine, there: Machine) -> None:
    """Two machines make a session anew where one was deleted, and one renames its own: the other has the name."""
    here.create("chat", said("deleted"))
    here.manager().delete_session("chat")
    here.send_to(there)
    here.create("chat", said(SMALLEST))
    there.create("chat", said(SMALL))
    here.manager().rename_session("chat", "talk")
    _exchange(here, there)
    for machine in (here, there):
        assert machine.names() == ["chat", "talk"]
        assert machine.read("chat") == [SMALL]


def test_forks_inside_forks_without_end() -> None:
    """A name with more sides, one inside the other, than Python may recurse: each gets its label."""
    store = Objects(MemoryBackend(), cached_messages=0, compress_threshold=0)
    header, _ = encode_header(Header("chat", "x", TIME, TIME))
    head = State.of(RefKey("x/chat.jsonl"), NO_TOKEN, parse_ref(header, "x"), store, STANDARD)
    trunk = [Chain(f"{number:064x}") for number in range(SIDES)]
    sides = [
        Way(head, [Run(head.messages, 0, [*trunk[:number], Chain(f"{number:08x}" + "f" * 56)])])
        for number in range(SIDES)
    ]
    depth = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(inspect.stack()) + SIDES // 2)
        labels = [label for label, _ in _named(sides, dict.fromkeys(sides, 0), "chat", lambda label: False)]
    finally:
        sys.setrecursionlimit(depth)
    assert labels[0] == "chat"
    assert len(set(labels)) == SIDES
