"""Merging with a session that has a name from before: a side of one session is taken in, and another session stays."""

from __future__ import annotations

import json

from compat.reading import needs_zstdcat, read_store
from repo.diverging import exchange
from repo.machines import Machine, said


def texts_of(machine: Machine, name: str) -> list[str]:
    """Return what a reader without the package shows of a session."""
    return [json.loads(line)["content"] for line in read_store(machine.store, name).splitlines()]


def listed_in(machine: Machine) -> list[str]:
    """Return the names that such a reader lists."""
    return sorted(line.split("\t", 1)[1] for line in read_store(machine.store).decode().splitlines())


@needs_zstdcat
def test_a_session_with_a_name_from_before_stays(here: Machine, there: Machine) -> None:
    """Bug: what has the name that a session had before, and was never a side of it, was gone after a merge."""
    here.create("plan", said("a"))
    here.manager().rename_session("plan", "old plan")
    here.create("plan", said("b"))
    here.manager().branches.merge("plan", "old plan")
    exchange(here, there)
    for machine in (here, there):
        assert machine.names() == listed_in(machine) == ["old plan", "plan"]
        assert machine.read("old plan") == ["a", "b"]
        assert machine.read("plan") == ["b"]
        assert texts_of(machine, "plan") == ["b"]


@needs_zstdcat
def test_a_side_that_was_renamed_takes_in_the_other(here: Machine, there: Machine) -> None:
    """One side was renamed while the other went on: after a merge there is one session, with the new name."""
    here.create("plan", said("a"))
    exchange(here, there)
    there.change("plan", "b")
    here.manager().rename_session("plan", "new plan")
    here.change("new plan", "c")
    exchange(here, there)
    here.manager().branches.merge("plan", "new plan")
    exchange(here, there)
    for machine in (here, there):
        assert machine.names() == listed_in(machine) == ["new plan"]
        assert sorted(machine.read("new plan")) == sorted(texts_of(machine, "new plan")) == ["a", "b", "c"]


def test_a_branch_of_what_had_the_name_of_another_session(here: Machine) -> None:
    """Bug: its parent's name was given to another session; merging that twice brought what the first merge left out."""
    here.create("plan", said("a"))
    here.manager().create_session("idea", branch_from="plan")
    here.manager().rename_session("plan", "old plan")
    here.create("plan", said("b"))
    here.manager().branches.merge("plan", "idea", strategy="ours")
    assert here.read("idea") == ["a"]
    assert here.manager().branches.merge("plan", "idea").added == 0
    assert here.read("idea") == ["a"]


def test_a_branch_of_a_session_that_was_cleared_before(here: Machine) -> None:
    """Bug: what a branch took from its parent, and took away, came back with the next merge."""
    here.create("plan", said("before"))
    manager = here.manager()
    session = manager.load_session("plan")
    session.clear_messages()
    manager.save_session(session)
    here.change("plan", "a")
    here.manager().create_session("idea", branch_from="plan")
    here.change("plan", "b")
    here.change("idea", "c")
    here.manager().branches.merge("plan", "idea")
    manager = here.manager()
    session = manager.load_session("idea")
    session.messages = said("a", "c")
    manager.save_session(session)
    assert here.manager().branches.merge("plan", "idea").added == 0
    assert here.read("idea") == ["a", "c"]
