"""After a merge, all that the session which was taken in had been can still be seen and gone back to."""

from __future__ import annotations

from pathlib import Path

import pytest
from repo.diverging import apart, exchange
from repo.machines import Machine, contents, said

from coda_fs_session import HistoryError
from coda_fs_session.repo.ancestry.merges import frozen
from coda_fs_session.repo.history.moments import moments
from coda_fs_session.repo.history.places import find_state, looks_like_id


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "here", "here-00000001")


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "there", "there-00000002")


@pytest.fixture
def derived(here: Machine, there: Machine) -> str:
    """The derived name of one side of "chat"; each side has had a message edited that it does not have any more."""
    here.create("chat", said(*range(20)))
    exchange(here, there)
    for machine, texts in ((here, ("h1", "h2")), (there, ("t1", "t2"))):
        manager = machine.manager()
        session = manager.load_session("chat")
        session.add_message(said(texts[0])[0])
        manager.save_session(session)
        session.messages[-1] = said(texts[1])[0]
        manager.save_session(session)
    exchange(here, there)
    (name,) = set(here.names()) - {"chat"}
    return name


def ends(machine: Machine, name: str) -> dict[str, str]:
    """Return the last message of each state of a session, by the id of its entry; "" for none."""
    history = machine.manager().history(name)
    return {entry.id: (contents(history.at(entry.id)) or [""])[-1] for entry in history}


def test_what_the_side_was_comes_after_the_merge(here: Machine, there: Machine, derived: str) -> None:
    """The side's own states stand right after the merge, on every machine; what both have had is there once."""
    texts = here.read(derived)[-1], here.read("chat")[-1]
    merged, kept = (text[0] for text in texts)
    own = ends(here, "chat")
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    for machine in (here, there):
        after = ends(machine, "chat")
        assert list(after.values()) == [f"{merged}2", f"{merged}2", f"{merged}1", *own.values()]
        assert list(own.values())[:2] == [f"{kept}2", f"{kept}1"]
        assert list(after)[3:] == list(own)
        sides = [entry.side for entry in machine.manager().history("chat")]
        assert sides == ["", "chat", "chat", *[""] * len(own)]


def test_it_can_be_gone_back_to(here: Machine, there: Machine, derived: str) -> None:
    """`restore`, a branch and a tag take the id of such an entry; an undo goes on from where that one went."""
    here.manager().branches.merge(derived, "chat")
    manager = here.manager()
    history = manager.history("chat")
    newest, oldest = (entry for entry in history if entry.side)
    was = contents(history.at(oldest.id))
    assert was[:-1] == [str(number) for number in range(20)]
    assert contents(manager.create_session("other", branch_from="chat", at=oldest.id)) == was
    history.tag("theirs", oldest.id)
    assert contents(history.at("theirs")) == was
    history.restore(newest.id)
    assert contents(manager.load_session("chat"))[-1][1] == "2"
    history.undo()
    assert contents(manager.load_session("chat")) == was
    history.undo()
    assert contents(manager.load_session("chat")) == was[:-1]
    exchange(here, there)
    assert here.read("chat") == there.read("chat") == was[:-1]


def test_a_side_that_went_on_is_listed_once(here: Machine, there: Machine, derived: str) -> None:
    """Its owner goes on, and it is merged again: what the first merge brought is not listed a second time."""
    owner, other = (here, there) if here.head(derived).key.replica == here.replica else (there, here)
    other.manager().branches.merge(derived, "chat")
    owner.change(derived, "later")
    exchange(here, there)
    (side,) = set(other.names()) - {"chat"}
    other.manager().branches.merge(side, "chat")
    entries = list(other.manager().history("chat"))
    first, second = (entry for entry in entries if entry.kind == "merge")
    listed = [entry for entry in entries if entry.side]
    assert len({(entry.messages, entry.kind, entry.time) for entry in listed}) == len(listed) == 3
    assert {entry.id.partition("/")[0] for entry in listed} == {first.id.partition(":")[0]}
    assert ends(other, "chat")[listed[0].id] == "later"
    assert entries.index(second) > entries.index(listed[-1])


def test_a_side_of_a_side(here: Machine, there: Machine, derived: str) -> None:
    """A session that had merged something is merged itself: the states of both are there."""
    here.create("third", said("one"))
    here.change("third", "two")
    here.manager().branches.merge("third", derived)
    here.manager().branches.merge(derived, "chat")
    found = {entry.side: entry for entry in here.manager().history("chat") if entry.id.count("/") == 2}
    assert list(found) == ["third"]
    assert ends(here, "chat")[found["third"].id] in ("", "one")
    here.manager().history("chat").restore(found["third"].id)


def test_a_merge_of_a_side_is_taken_back(tmp_path: Path, here: Machine, there: Machine) -> None:
    """Bug: back at a merge that a side had made, undo ended in an AssertionError. What that took in is one again."""
    third = Machine(tmp_path / "third", "third-00000003")
    here.create("chat", said("a"))
    for machine in (there, third):
        exchange(here, machine)
    for machine, text in ((here, "h"), (there, "t"), (third, "3")):
        machine.change("chat", text)
    exchange(there, third)
    (one, other) = there.names()
    there.manager().branches.merge(other, one)
    assert len(there.read("chat")) == 3
    exchange(here, there)
    (into,) = (name for name in here.names() if "h" in here.read(name))
    (source,) = set(here.names()) - {into}
    report = here.manager().branches.merge(source, into)
    history = here.manager().history(report.name)
    theirs = next(entry for entry in history if entry.kind == "merge" and entry.side)
    history.restore(theirs.id)
    assert sorted(here.read(report.name)) == ["3", "a", "t"]
    history.undo()
    assert sorted(map(here.read, here.names())) == [["a", "3"], ["a", "t"]]


def test_sides_that_began_apart(here: Machine, there: Machine) -> None:
    """Both have their first state without a step and with as many messages: they are told apart by what they say."""
    derived = apart(here, there, "chat")
    here.manager().branches.merge(derived, "chat")
    head = here.head("chat")
    assert head.header.generation is not None
    (taken,) = head.header.generation.merged
    assert taken.state in [moment.name_of_state() for moment in moments(frozen(head, taken.commit))]
    for state in (taken.state, *(moment.name_of_state() for moment in moments(head))):
        assert next(find_state(head, state)).name_of_state() == state


def test_a_side_that_has_not_arrived(here: Machine) -> None:
    """What was taken in is missing: one entry says so, and what the session was itself comes after it."""
    here.create("chat", said("a"))
    here.create("other", said("b"))
    own = ends(here, "chat")
    merge = here.manager().branches.merge("other", "chat").entry
    generation = here.head("chat").header.generation
    assert generation is not None
    commit = generation.merged[0].commit.id
    (file,) = (here.store / "objects" / commit[:2]).glob(f"{commit}*")
    file.unlink()
    entries = list(here.manager().history("chat"))
    shown = [(entry.expired, bool(entry.side)) for entry in entries]
    assert shown == [(False, False), (True, True), *[(False, False)] * len(own)]
    assert entries[0].id == merge
    with pytest.raises(HistoryError, match="are not in the store any more"):
        here.manager().history("chat").at(entries[1].id)


def test_two_deleted_sessions_of_one_name(here: Machine, derived: str) -> None:
    """Both sides are deleted: each is listed by its own name, and can be brought back."""
    before = {name: here.read(name) for name in here.names()}
    manager = here.manager()
    for name in (derived, "chat"):
        manager.delete_session(name)
    assert {info.name: info.message_count for info in manager.deleted_sessions()} == {"chat": 21, derived: 21}
    for name in (derived, "chat"):
        manager.history(name).restore()
        assert here.read(name) == before[name]
    assert here.manager().deleted_sessions() == []


@pytest.mark.parametrize("label", ["0123456789ab/000000000000:3", "0123456789ab.1/0", "deadbeef:1:0", "deadbeef"])
def test_labels_that_could_be_ids(label: str) -> None:
    assert looks_like_id(label)
