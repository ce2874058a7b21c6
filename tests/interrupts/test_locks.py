"""The locks that keep threads apart, each by forcing the one order of steps in which it matters."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, message, open_store

from coda_fs_session import Session, SessionHook, StoreError
from coda_fs_session.backends.disk.files import store_errors
from coda_fs_session.backends.sqlite.errors import database_errors
from coda_fs_session.process.interrupts import Section, give_up

LIMIT = 30.0


def _beside(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_what_is_unsaved_is_told_of_whole_states(make: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """`has_unsaved_changes` waits for a save that is about to note what it has saved.

    Without that, it is asked while half of that is noted, and a session that is saved passes for changed.
    """
    manager = make()
    session = manager.create_session("chat")
    session.add_message(message(1))
    half, asked, answers = threading.Event(), threading.Event(), list[bool]()
    advance = session._state.copy.advance

    def slow(*arguments: Any) -> None:
        half.set()
        # Who does not wait for the lock answers now. What is asserted holds also if it comes too late to be told.
        asked.wait(0.5)
        advance(*arguments)

    monkeypatch.setattr(session._state.copy, "advance", slow)

    def ask() -> None:
        assert half.wait(LIMIT)
        answers.append(session.has_unsaved_changes)
        asked.set()

    thread = _beside(ask)
    manager.save_session(session)
    thread.join(LIMIT)
    assert answers == [False]


def test_an_operation_within_a_method_of_a_session_leaves_its_lock(make: Opener, tmp_path: Path) -> None:
    """A hook of `add_message` may call the manager, also in vain: the session's lock stays with `add_message`."""
    manager = make()

    class Looks(SessionHook):
        def message_added(self, session: Session, message: dict[str, Any]) -> dict[str, Any] | None:
            with pytest.raises(FileNotFoundError):
                manager.import_session(tmp_path / "nothing.json")
            return None

    manager.use(Looks())
    session = manager.create_session("chat")
    session.add_message(message(1))
    assert len(session) == 1


def test_a_view_is_kept_whole(tmp_path: Path) -> None:
    """What refs add up to is taken in in two steps. Another thread that takes a change in between them would leave a
    view of refs as they were, and nothing would ever take that away."""
    manager = open_store(tmp_path / "store")
    manager.create_session("chat")
    index = manager._storage.repo.index  # type: ignore[attr-defined]
    rows = index.rows()
    kept, done = threading.Event(), threading.Event()

    class Slow(dict[Any, Any]):
        def __setitem__(self, key: object, value: object) -> None:
            super().__setitem__(key, value)
            kept.set()
            # Who does not wait for the lock is done now.
            done.wait(0.5)

    index._views = Slow(index._views)

    def change() -> None:
        assert kept.wait(LIMIT)
        with index._section:
            index._forget(rows[0].path)
        done.set()

    thread = _beside(change)
    index.keep_view(rows, [])
    thread.join(LIMIT)
    assert not index._views, "the view of a ref that was forgotten is still there"


def test_a_section_is_renewed_after_an_error() -> None:
    """What was left in the middle of a block is made anew before the next one, and by nobody else."""
    renewed = []
    section = Section(lambda: renewed.append(threading.get_ident()))
    with section:
        pass
    assert renewed == []
    with pytest.raises(KeyboardInterrupt), section:
        raise KeyboardInterrupt
    assert renewed == []
    with section:
        assert renewed == [threading.get_ident()]
    with section:
        assert len(renewed) == 1


def test_a_lock_is_given_up() -> None:
    """As often as this thread has it, and not where another one has it."""
    lock = threading.RLock()
    lock.acquire()
    lock.acquire()
    give_up(lock)
    taken, release = threading.Event(), threading.Event()

    def take() -> None:
        with lock:
            taken.set()
            release.wait(LIMIT)

    thread = _beside(take)
    assert taken.wait(LIMIT), "it is still locked"
    give_up(lock)
    assert not lock.acquire(blocking=False), "another thread's lock was given up"
    release.set()
    thread.join(LIMIT)


def test_a_rename_that_is_interrupted_while_it_holds_a_session(make: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session was under no name for a moment, so its lock was not given back, and others waited for ever."""
    manager = make()
    session = manager.create_session("old")
    manager.save_session(session)

    def interrupted(self: Session) -> bool:
        if sys._getframe(1).f_code.co_name == "renamed":
            self._lock.acquire()
            raise MemoryError
        return False

    monkeypatch.setattr(Session, "has_unsaved_changes", property(interrupted))
    with pytest.raises(MemoryError):
        manager.rename_session("old", "new")
    monkeypatch.undo()
    other = _beside(session.get_messages)
    other.join(LIMIT)
    assert not other.is_alive()


@pytest.mark.parametrize("errors", [database_errors, store_errors])
def test_a_time_that_is_up_is_the_programs(errors: Callable[..., AbstractContextManager[None]]) -> None:
    """A handler's TimeoutError was taken for the database's, or the disk's, and passed over where a ref is not read."""
    with pytest.raises(TimeoutError), errors("read", "sessions.db"):
        raise TimeoutError
    with pytest.raises(StoreError), errors("read", "sessions.db"):
        raise TimeoutError(errno.ETIMEDOUT, "of the system")
