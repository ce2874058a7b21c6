"""Tags of sides that are merged: of each label the later one counts, on every machine."""

from __future__ import annotations

from repo.diverging import exchange
from repo.machines import Machine, contents


def tags_of(machine: Machine, name: str = "chat") -> dict[str, list[str]]:
    """Return what each tag of a session names: the messages after those that both machines began with."""
    history = machine.manager().history(name)
    return {label: contents(history.at(label))[20:] for label in history.tags()}


def test_tags_of_both_sides(here: Machine, there: Machine, derived: str) -> None:
    """After a merge the session has the tags of both sides, each of the state that it named."""
    here.manager().history("chat").tag("kept")
    there.manager().history(derived).tag("other")
    kept, other = tags_of(here)["kept"], tags_of(there, derived)["other"]
    exchange(here, there)
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    assert tags_of(here) == tags_of(there) == {"kept": kept, "other": other}


def test_tags_come_with_the_merge_alone(here: Machine, there: Machine, third: Machine, derived: str) -> None:
    """A machine that has nothing but the merged session has the tags and the metadata of both sides."""
    owner, other = (here, there) if here.head(derived).key.replica == here.replica else (there, here)
    manager = owner.manager()
    session = manager.load_session(derived)
    session.update_metadata({"mood": "good"})
    manager.save_session(session)
    manager.history(derived).tag("other")
    named = tags_of(owner, derived)
    exchange(here, there)
    other.manager().branches.merge(derived, "chat")
    third.store.mkdir(parents=True)
    other.send_to(third)
    assert tags_of(third) == named
    assert third.manager().load_session("chat").metadata == {"mood": "good"}


def test_one_label_on_both_sides(here: Machine, there: Machine, derived: str) -> None:
    """Of a label that both sides have, the later tag counts, whichever side it is on and whatever the strategy."""
    here.manager().history("chat").tag("final")
    there.manager().history(derived).tag("final")
    later = tags_of(there, derived)
    exchange(here, there)
    here.manager().branches.merge(derived, "chat", strategy="ours")
    exchange(here, there)
    assert tags_of(here) == tags_of(there) == later


def test_a_tag_that_one_side_took_away(here: Machine, there: Machine, derived: str) -> None:
    """A tag that was taken away after the other side had it does not come back with a merge."""
    here.manager().history("chat").tag("final")
    exchange(here, there)
    there.manager().history(derived).tag("final")
    exchange(here, there)
    here.manager().history("chat").untag("final")
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    assert tags_of(here) == tags_of(there) == {}


def test_an_undo_of_the_merge_leaves_tags(here: Machine, there: Machine, derived: str) -> None:
    """Each side has its own tags again after the undo; what came with the merge stays where it came to."""
    there.manager().history(derived).tag("other")
    named = tags_of(there, derived)
    exchange(here, there)
    here.manager().branches.merge(derived, "chat")
    here.manager().history("chat").undo()
    exchange(here, there)
    assert tags_of(here, derived) == tags_of(there, derived) == named
    assert tags_of(here) == tags_of(there) == named


def test_tags_of_another_session_stay_there(here: Machine, derived: str) -> None:
    """A branch that is merged keeps its tags to itself."""
    manager = here.manager()
    twig = manager.create_session("twig", branch_from="chat")
    twig.add_message({"role": "user", "content": "more"})
    manager.save_session(twig)
    manager.history("twig").tag("mine")
    assert manager.branches.merge("twig", "chat").added == 1
    assert tags_of(here) == {}
    assert list(tags_of(here, "twig")) == ["mine"]
