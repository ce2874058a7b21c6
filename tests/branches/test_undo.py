"""A merge is taken back: both sides are as they were, on every machine, and can be merged again."""

from __future__ import annotations

from pathlib import Path

import pytest
from repo.diverging import exchange
from repo.machines import Machine, said
from storekit import message, open_store, say

from coda_fs_session.repo.lookup.names import resolve
from coda_fs_session.repo.writing.merging import set_apart


def texts_of(machine: Machine) -> dict[str, list[str]]:
    return {name: machine.read(name) for name in machine.names()}


def test_both_sides_are_back(here: Machine, there: Machine, derived: str) -> None:
    """After the undo each side has its name and its messages, wherever the files arrive."""
    before = texts_of(here)
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    entry = here.manager().history("chat").undo()
    assert entry is not None
    assert (entry.kind, entry.messages) == ("undo", len(before["chat"]))
    exchange(here, there)
    assert texts_of(here) == texts_of(there) == before


def test_merging_again_is_as_once(here: Machine, there: Machine, derived: str) -> None:
    """Merge, undo, merge: the same messages in the same order, and one session."""
    here.manager().branches.merge(derived, "chat")
    merged = texts_of(here)
    here.manager().history("chat").undo()
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    assert texts_of(here) == texts_of(there) == merged


def test_two_machines_take_it_back(here: Machine, there: Machine, derived: str) -> None:
    """Both undo the same merge, each in its own store: the same two sides, as if one had done it."""
    before = texts_of(here)
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    for machine in (here, there):
        assert machine.manager().history("chat").undo() is not None
    exchange(here, there)
    assert texts_of(here) == texts_of(there) == before


def test_a_side_that_went_on_is_not_set_apart(here: Machine, there: Machine, derived: str) -> None:
    """Its owner had gone on from the side: after the undo that is the side, and there is no third one."""
    owner, other = (here, there) if here.head(derived).key.replica == here.replica else (there, here)
    other.manager().branches.merge(derived, "chat")
    owner.change(derived, "later")
    exchange(here, there)
    other.manager().history("chat").undo()
    exchange(here, there)
    assert here.names() == there.names() == ["chat", derived]
    assert here.read(derived)[-1] == "later"


def test_one_goes_on_from_the_merge(here: Machine, there: Machine, derived: str) -> None:
    """One machine takes the merge back, another one goes on from it: nothing is lost, and merging again ends it."""
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    here.manager().history("chat").undo()
    there.change("chat", "from the merge")
    exchange(here, there)
    said_by_all = {text for texts in texts_of(here).values() for text in texts}
    assert {"here 1", "here 2", "there 1", "from the merge"} <= said_by_all
    for _ in range(3):
        for name in [name for name in here.names() if name != "chat"]:
            here.manager().branches.merge(name, "chat")
    exchange(here, there)
    assert here.names() == there.names() == ["chat"]
    assert set(here.read("chat")) == said_by_all


def test_a_crash_in_between(here: Machine, there: Machine, derived: str) -> None:
    """What was taken in is apart already, and the undo never came: both are shown, and the next undo ends it."""
    before = texts_of(here)
    here.manager().branches.merge(derived, "chat")
    repo = here.repository()
    head = resolve(repo, "chat").head
    assert head is not None
    assert head.header.generation is not None
    set_apart(repo, head, head.header.generation)
    merged = next(name for name in here.names() if len(here.read(name)) == 23)
    refs = here.refs()
    here.manager().history(merged).undo()
    assert here.refs() == refs
    exchange(here, there)
    assert texts_of(here) == texts_of(there) == before


@pytest.mark.parametrize("backend", ["files", "memory", "sqlite"])
def test_a_branch_that_was_merged(tmp_path: Path, backend: str) -> None:
    """Another session stays as it is, also after the undo; an open object shows what was gone back to."""
    with open_store(tmp_path / "store", backend=backend) as manager:
        trunk = manager.create_session("trunk")
        say(manager, trunk, 0, 1)
        twig = manager.create_session("twig", branch_from="trunk")
        say(manager, twig, 10)
        manager.branches.merge("twig", "trunk")
        assert len(trunk) == 3
        assert manager.history("trunk").undo() is not None
        assert trunk.get_messages() == [message(0), message(1)]
        assert len(twig) == 3
        assert {info.name for info in manager.list_sessions()} == {"trunk", "twig"}
        assert manager.branches.merge("twig", "trunk").added == 1
        manager.branches.cherry_pick("twig", [0], "trunk")
        assert manager.history("trunk").undo() is not None
        assert trunk.get_messages() == [message(0), message(1), message(10)]


def test_a_branch_that_was_deleted_since(here: Machine) -> None:
    """Another session was merged and then deleted: the undo of the merge does not bring it back, it was no side."""
    here.create("trunk", said("a"))
    here.manager().create_session("twig", branch_from="trunk")
    here.change("twig", "b")
    here.manager().branches.merge("twig", "trunk")
    here.manager().delete_session("twig")
    assert here.manager().history("trunk").undo() is not None
    assert texts_of(here) == {"trunk": ["a"]}
    assert [info.name for info in here.manager().deleted_sessions()] == ["twig"]


def test_what_was_taken_away_after_the_undo_stays_away(here: Machine, there: Machine, derived: str) -> None:
    """The side that is set apart still has the base that it had: merged again, it brings back nothing that is older."""
    here.manager().branches.merge(derived, "chat")
    here.manager().history("chat").undo()
    manager = here.manager()
    session = manager.load_session("chat")
    session.messages = [each for each in session.get_messages() if each["content"] != "5"]
    manager.save_session(session)
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    assert texts_of(here) == texts_of(there)
    assert sorted(here.read("chat")) == sorted(
        [*map(str, range(5)), *map(str, range(6, 20)), "here 1", "here 2", "there 1"]
    )


def test_a_merge_of_an_older_time_is_taken_back(here: Machine, there: Machine, derived: str) -> None:
    """Undoing save after save reaches the merge, and then both sides are back."""
    before = texts_of(here)
    here.manager().branches.merge(derived, "chat")
    here.change("chat", "after")
    for _ in range(2):
        assert here.manager().history("chat").undo() is not None
    exchange(here, there)
    assert texts_of(here) == texts_of(there) == before
    assert said("after")[0]["content"] not in str(texts_of(here))


def test_a_side_with_the_name_from_before(here: Machine, there: Machine, derived: str) -> None:
    """A session was renamed, and then took in a side that still had the old name: the undo brings that side back."""
    here.manager().rename_session(derived, "talk")
    before = texts_of(here)
    assert here.manager().branches.merge("chat", "talk").name == "talk"
    assert here.names() == ["talk"]
    assert here.manager().history("talk").undo() is not None
    assert texts_of(here) == before
    exchange(here, there)
    assert texts_of(there) == before
