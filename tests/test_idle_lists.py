"""A live list that a program has no use for any more is given up, and nothing that it still holds is ever lost."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store
from test_working_copy import Saved, lines_of

from coda_fs_session import Session, SessionManager
from coda_fs_session.session import holders, working_copy
from coda_fs_session.session.working_copy import WorkingCopy

COUNT = 5


def nested(number: int) -> dict[str, Any]:
    return {"n": number, "content": [{"type": "text", "x": {"y": [number]}}]}


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SessionManager]:
    manager = open_store(tmp_path / "store")
    yield manager
    manager.close()


def filled(manager: SessionManager) -> Session:
    """Return a saved session that was filled by its list."""
    session = manager.create_session("chat")
    session.messages.extend(map(nested, range(COUNT)))
    manager.save_session(session)
    return session


def stored(tmp_path: Path) -> list[dict[str, Any]]:
    return open_store(tmp_path / "store").load_session("chat").get_messages()


def is_live(session: Session) -> bool:
    """Tell whether the messages are in memory as a list; asking for that list would keep it."""
    return vars(session._state.copy)["_live"] is not None


def go_on(manager: SessionManager, session: Session, saves: int) -> None:
    """Save a new message again and again, as a program that never asks for the list."""
    for _ in range(saves):
        session.add_message(nested(len(session)))
        manager.save_session(session)


def test_a_list_that_nobody_asks_for_any_more_is_given_up(manager: SessionManager, tmp_path: Path) -> None:
    """A session that was filled by its list, edited or cut short goes on as one that was opened anew."""
    session = filled(manager)
    uses: list[Callable[[], object]] = [
        lambda: None,
        lambda: session.messages.pop(),
        lambda: session.messages[1].update(edited=True),
        lambda: session.truncate_messages(4),
    ]
    for use in uses:
        use()
        manager.save_session(session)
        go_on(manager, session, 2)
        assert not is_live(session)
        assert not session.has_unsaved_changes
    assert stored(tmp_path) == session.get_messages() == session.messages


def test_a_list_that_is_asked_for_from_turn_to_turn_stays() -> None:
    """To read it anew would take longer than to compare it."""
    source = Saved(lines_of([nested(n) for n in range(COUNT)]))
    work = WorkingCopy(source)
    for number in range(100):
        work.live().append(nested(number))
        source.lines += work.splice().lines
        work.mark_saved(source)
    assert source.reads == COUNT


def closure(messages: list[dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    message = messages[2]
    return lambda: message


def waiting_thread(messages: list[dict[str, Any]]) -> Any:
    """Let a thread hold a message, and return what has it edit that and end."""
    begun, end = threading.Event(), threading.Event()

    def hold(message: dict[str, Any]) -> None:
        begun.set()
        end.wait()
        message["n"] = "edited"

    thread = threading.Thread(target=hold, args=(messages[2],), daemon=True)
    thread.start()
    begun.wait()

    def edit() -> None:
        end.set()
        thread.join()

    return edit


Edit = Callable[[Any], object]

HELD: dict[str, tuple[Callable[[list[dict[str, Any]]], Any], Edit]] = {
    "list": (lambda messages: messages, lambda held: held[2].update(n="edited")),
    "message": (lambda messages: messages[2], lambda held: held.update(n="edited")),
    "slice": (lambda messages: messages[2:3], lambda held: held[0].update(n="edited")),
    "nested list": (lambda messages: messages[2]["content"], lambda held: held.append("edited")),
    "nested dict": (lambda messages: messages[2]["content"][0]["x"], lambda held: held.update(y="edited")),
    "deep list": (lambda messages: messages[2]["content"][0]["x"]["y"], lambda held: held.append("edited")),
    "closure": (closure, lambda held: held().update(n="edited")),
    "iterator": (lambda messages: iter(messages[2:]), lambda held: next(held).update(n="edited")),
    "iterator of the list": (iter, lambda held: [next(held).update(n="edited") for _ in range(3)]),
    "generator": (
        lambda messages: (message for message in messages if message["n"] == 2),
        lambda held: next(held).update(n="edited"),
    ),
    "method": (lambda messages: messages[2].update, lambda held: held(n="edited")),
    "shallow copy": (lambda messages: copy.copy(messages[2]), lambda held: held["content"].append("edited")),
    "thread": (waiting_thread, lambda held: held()),
}


@pytest.mark.parametrize("how", HELD)
@pytest.mark.parametrize("after", ["saves", "reload"])
def test_what_is_held_is_never_lost(manager: SessionManager, tmp_path: Path, how: str, after: str) -> None:
    """As long as a program holds the list or a part of it, its edits are those of the session; then it is given up."""
    take, edit = HELD[how]
    session = filled(manager)
    held = take(session.messages)
    if after == "reload":
        session.reload()
    go_on(manager, session, 130)
    assert is_live(session)
    edit(held)
    assert session.has_unsaved_changes
    manager.save_session(session)
    assert "edited" in str(stored(tmp_path)[2])
    del held
    go_on(manager, session, 64)
    assert not is_live(session)
    assert stored(tmp_path) == session.get_messages()
    assert "edited" in str(session.messages[2])


def test_copies_hold_nothing(manager: SessionManager) -> None:
    """Who has deep copies can change nothing of the session."""
    session = filled(manager)
    held = [copy.deepcopy(session.messages), session.get_messages(), list(session), copy.deepcopy(session).messages]
    go_on(manager, session, 2)
    assert not is_live(session)
    assert all(each == [nested(n) for n in range(COUNT)] for each in held)


def test_a_copy_of_a_session_holds_its_messages(manager: SessionManager, tmp_path: Path) -> None:
    """`copy.copy` has the very dicts of the session: an edit of them there is an edit here."""
    session = filled(manager)
    other = copy.copy(session)
    go_on(manager, session, 70)
    other.messages[0]["n"] = "edited"
    manager.save_session(session)
    assert stored(tmp_path)[0]["n"] == "edited"


def test_reload_gives_up_what_nobody_holds(manager: SessionManager) -> None:
    """It need not be read, nor compared at each save from then on; and what was unsaved in it is dropped."""
    session = filled(manager)
    session.messages.pop()
    session.messages[0]["n"] = "dropped"
    session.reload()
    assert not is_live(session)
    assert not session.has_unsaved_changes
    assert session.messages == [nested(n) for n in range(COUNT)]


def test_a_change_by_another_brings_no_list_back(manager: SessionManager, tmp_path: Path) -> None:
    """Loading an open session that others went on with gives up a list that nobody holds, as `reload` does."""
    session = filled(manager)
    other = open_store(tmp_path / "store")
    go_on(other, other.load_session("chat"), 1)
    assert manager.load_session("chat") is session
    assert not is_live(session)
    assert session.messages == [nested(n) for n in range(COUNT + 1)]


STEPS = [("save", "look"), ("save", "comparison"), ("reload", "look")]


@pytest.mark.parametrize("how", ["ask", "add", "edit"])
@pytest.mark.parametrize(("end", "step"), STEPS)
def test_what_comes_in_while_it_is_given_up_stays(
    manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, end: str, step: str
) -> None:
    """A signal handler may take the list, add a message or edit one between any two steps of giving the list up."""
    session = filled(manager)
    assert session.messages
    manager.save_session(session)
    taken: list[Any] = []

    def handle() -> None:
        if how == "ask":
            taken.append(session.messages)
        elif how == "add":
            session.add_message(nested(100))
        else:
            session.messages[0]["n"] = 100

    work, looked = session._state.copy, threading.Event()
    is_held, unchanged = work._is_held, working_copy.printed

    def interrupted_look() -> bool:
        held = is_held()
        looked.set()
        if step == "look":
            handle()
        return held

    def interrupted_comparison(prints: Any, snapshot: Any) -> int:
        same = unchanged(prints, snapshot)
        if step == "comparison" and looked.is_set():
            handle()
        return same

    monkeypatch.setattr(work, "_is_held", interrupted_look)
    monkeypatch.setattr(working_copy, "printed", interrupted_comparison)
    if end == "save":
        manager.save_session(session)
    else:
        session.reload()
    monkeypatch.undo()
    if how == "ask":
        assert session.messages is taken[0]
        taken[0].append(nested(100))
    elif end == "save":
        assert session.has_unsaved_changes
    manager.save_session(session)
    # What is there before the state that a reload shows has been read, is dropped by it.
    assert ("100" in str(stored(tmp_path))) == (end == "save" or how == "ask")
    assert stored(tmp_path) == session.get_messages()


def test_what_was_changed_and_let_go_before_the_look_is_seen(
    manager: SessionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may edit a message after a save has found the changes, and let go of it before the look."""
    session = filled(manager)
    work = session._state.copy
    real = work._is_held

    def let_go_just_before() -> bool:
        vars(work)["_live"][0]["n"] = "edited"
        return real()

    monkeypatch.setattr(work, "_is_held", let_go_just_before)
    manager.save_session(session)
    monkeypatch.undo()
    assert session.has_unsaved_changes
    manager.save_session(session)
    assert stored(tmp_path)[0]["n"] == "edited"


class _List(list[Any]):
    """A list that can be found by a weak reference."""


def test_what_counts_cannot_tell_is_kept(manager: SessionManager) -> None:
    """Objects of other classes may be known by weak references, which are not counted."""
    session = manager.create_session("chat")
    session.messages = _List(map(nested, range(COUNT)))
    go_on(manager, session, 3)
    session.reload()
    assert is_live(session)


def test_without_counts_nothing_is_given_up(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another interpreter than CPython nobody knows who holds what."""
    monkeypatch.setattr(holders, "_COUNTS", False)
    session = filled(manager)
    go_on(manager, session, 3)
    session.reload()
    assert is_live(session)


def test_edits_beside_autosave(manager: SessionManager, tmp_path: Path) -> None:
    """A program that edits its messages while another thread saves again and again loses none of its edits."""
    session = filled(manager)
    interval, stop = sys.getswitchinterval(), threading.Event()

    def save() -> None:
        while not stop.is_set():
            manager.save_session(session)

    thread = threading.Thread(target=save)
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        expected = [nested(n) for n in range(COUNT)]
        for number in range(400):
            message = session.messages[number % COUNT]
            part = message["content"][0]["x"]
            del message
            part["y"].append(number)
            del part
            expected[number % COUNT]["content"][0]["x"]["y"].append(number)
            if number % 7 == 0:
                session.add_message(nested(number))
                expected.append(nested(number))
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    manager.save_session(session)
    assert session.get_messages() == expected
    assert stored(tmp_path) == expected
