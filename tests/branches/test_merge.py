"""Merging: a divergence ends, whoever merges, and however the files travel."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from compat.reading import needs_zstdcat, read_store
from repo.diverging import exchange
from repo.machines import Machine, contents, said

from coda_fs_session import Session, SessionManager, SessionNotFoundError, SessionTooLargeError

OLD = [str(number) for number in range(20)]


def new(machine: Machine, name: str = "chat") -> list[str]:
    """Return what a session has after the messages that both machines began with."""
    texts = machine.read(name)
    assert texts[:20] == OLD
    return texts[20:]


def side_of(machine: Machine, derived: str) -> tuple[list[str], list[str]]:
    return new(machine), new(machine, derived)


def test_a_divergence_ends(here: Machine, there: Machine, derived: str) -> None:
    """After a merge one session is left, with the messages of both sides once, and so on every machine."""
    kept, other = side_of(here, derived)
    report = here.manager().branches.merge(derived, "chat")
    assert (report.name, report.added, report.removed, report.interleaved) == ("chat", len(other), 0, False)
    assert here.names() == ["chat"]
    assert new(here) == kept + other
    info = here.manager().get_session_info("chat")
    assert info is not None
    assert info.sides == ()
    exchange(here, there)
    assert there.names() == ["chat"]
    assert new(there) == kept + other


def test_both_go_on_from_a_merge(here: Machine, there: Machine, derived: str) -> None:
    """Once both have the merge, what either adds follows it."""
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    there.change("chat", "after")
    exchange(here, there)
    here.change("chat", "after that")
    exchange(here, there)
    assert here.names() == there.names() == ["chat"]
    assert new(here) == new(there)
    assert new(here)[-2:] == ["after", "after that"]


def test_two_machines_merge_at_once(here: Machine, there: Machine, derived: str) -> None:
    """The same merge of the same sides on two machines is one step: one session is left, as if one had merged."""
    for machine in (here, there):
        machine.manager().branches.merge(derived, "chat")
    assert here.head("chat").generation_id == there.head("chat").generation_id
    exchange(here, there)
    assert here.names() == there.names() == ["chat"]
    assert new(here) == new(there)
    assert len(new(here)) == 3


def test_two_machines_merge_in_opposite_directions(here: Machine, there: Machine, derived: str) -> None:
    """Two different merges are two sides once more; one more merge ends that, and nothing is there twice."""
    here.manager().branches.merge(derived, "chat")
    there.manager().branches.merge("chat", derived)
    exchange(here, there)
    assert len(here.names()) == 2
    (other,) = set(here.names()) - {"chat"}
    here.manager().branches.merge(other, "chat")
    exchange(here, there)
    assert here.names() == there.names() == ["chat"]
    assert sorted(new(here)) == sorted(new(there)) == ["here 1", "here 2", "there 1"]


def test_merging_again_adds_nothing(here: Machine, there: Machine, derived: str) -> None:
    """A side that went on after it was taken in has its name again; merged once more, only what is new comes."""
    kept, other = side_of(here, derived)
    here.manager().branches.merge(derived, "chat")
    with pytest.raises(SessionNotFoundError):
        here.manager().branches.merge(derived, "chat")
    owner = here if "here 1" in other else there
    # It has not seen the merge yet.
    if owner is there:
        owner.change(derived, "later")
        exchange(here, there)
        assert here.names() == ["chat", derived]
        report = here.manager().branches.merge(derived, "chat")
        assert report.added == 1
        assert new(here) == [*kept, *other, "later"]


def test_the_plain_name_is_inherited(here: Machine, there: Machine, derived: str) -> None:
    """Where the side with the plain name is taken in, the session that is left has that name."""
    report = here.manager().branches.merge("chat", derived)
    assert report.name == "chat"
    exchange(here, there)
    assert here.names() == there.names() == ["chat"]


def test_what_was_taken_away_is_gone(here: Machine, there: Machine) -> None:
    """What one side has removed since they parted is gone, what the other one said since is there."""
    here.create("chat", said(*range(20)))
    exchange(here, there)
    manager = here.manager()
    session = manager.load_session("chat")
    session.messages = said(*OLD[:5], "five", *OLD[6:18])
    manager.save_session(session)
    there.change("chat", "there 1")
    exchange(here, there)
    (derived,) = set(here.names()) - {"chat"}
    report = here.manager().branches.merge(derived, "chat")
    assert here.read("chat") == [*OLD[:5], "five", *OLD[6:18], "there 1"]
    exchange(here, there)
    assert there.read("chat") == here.read("chat")
    assert there.names() == ["chat"]
    assert (report.added, report.removed) in ((1, 0), (1, 3))


@pytest.mark.parametrize("sealed", [False, True])
def test_what_both_have_edited_since(here: Machine, there: Machine, sealed: bool) -> None:
    """Each edits another message of the tail, and so none has the list from before: nothing that was edited is back."""
    here.create("chat", said(*"abc"))
    exchange(here, there)
    # From now on its edits are lines of a ref of its own.
    there.change("chat", "d")
    for machine, edits in ((here, ((0, "A"), (0, "B"))), (there, ((2, "D"), (2, "C")))):
        manager = machine.manager()
        session = manager.load_session("chat")
        for place, text in edits:
            session.messages[place] = said(text)[0]
            manager.save_session(session)
        if sealed:
            machine.change("chat", *(f"{machine.replica} {number} ".ljust(60, "x") for number in range(8)))
    exchange(here, there)
    (other,) = set(here.names()) - {"chat"}
    here.manager().branches.merge(other, "chat")
    assert sorted(text for text in here.read("chat") if len(text) == 1) == sorted("BbCd")


@pytest.mark.parametrize("truncating", ["into", "source"])
def test_hidden_messages(here: Machine, there: Machine, truncating: str) -> None:
    """Messages that one side truncated are not shown after the merge, and stay in the list."""
    here.create("chat", said(*range(20)))
    exchange(here, there)
    manager = here.manager()
    session = manager.load_session("chat")
    session.truncate_messages(4)
    manager.save_session(session)
    there.change("chat", "there 1")
    exchange(here, there)
    names = {len(here.read(name)): name for name in here.names()}
    cut, whole = names[4], names[21]
    source, into = (whole, cut) if truncating == "into" else (cut, whole)
    report = here.manager().branches.merge(source, into)
    assert here.read("chat") == [*OLD[16:], "there 1"]
    assert (report.added, report.removed) == ((1, 0) if truncating == "into" else (0, 16))
    assert here.head("chat").count == 21


def test_messages_that_both_sides_hide(here: Machine, there: Machine) -> None:
    """Each side has truncated further than the base: what either hides is not shown after the merge."""
    here.create("chat", said(*range(20)))
    exchange(here, there)
    for machine, kept in ((here, 8), (there, 4)):
        manager = machine.manager()
        session = manager.load_session("chat")
        session.truncate_messages(kept)
        session.add_message(said(machine.replica)[0])
        manager.save_session(session)
    exchange(here, there)
    (derived,) = set(here.names()) - {"chat"}
    for source, into, machine in ((derived, "chat", here), ("chat", derived, there)):
        machine.manager().branches.merge(source, into)
        assert machine.read("chat")[:-2] == OLD[16:]
        assert sorted(machine.read("chat")[-2:]) == [here.replica, there.replica]


@pytest.mark.parametrize("strategy", ["ours", "theirs"])
def test_one_side_wins(here: Machine, there: Machine, strategy: str) -> None:
    """With "ours" and "theirs", what the other side added at the same place is left out, and its metadata too."""
    here.create("chat", said(*range(20)))
    exchange(here, there)
    for machine, text in ((here, "here 1"), (there, "there 1")):
        manager = machine.manager()
        session = manager.load_session("chat")
        session.add_message(said(text)[0])
        session.update_metadata({"who": text, text: True})
        manager.save_session(session)
    exchange(here, there)
    (derived,) = set(here.names()) - {"chat"}
    ours, theirs = (here.manager().load_session(name) for name in ("chat", derived))
    winner = ours if strategy == "ours" else theirs
    expected = contents(winner), dict(winner.metadata)
    here.manager().branches.merge(derived, "chat", strategy=strategy)  # type: ignore[arg-type]
    exchange(here, there)
    for machine in (here, there):
        assert machine.names() == ["chat"]
        session = machine.manager().load_session("chat")
        assert (contents(session), dict(session.metadata)) == expected


def test_metadata_of_both_sides(here: Machine, there: Machine) -> None:
    """Of each key of metadata the later value counts, and what only one side has set is there."""
    here.create("chat", said("begin"))
    exchange(here, there)
    for machine in (here, there):
        manager = machine.manager()
        session = manager.load_session("chat")
        session.add_message(said(machine.replica)[0])
        session.update_metadata({"last": machine.replica, machine.replica: 1})
        manager.save_session(session)
    exchange(here, there)
    (derived,) = set(here.names()) - {"chat"}
    here.manager().branches.merge(derived, "chat")
    assert dict(here.manager().load_session("chat").metadata) == {
        "last": there.replica,
        here.replica: 1,
        there.replica: 1,
    }


def test_three_sides(here: Machine, there: Machine, third: Machine) -> None:
    """Three sides are merged one after the other, in whatever order the machines do it; then one session is left."""
    here.create("chat", said(*range(20)))
    exchange(here, there)
    here.send_to(third)
    for machine in (here, there, third):
        machine.change("chat", machine.replica)
    exchange(here, there, third)
    assert len(here.names()) == 3
    for machine, reverse in ((here, False), (there, True)):
        for name in sorted(set(machine.names()) - {"chat"}, reverse=reverse):
            machine.manager().branches.merge(name, "chat")
    exchange(here, there, third)
    for name in set(third.names()) - {"chat"}:
        third.manager().branches.merge(name, "chat")
    exchange(here, there, third)
    for machine in (here, there, third):
        assert machine.names() == ["chat"]
        assert sorted(new(machine)) == sorted(each.replica for each in (here, there, third))


def test_another_session_stays_as_it_is(here: Machine) -> None:
    """A branch that is merged into its parent stays; merged again, only what it has said since comes."""
    here.create("trunk", said(*range(20)))
    manager = here.manager()
    manager.create_session("twig", branch_from="trunk", at=10)
    here.change("twig", "twig 1")
    here.change("trunk", "trunk 1")
    report = here.manager().branches.merge("twig", "trunk")
    assert (report.name, report.added, report.removed) == ("trunk", 1, 0)
    # Both added something after the first ten messages: what trunk added comes first.
    assert here.read("trunk") == [*OLD, "trunk 1", "twig 1"]
    assert here.read("twig") == [*OLD[:10], "twig 1"]
    files = {path: path.read_bytes() for path in here.refs()}
    again = here.manager().branches.merge("twig", "trunk")
    assert (again.added, again.entry) == (0, report.entry)
    assert {path: path.read_bytes() for path in here.refs()} == files
    here.change("twig", "twig 2")
    assert here.manager().branches.merge("twig", "trunk").added == 1
    assert here.manager().branches.merge("trunk", "twig").added == 11
    assert sorted(here.read("twig")) == sorted(here.read("trunk"))


def test_what_is_open_is_saved_and_shows_the_result(here: Machine, derived: str) -> None:
    """Unsaved messages of both sides take part, and every open object of them shows the merged session."""
    manager = here.manager()
    into, source = manager.load_session("chat"), manager.load_session(derived)
    into.add_message(said("unsaved here")[0])
    source.add_message(said("unsaved there")[0])
    manager.branches.merge(derived, "chat")
    assert contents(into) == contents(source)
    assert (into.name, source.name) == ("chat", "chat")
    assert {"unsaved here", "unsaved there"} <= set(contents(into))
    for number, session in itertools.product(range(2), (into, source)):
        session.add_message(said(f"{number} {session is into}")[0])
        manager.save_session(session)
    assert manager.list_sessions()[0].message_count == 20 + 5 + 4
    assert here.names() == ["chat"]


def test_a_stale_save_follows_a_merge(here: Machine, derived: str) -> None:
    """Another process that had the session open saves: its message follows the merge, and becomes no branch."""
    stale = here.manager()
    session = stale.load_session("chat")
    here.manager().branches.merge(derived, "chat")
    session.add_message(said("stale")[0])
    stale.save_session(session)
    assert here.names() == ["chat"]
    assert here.read("chat")[-1] == "stale"
    assert len(here.read("chat")) == 24


def test_a_process_that_has_the_side_open(here: Machine, there: Machine, derived: str) -> None:
    """Another process goes on with a side that was taken in: what it adds is lost nowhere, and can be merged."""
    other = here.manager()
    session = other.load_session(derived)
    here.manager().branches.merge(derived, "chat")
    session.add_message(said("later")[0])
    other.save_session(session)
    texts = [text for name in here.names() for text in here.read(name)]
    assert "later" in texts
    for name in set(here.names()) - {"chat"}:
        here.manager().branches.merge(name, "chat")
    assert sorted(here.read("chat")[20:]) == ["here 1", "here 2", "later", "there 1"]


def test_errors(here: Machine, derived: str) -> None:
    """What cannot be merged is refused at once, and changes nothing."""
    branches = here.manager().branches
    before = {path: path.read_bytes() for path in here.refs()}
    with pytest.raises(ValueError, match="itself"):
        branches.merge("chat", "chat")
    with pytest.raises(ValueError, match="strategy"):
        branches.merge(derived, "chat", strategy="mine")  # type: ignore[arg-type]
    for names in (("none", "chat"), ("chat", "none")):
        with pytest.raises(SessionNotFoundError):
            branches.merge(*names)
        with pytest.raises(SessionNotFoundError):
            branches.diff(*names)
        with pytest.raises(SessionNotFoundError):
            branches.cherry_pick(names[0], [0], names[1])
    with pytest.raises(IndexError):
        branches.cherry_pick(derived, [0, 1000], "chat")
    with pytest.raises(TypeError):
        branches.cherry_pick(derived, [True], "chat")
    assert {path: path.read_bytes() for path in here.refs()} == before


def test_a_result_that_is_too_large(tmp_path: Path) -> None:
    """A merge that would make a session larger than it may be is refused, and changes nothing."""
    options = {"backend": "memory", "autosave_interval": 0, "max_session_size": 1}
    manager = SessionManager({"session": options})
    for name in ("one", "other"):
        manager.save_session(Session(name, [{"content": name + str(n) + "x" * 100_000} for n in range(6)]))
    before = manager.load_session("one").revision
    with pytest.raises(SessionTooLargeError):
        manager.branches.merge("other", "one")
    assert manager.load_session("one").revision == before


def test_branches_of_a_session(here: Machine) -> None:
    """The branches of a session are listed, those of others are not."""
    here.create("trunk", said("a", "b"))
    manager = here.manager()
    for name, parent in (("twig", "trunk"), ("leaf", "twig"), ("bough", "trunk")):
        manager.create_session(name, branch_from=parent)
    assert {info.name for info in manager.branches.of("trunk")} == {"twig", "bough"}
    assert [info.name for info in manager.branches.of("twig")] == ["leaf"]
    assert manager.branches.of("leaf") == []
    with pytest.raises(SessionNotFoundError):
        manager.branches.of("none")


def test_diff_of_two_sessions(here: Machine, derived: str) -> None:
    """Two sessions are compared as they are stored."""
    found = here.manager().branches.diff("chat", derived)
    assert found.common == 20
    assert found
    assert not here.manager().branches.diff("chat", "chat")


@needs_zstdcat
def test_another_reader_finds_the_same(here: Machine, there: Machine, derived: str) -> None:
    """A reader that knows the format alone shows one session after the merge."""
    here.manager().branches.merge(derived, "chat")
    exchange(here, there)
    assert read_store(here.store).split(b"\t")[1:] == [b"chat\n"]
    texts = [json.loads(line)["content"] for line in read_store(here.store, "chat").splitlines()]
    assert texts == here.read("chat")
