"""States of refs as values: what was read stays as it was, whatever comes after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from storekit import Opener

from coda_fs_session import Session
from coda_fs_session.repo.content.state import State
from coda_fs_session.repo.storage import engine_of

from .machines import Machine, said


def state_of(manager: Any, session: Session) -> State:
    engine = engine_of(manager._storage)
    assert engine is not None
    return engine._cursors[session].state


def told(state: State) -> tuple[object, ...]:
    """Return all that a state says."""
    lines = list(state.messages.read(0, state.count))
    own = (state.token, state.size, state.updated, dict(state.metadata), list(state.line_ids), list(state.saves))
    return (*own, lines, state.messages.lines, state.chain, state.live_bytes, state.messages.tail_bytes)


def edit(session: Session) -> None:
    session.messages[-1]["content"] = "edited"


CHANGES: list[Callable[[Session], object]] = [
    *[lambda session: session.add_message(said("more")[0])] * 3,
    edit,
    lambda session: session.update_metadata({"a": 1}),
    lambda session: session.messages.extend(said(*range(30))),
    lambda session: session.truncate_messages(3),
    lambda session: session.add_message(said("again")[0]),
]


def test_a_state_stays_as_it_was(here: Machine) -> None:
    """After every kind of save, all earlier states say what they said, and read the messages that they had."""
    manager = here.manager()
    session = manager.create_session("chat")
    known: list[tuple[State, tuple[object, ...]]] = []
    for change in CHANGES:
        change(session)
        manager.save_session(session)
        state = state_of(manager, session)
        known.append((state, told(state)))
        for before, what in known:
            assert told(before) == what
    assert len({state for state, _ in known}) == len(known)


def test_two_that_go_on_from_one_state_have_lines_of_their_own(here: Machine) -> None:
    """States share the lines that they have in common; what comes after them is in each alone."""
    here.create("chat", said(1, 2))
    manager = here.manager()
    session = manager.load_session("chat")
    start = state_of(manager, session).messages
    one, other = start.extended([b"1"]), start.extended([b"2"])
    third = one.extended([b"3"])
    assert [each.lines[2:] for each in (start, one, other, third)] == [[], [b"1"], [b"2"], [b"1", b"3"]]
    assert [each.count for each in (start, one, other, third)] == [2, 3, 3, 4]
    assert len({each.chain_at(each.count) for each in (start, one, other, third)}) == 4


def test_a_save_that_is_interrupted_leaves_the_state(make: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes while a session takes a save in, it stands on a whole state, and the save is in the store once."""
    manager = make()
    session = manager.create_session("chat")
    session.add_message(said("first")[0])
    manager.save_session(session)
    advance, calls = session._state.copy.advance, []

    def interrupted(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        advance(*arguments)

    monkeypatch.setattr(session._state.copy, "advance", interrupted)
    session.add_message(said("second")[0])
    with pytest.raises(KeyboardInterrupt):
        manager.save_session(session)
    assert not session.has_unsaved_changes
    assert state_of(manager, session).live_count == 2
    manager.save_session(session)
    session.reload()
    assert [each["content"] for each in session.messages] == ["first", "second"]
