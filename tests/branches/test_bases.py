"""What a branch and its parent have in common: what was taken away since then does not come back with a merge."""

from __future__ import annotations

import pytest
from repo.machines import Machine, said


@pytest.mark.parametrize("before", ["nothing", "rename", "delete"])
def test_a_message_taken_away_since_the_fork_stays_away(here: Machine, before: str) -> None:
    """The base of a branch and its parent is where it began, also where the parent had been edited before that."""
    manager = here.manager()
    if before == "delete":
        # There was another session of its name.
        here.create("twig", said("old"))
        manager.delete_session("twig")
    here.create("trunk", said(*range(5)))
    session = manager.load_session("trunk")
    session.messages = said(0, 1, "two", 3, 4)
    manager.save_session(session)
    manager.create_session("twig", branch_from="trunk")
    if before == "rename":
        manager.rename_session("trunk", "stem")
    session.messages = said(0, 1, 3, 4)
    manager.save_session(session)
    here.change("twig", "twig 1")
    here.manager().branches.merge("twig", session.name)
    assert here.read(session.name) == ["0", "1", "3", "4", "twig 1"]


def test_a_message_that_the_branch_took_away(here: Machine) -> None:
    """The parent is merged into its branch: what the branch took away stays away there."""
    here.create("trunk", said(*range(5)))
    manager = here.manager()
    trunk = manager.load_session("trunk")
    trunk.messages = said(0, 1, "two", 3, 4)
    manager.save_session(trunk)
    twig = manager.create_session("twig", branch_from="trunk")
    twig.messages = said(0, 1, 3, 4)
    manager.save_session(twig)
    here.change("trunk", "trunk 1")
    here.manager().branches.merge("trunk", "twig")
    assert here.read("twig") == ["0", "1", "3", "4", "trunk 1"]


@pytest.mark.parametrize("picked", [False, True])
def test_hidden_messages_of_the_other_side(here: Machine, picked: bool) -> None:
    """What a session said since the fork and has truncated is not shown after a merge, nor is what was before that."""
    here.create("trunk", said(*range(5)))
    here.manager().create_session("twig", branch_from="trunk")
    here.change("twig", *"abcd")
    manager = here.manager()
    twig = manager.load_session("twig")
    twig.truncate_messages(2)
    manager.save_session(twig)
    here.change("trunk", "trunk 1")
    if picked:
        here.manager().branches.cherry_pick("twig", [1], "trunk")
    report = here.manager().branches.merge("twig", "trunk")
    assert here.read("trunk") == ["trunk 1", "c", "d"]
    assert (report.added, report.removed) == (1 if picked else 2, 5)
