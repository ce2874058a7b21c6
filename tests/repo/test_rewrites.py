"""When a ref is rewritten with its messages in one line: there are few lines to open, and few rewrites."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import message, open_store, say

from coda_fs_session import Session, SessionManager
from coda_fs_session.repo.content.state import State
from coda_fs_session.repo.writing.save import COMPACT_SAVES, MOST_SAVES

Change = Callable[[SessionManager, Session, int], None]


def add(manager: SessionManager, session: Session, number: int) -> None:
    say(manager, session, number)


def note(manager: SessionManager, session: Session, number: int) -> None:
    session.update_metadata({"number": number})
    manager.save_session(session)


def state_of(manager: SessionManager, session: Session) -> State:
    state = manager._storage._cursors[session].state
    assert isinstance(state, State)
    return state


def lines_after(manager: SessionManager, session: Session, saves: int, change: Change) -> list[int]:
    """Return how many saves the ref had after each of so many more."""
    lines = []
    for number in range(saves):
        change(manager, session, number)
        lines.append(len(state_of(manager, session).saves))
    return lines


@pytest.mark.parametrize("backend", ["files", "sqlite"])
@pytest.mark.parametrize("change", [add, note])
def test_a_session_that_stays_open_is_seldom_rewritten(tmp_path: Path, backend: str, change: Change) -> None:
    """While a program goes on in one open session, its ref has up to `MOST_SAVES` lines, and no more."""
    manager = open_store(tmp_path / "store", backend=backend)
    session = manager.create_session("chat")
    lines = lines_after(manager, session, 2 * MOST_SAVES + 10, change)
    rewritten = [place for place, count in enumerate(lines) if place and count <= lines[place - 1]]
    assert rewritten[0] == MOST_SAVES
    assert len(rewritten) == 2
    assert max(lines) == MOST_SAVES
    again = open_store(tmp_path / "store", backend=backend).load_session("chat")
    assert (again.get_messages(), again.metadata) == (session.get_messages(), session.metadata)


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_a_session_that_is_opened_for_every_save_has_few_lines(tmp_path: Path, backend: str) -> None:
    """A program that opens a session to save one message finds at most `COMPACT_SAVES` lines to verify."""
    lines = []
    for number in range(2 * COMPACT_SAVES + 10):
        with open_store(tmp_path / "store", backend=backend) as manager:
            session = manager.load_session("chat") if number else manager.create_session("chat")
            lines += lines_after(manager, session, 1, add)
    assert max(lines) == COMPACT_SAVES
    assert lines.count(1) == 3
    assert len(open_store(tmp_path / "store", backend=backend).load_session("chat")) == len(lines)


def test_a_long_ref_is_rewritten_once_by_a_session_that_goes_on(tmp_path: Path) -> None:
    """A session that was opened with a long ref shortens it soon, and then goes on as any other that stays open."""
    first = open_store(tmp_path / "store")
    lines_after(first, first.create_session("chat"), COMPACT_SAVES + 5, add)
    manager = open_store(tmp_path / "store")
    lines = lines_after(manager, manager.load_session("chat"), 2 * MOST_SAVES, note)
    shortened = COMPACT_SAVES - 5
    assert lines[shortened - 1] == 2 * COMPACT_SAVES
    assert lines[shortened:][: MOST_SAVES + 1] == [*range(1, MOST_SAVES + 1), 1]


def test_lines_that_tell_of_edits_stay(tmp_path: Path) -> None:
    """A ref with an edit in it is not rewritten for its lines: what it was before would need a commit."""
    manager = open_store(tmp_path / "store")
    session = manager.create_session("chat")
    say(manager, session, 0, 1)
    session.messages[1] = message(2)
    manager.save_session(session)
    assert lines_after(manager, session, MOST_SAVES + 10, add)[-1] == MOST_SAVES + 12
