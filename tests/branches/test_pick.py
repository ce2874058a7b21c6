"""Picking messages: they come once, and a later merge does not bring them again."""

from __future__ import annotations

from repo.machines import Machine, said


def test_cherry_pick(here: Machine) -> None:
    """What is picked comes at the end, in the order that was asked for; a later merge does not bring it again."""
    here.create("trunk", said("a", "b", "ok"))
    here.manager().create_session("twig", branch_from="trunk", at=2)
    here.change("twig", "ok", "idea", "ok", "more")
    report = here.manager().branches.cherry_pick("twig", [3, 2], "trunk")
    assert (report.name, report.added) == ("trunk", 2)
    assert here.read("trunk") == ["a", "b", "ok", "idea", "ok"]
    assert here.read("twig") == ["a", "b", "ok", "idea", "ok", "more"]
    here.manager().branches.merge("twig", "trunk")
    assert sorted(here.read("trunk")) == sorted(["a", "b", "ok", "idea", "ok", "more"])


def test_what_was_picked_and_taken_away_stays_away(here: Machine) -> None:
    """A picked message that was edited or removed since does not come back with a merge."""
    here.create("trunk", said("a"))
    here.manager().create_session("twig", branch_from="trunk")
    here.change("twig", "idea", "more")
    here.manager().branches.cherry_pick("twig", [1], "trunk")
    manager = here.manager()
    session = manager.load_session("trunk")
    session.messages = said("a", "better idea")
    manager.save_session(session)
    here.manager().branches.merge("twig", "trunk")
    assert sorted(here.read("trunk")) == ["a", "better idea", "more"]


def test_a_picked_text_that_was_there_before(here: Machine) -> None:
    """The text that was picked and removed stands in the base too: that one stays, and the other does not come back."""
    here.create("trunk", said("a", "ok"))
    here.manager().create_session("twig", branch_from="trunk")
    here.change("twig", "ok", "more")
    here.manager().branches.cherry_pick("twig", [2], "trunk")
    manager = here.manager()
    session = manager.load_session("trunk")
    assert len(session) == 3
    session.messages = said("A", "ok")
    manager.save_session(session)
    here.manager().branches.merge("twig", "trunk")
    assert here.read("trunk") == ["A", "ok", "more"]


def test_a_session_that_was_renamed_after_the_pick(here: Machine) -> None:
    """What was picked from a session by the name that it had then does not come again with a merge."""
    here.create("trunk", said("a"))
    here.manager().create_session("twig", branch_from="trunk")
    here.change("twig", "idea", "more")
    here.manager().branches.cherry_pick("twig", [1], "trunk")
    manager = here.manager()
    manager.rename_session("twig", "bough")
    session = manager.load_session("trunk")
    session.messages = said("a")
    manager.save_session(session)
    here.manager().branches.merge("bough", "trunk")
    assert here.read("trunk") == ["a", "more"]
