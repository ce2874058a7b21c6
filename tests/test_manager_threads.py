"""One manager, many threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from storekit import message, open_store

from coda_fs_session import Session, SessionManager


@pytest.fixture(params=["files", "memory"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> SessionManager:
    return open_store(tmp_path / "store", backend=request.param, autosave_interval=0.01)


def together(count: int, work: Callable[[int], object]) -> list[object]:
    """Run `work` in threads that begin at the same moment, and return what they returned."""
    ready = threading.Barrier(count)

    def begin(number: int) -> object:
        ready.wait(20)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_sessions_of_their_own(manager: SessionManager) -> None:
    """Threads that each create, fill, seal, branch and list do not disturb each other, autosave beside them."""

    def work(number: int) -> None:
        session = manager.create_session(f"own {number}")
        for step in range(12):
            session.add_message(message(step, 70_000 if step == 6 else 0))
            if step % 2:
                session.messages.append(message(step + 100))
            manager.save_session(session)
            if step % 4 == 0:
                assert manager.create_session(f"own {number}") is session
                manager.list_sessions()
        manager.create_session(f"branch {number}", branch_from=f"own {number}", at=5)

    together(8, work)
    expected = [
        each
        for step in range(12)
        for each in ([message(step, 70_000 if step == 6 else 0)] + ([message(step + 100)] if step % 2 else []))
    ]
    for number in range(8):
        session = manager.load_session(f"own {number}")
        session.reload()
        assert session.get_messages() == expected
        assert manager.load_session(f"branch {number}").get_messages() == expected[:5]
    assert len(manager.list_sessions()) == 16
    manager.close()


def test_one_name_is_one_object(manager: SessionManager) -> None:
    """Eight threads that create the same session at once all get the same object, and it exists once."""
    for round_number in range(5):
        sessions = together(8, lambda number, name=f"shared {round_number}": manager.create_session(name))  # type: ignore[misc]
        assert len({id(session) for session in sessions}) == 1
    assert len(manager.list_sessions()) == 5
    manager.close()


def test_one_branch_is_one_object(manager: SessionManager) -> None:
    """The same for branches."""
    parent = manager.create_session("parent")
    parent.add_message(message(1))
    branches = together(8, lambda number: manager.create_session("branch", branch_from="parent"))
    assert len({id(branch) for branch in branches}) == 1
    manager.close()


def test_going_through_sessions_while_others_are_stored(tmp_path: Path) -> None:
    """Bug: `save_all`, and with it `close`, and `rename_session` failed with a RuntimeError where another thread stored
    a session meanwhile; `close` then let go of what was not saved."""
    manager = open_store(tmp_path / "store", backend="memory")
    kept = [manager.create_session(f"first {number}") for number in range(300)]
    done = threading.Event()

    def store() -> None:
        try:
            for number in range(300):
                kept.append(Session(f"new {number}"))
                manager.save_session(kept[-1])
        finally:
            done.set()

    def go_through() -> None:
        names = ["first 0", "renamed"]
        while not done.is_set():
            manager.save_all()
            manager.rename_session(*names)
            names.reverse()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        together(2, lambda number: go_through() if number else store())
    finally:
        sys.setswitchinterval(interval)
    assert len(manager.list_sessions()) == 600
    manager.close()


def test_looking_at_a_session_that_another_thread_writes(manager: SessionManager) -> None:
    """Bug: a thread that opened every session, to search them, could put one back to what it was a moment before."""
    done = threading.Event()
    session = manager.create_session("chat")

    def write() -> None:
        try:
            for number in range(150):
                session.add_message(message(number))
                assert len(session) == number + 1
                manager.save_session(session)
                assert len(session) == number + 1
        finally:
            done.set()

    def look() -> None:
        while not done.is_set():
            found = manager.create_session("chat")
            assert isinstance(found, Session)
            assert found is session

    together(3, lambda number: write() if number == 0 else look())
    session.reload()
    assert session.get_messages() == [message(number) for number in range(150)]
    manager.close()
