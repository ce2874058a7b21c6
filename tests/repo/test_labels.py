"""By what names the sides of a name go, and that working on one side renames no other."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from coda_fs_session.format.ids import CHAIN_START, chain_message

from .machines import Machine, said

SMALLEST, SMALL, LARGE = sorted("xyz", key=lambda text: chain_message(CHAIN_START, orjson.dumps(said(text)[0])))
"""Texts that, as first messages, are steps in this order."""


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "there", "there-00000002")


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
