"""Branches: what they hold, what they cost, and asking for the same one twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from coda_fs_session import SessionExistsError, SessionNotFoundError
from coda_fs_session.format.chunks import STANDARD

from .machines import Machine, contents, said


def numbers(length: int) -> list[str]:
    return [str(number) for number in range(length)]


def files(machine: Machine) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in machine.store.rglob("*") if path.is_file()}


@pytest.mark.parametrize("length", [0, 1, 5, 40])
def test_a_branch_at_every_message(here: Machine, length: int) -> None:
    """At every message a branch holds what came before, says where it forked, and leaves every older file as it was."""
    here.create("main", said(*range(length)))
    manager = here.manager()
    for at in range(length + 1):
        before = files(here)
        branch = manager.create_session(f"at {at}", branch_from="main", at=at)
        assert contents(branch) == here.read(f"at {at}") == numbers(length)[:at]
        info = here.manager().get_session_info(f"at {at}")
        assert info is not None
        assert (info.parent, info.forked_at, info.message_count) == ("main", at, at)
        assert branch.parent == "main"
        assert before.items() <= files(here).items()
    here.change("main", "on")
    here.change(f"at {length}", "aside")
    assert here.read("main") == [*numbers(length), "on"]
    assert here.read(f"at {length}") == [*numbers(length), "aside"]


def test_a_branch_of_a_session_that_was_renamed_elsewhere(here: Machine) -> None:
    """Bug: a branch of an open object with changes was listed as of the name that its session had had before."""
    here.create("before", said(0, 1, 2, 3))
    manager = here.manager()
    session = manager.load_session("before")
    session.messages = said(5, 6, 7)
    here.manager().rename_session("before", "after")
    manager.delete_session("before", missing_ok=True)
    assert session.name == "after"
    manager.create_session("branch", branch_from="after")
    info = here.manager().get_session_info("branch")
    assert info is not None
    assert (info.parent, info.forked_at, here.read("branch")) == ("after", 3, ["5", "6", "7"])


def test_a_branch_takes_unsaved_changes(here: Machine) -> None:
    """A branch has what the parent's open object holds, edits included; the parent stays as it is stored."""
    here.create("main", said(*range(12)))
    manager = here.manager()
    main = manager.load_session("main")
    main.messages[3]["content"] = "edited"
    main.add_message(said("unsaved")[0])
    main.update_metadata({"topic": "unsaved"})
    branch = manager.create_session("branch", branch_from="main")
    expected = [*numbers(3), "edited", *numbers(12)[4:], "unsaved"]
    assert contents(branch) == here.read("branch") == expected
    assert here.manager().load_session("branch").metadata == {"topic": "unsaved"}
    early = manager.create_session("early", branch_from="main", at=4)
    assert contents(early) == expected[:4]
    assert here.read("main") == numbers(12)
    manager.save_session(main)
    assert here.read("main") == expected


def test_a_branch_of_a_truncated_session(here: Machine) -> None:
    """`at` counts the messages that are shown; what the parent hides the branch does not show either."""
    here.create("main", said(*range(30)))
    manager = here.manager()
    main = manager.load_session("main")
    main.truncate_messages(10)
    manager.save_session(main)
    assert contents(manager.create_session("branch", branch_from="main", at=4)) == ["20", "21", "22", "23"]
    main.truncate_messages(5)
    assert contents(manager.create_session("unsaved", branch_from="main", at=2)) == ["25", "26"]
    assert here.read("branch") == ["20", "21", "22", "23"]
    assert here.read("unsaved") == ["25", "26"]
    here.change("unsaved", *range(40))
    assert here.read("unsaved") == ["25", "26", *numbers(40)]


def test_scripts_can_run_twice(here: Machine) -> None:
    """Asking again for the same branch of the same parent loads it; for another `at` or parent it raises."""
    here.create("main", said(*range(5)))
    here.create("other", [])
    for _ in range(2):
        manager = here.manager()
        branch = manager.create_session("branch", branch_from="main", at=3)
        branch.add_message(said("own")[0])
        manager.save_session(branch)
    assert here.read("branch") == ["0", "1", "2", "own", "own"]
    manager = here.manager()
    assert contents(manager.create_session("branch", branch_from="main")) == here.read("branch")
    for parent, at in (("main", 4), ("other", None), ("branch", None), ("missing", None)):
        with pytest.raises(SessionExistsError):
            manager.create_session("branch", branch_from=parent, at=at)
    with pytest.raises(SessionExistsError):
        manager.create_session("main", branch_from="branch")


@pytest.mark.parametrize("fate", ["renamed", "deleted"])
def test_parents_may_go_their_way(here: Machine, fate: str) -> None:
    """A branch is untouched by what becomes of its parent, and is found as its branch through a rename."""
    here.create("main", said(*range(20)))
    manager = here.manager()
    manager.create_session("branch", branch_from="main")
    if fate == "renamed":
        manager.rename_session("main", "trunk")
        again = manager.create_session("branch", branch_from="trunk")
    else:
        manager.delete_session("main")
        again = manager.create_session("branch", branch_from="main")
    assert contents(again) == here.read("branch") == numbers(20)


def test_what_cannot_be_branched(here: Machine) -> None:
    """A missing parent and an impossible `at` raise, and leave no session behind."""
    here.create("main", said(*range(3)))
    manager = here.manager()
    with pytest.raises(SessionNotFoundError):
        manager.create_session("branch", branch_from="missing")
    for at in (-1, 4, 1.0, True):
        with pytest.raises(ValueError):
            manager.create_session("branch", branch_from="main", at=at)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        manager.create_session("new", at=1)
    assert here.names() == ["main"]


def test_forks_at_one_point_share_their_tail(here: Machine) -> None:
    """A hundred forks at one point add their refs and at most one object, whatever the parent's length."""
    manager = here.manager(sizes=STANDARD)
    main = manager.create_session("main")
    main.messages = said(*(f"{number} " + "x" * 400 for number in range(1000)))
    manager.save_session(main)
    before = set(here.store.glob("objects/*/*"))
    for number in range(100):
        manager.create_session(f"fork {number}", branch_from="main")
    assert len(set(here.store.glob("objects/*/*")) - before) <= 1
    assert sum(path.stat().st_size for path in here.refs() if "fork" in path.name) < 100 * 2000
