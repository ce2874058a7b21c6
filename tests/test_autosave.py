"""What is saved without being asked for: at intervals, at exit, and never twice or against the caller's will."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from autosaving import LIMIT, SHORT, Watched, stored
from storekit import message, open_store

from coda_fs_session import InvalidMessageError, Session, SessionManager, StoreFullError


@pytest.mark.parametrize("how", ["add", "list", "metadata"])
def test_the_timer_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Whatever way a session was changed, it is on disk within an interval or two, and clean."""
    store = tmp_path / "store"
    manager = open_store(store, autosave_interval=SHORT)
    watched = Watched(manager, monkeypatch)
    session = manager.create_session("chat")
    if how == "add":
        session.add_message(message(1))
    elif how == "list":
        session.messages.append(message(1))
    else:
        session.metadata["a"] = 1
    watched.wait()
    assert not session.has_unsaved_changes
    again = open_store(store).load_session("chat")
    assert (len(again), again.metadata) == ((0, {"a": 1}) if how == "metadata" else (1, {}))
    manager.close()


@pytest.mark.parametrize("kept", ["messages", "metadata", "session"])
def test_what_was_handed_out_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str) -> None:
    """Bug: who kept only the list, or the dict, and changed it after a round had found it clean, lost the change."""
    store = tmp_path / "store"
    manager = open_store(store, autosave_interval=SHORT)
    watched = Watched(manager, monkeypatch)
    session: Session | None = manager.create_session("chat")
    assert session is not None
    messages, metadata = session.messages, session.metadata
    if kept != "session":
        session = None
    if kept == "messages":
        del metadata
    elif kept == "metadata":
        del messages
    gc.collect()
    watched.wait()
    if kept == "metadata":
        metadata["a"] = 1
    else:
        messages.append(message(1))
    watched.wait()
    again = open_store(store).load_session("chat")
    assert (len(again), again.metadata) == ((0, {"a": 1}) if kept == "metadata" else (1, {}))
    manager.close()


@pytest.mark.parametrize("part", ["message", "nested", "slice", "metadata"])
def test_a_part_that_is_held_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Bug: who kept only a message, and edited it after a round had found its session clean, lost the edit. When the
    part is let go of, so is the session."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        session = manager.create_session("chat")
        session.messages = [{"content": [{"text": "a"}]}, message(2)]
        session.metadata = {"deep": {"list": [1]}}
        manager.save_session(session)
    manager = open_store(store, autosave_interval=SHORT)
    watched = Watched(manager, monkeypatch)
    session = manager.load_session("chat")
    gone = weakref.ref(session)
    held: Any = session.metadata["deep"]["list"] if part == "metadata" else session.messages[0]
    if part == "nested":
        held = held["content"][0]
    elif part == "slice":
        held = [held]
    del session
    watched.wait()
    if part == "metadata":
        held.append(2)
    else:
        (held[0] if part == "slice" else held)["edited"] = True
    watched.wait()
    again = open_store(store).load_session("chat")
    assert ("edited" in str(again.get_messages()), again.metadata["deep"]["list"]) == (
        part != "metadata",
        [1, 2] if part == "metadata" else [1],
    )
    del held
    deadline = time.monotonic() + LIMIT
    while gone() is not None:
        assert time.monotonic() < deadline, "autosave holds it for ever"
        watched._rounds.acquire(timeout=0.1)
    manager.close()


def test_a_session_out_of_scope_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session whose variable is gone is still saved, and let go of afterwards."""
    store = tmp_path / "store"
    manager = open_store(store, autosave_interval=SHORT)
    watched = Watched(manager, monkeypatch)
    session: Session | None = manager.create_session("chat")
    assert session is not None
    session.add_message(message(1))
    gone = weakref.ref(session)
    session = None
    deadline = time.monotonic() + LIMIT
    while gone() is not None:
        assert time.monotonic() < deadline, "autosave holds it for ever"
        watched._rounds.acquire(timeout=0.1)
        gc.collect()
    assert stored(store) == [message(1)]
    manager.close()


def test_a_manager_out_of_scope_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: the timer's thread kept every manager that was not closed, for ever; now it ends when all is saved."""
    store = tmp_path / "store"
    manager: SessionManager | None = open_store(store, autosave_interval=SHORT)
    assert manager is not None
    manager.create_session("chat").add_message(message(1))
    thread, gone = manager._autosave._thread, weakref.ref(manager)
    assert thread is not None
    manager = None
    thread.join(LIMIT)
    assert not thread.is_alive()
    gc.collect()
    assert gone() is None
    assert stored(store) == [message(1)]


def test_close_saves_and_ends_the_timer(tmp_path: Path) -> None:
    """`close` does not wait for the interval, neither to save nor to end the thread."""
    manager = open_store(tmp_path / "store", autosave_interval=10_000)
    manager.create_session("chat").add_message(message(1))
    thread = manager._autosave._thread
    assert thread is not None
    manager.close()
    assert not thread.is_alive()
    assert stored(tmp_path / "store") == [message(1)]


def test_zero_is_no_autosave(tmp_path: Path) -> None:
    """With 0 there is no thread, and nothing is held."""
    manager = open_store(tmp_path / "store", autosave_interval=0)
    session = manager.create_session("chat")
    session.add_message(message(1))
    assert manager._autosave._thread is None
    assert manager._autosave.held() == []


def test_close_tells_of_every_session_that_it_could_not_save(tmp_path: Path) -> None:
    """Of several failures one is raised, and its notes name each session, and how much of it is unsaved."""
    manager = open_store(tmp_path / "store")
    kept = [manager.create_session(name) for name in ("a", "b")]
    for session in kept:
        session.messages.append({"score": float("nan")})
    with pytest.raises(InvalidMessageError) as caught:
        manager.close()
    told = "was not saved (1 unsaved message): messages[0].score: nan has no JSON form: use None or text"
    assert sorted(caught.value.__notes__) == [f"session 'a' {told}", f"session 'b' {told}"]


def test_a_deleted_session_stays_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Autosave never brings back what was deleted, however it is changed afterwards; an explicit save does."""
    store = tmp_path / "store"
    manager = open_store(store, autosave_interval=SHORT)
    watched = Watched(manager, monkeypatch)
    session, other = manager.create_session("chat"), manager.create_session("other")
    session.add_message(message(1))
    manager.delete_session("chat")
    session.messages.append(message(2))
    other.add_message(message(3))
    watched.wait()
    assert [info.name for info in open_store(store).list_sessions()] == ["other"]
    manager.save_session(session)
    manager.close()
    assert stored(store) == [message(1), message(2)]


def test_a_delete_waits_for_an_autosave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session deleted while another thread is saving it is gone when both are done, and is not stored again."""
    store = tmp_path / "store"
    manager = open_store(store, autosave_interval=10_000)
    session = manager.create_session("chat")
    session.add_message(message(1))
    real, saving, go_on = manager._storage.save, threading.Event(), threading.Event()

    def save(saved: Session) -> None:
        saving.set()
        assert go_on.wait(LIMIT)
        real(saved)

    monkeypatch.setattr(manager._storage, "save", save)
    saver = threading.Thread(target=manager._autosave.save_all)
    saver.start()
    assert saving.wait(LIMIT)
    deleter = threading.Thread(target=manager.delete_session, args=("chat",))
    deleter.start()
    go_on.set()
    saver.join(LIMIT)
    deleter.join(LIMIT)
    assert not saver.is_alive()
    assert not deleter.is_alive()
    session.add_message(message(2))
    manager.close()
    assert open_store(store).list_sessions() == []


def test_many_sessions_are_let_go_but_for_unsaved_ones(tmp_path: Path) -> None:
    """Of sessions that nobody holds any more, those with changes wait for autosave, and the others do not."""
    store = tmp_path / "store"
    manager = open_store(store, autosave_interval=10_000)
    for number in range(200):
        session = manager.create_session(f"chat {number}")
        session.messages.append(message(number))
        if number % 10:
            manager.save_session(session)
    del session
    assert {f"chat {number}" for number in range(0, 200, 10)} <= {held.name for held in manager._autosave.held()}
    assert len(manager._autosave.held()) <= 60
    manager.close()
    assert [info.message_count for info in open_store(store).list_sessions()] == [1] * 200


def test_a_failure_is_logged_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk costs a line in the log: the session is kept, the others are saved, and it is when there is room."""
    store = tmp_path / "store"
    manager = open_store(store, autosave_interval=SHORT)
    watched = Watched(manager, monkeypatch)
    session, other = manager.create_session("chat"), manager.create_session("other")
    real, full = manager._storage.save, threading.Event()
    full.set()

    def save(saved: Session) -> None:
        if full.is_set() and saved is session:
            raise StoreFullError("no space left")
        real(saved)

    monkeypatch.setattr(manager._storage, "save", save)
    with caplog.at_level(logging.ERROR, logger="coda_fs_session"):
        session.add_message(message(1))
        other.add_message(message(2))
        watched.wait()
    assert any("'chat'" in record.getMessage() and record.exc_info for record in caplog.records)
    assert session.has_unsaved_changes
    assert stored(store) == []
    assert stored(store, "other") == [message(2)]
    full.clear()
    watched.wait()
    assert stored(store) == [message(1)]
    manager.close()


@pytest.mark.parametrize("merged", [False, True], ids=["alone", "with another's messages"])
def test_changes_during_an_autosave_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merged: bool) -> None:
    """What is put into the live list or metadata while the timer is writing is neither lost nor taken as saved."""
    store = tmp_path / "store"
    manager = open_store(store, autosave_interval=10_000)
    session = manager.create_session("chat")
    session.messages.append(message(1))
    session.metadata["a"] = 1
    if merged:
        other = open_store(store)
        theirs = other.load_session("chat")
        theirs.add_message(message(0))
        theirs.update_metadata({"theirs": 1})
        other.save_session(theirs)
    from coda_fs_session.repo.writing import save as engine

    which = "save" if merged else "append"
    real = getattr(engine, which)

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        session.messages.append(message(2))
        session.metadata["b"] = 2
        session.metadata["a"] = 9
        return result

    monkeypatch.setattr(engine, which, meanwhile)
    manager._autosave.save_all()
    monkeypatch.undo()
    before = [message(0)] if merged else []
    assert session.get_messages() == [*before, message(1), message(2)]
    assert session.metadata == {"a": 9, "b": 2, **({"theirs": 1} if merged else {})}
    assert session.has_unsaved_changes
    manager.close()
    assert stored(store) == [*before, message(1), message(2)]
    assert open_store(store).load_session("chat").metadata == {"a": 9, "b": 2, **({"theirs": 1} if merged else {})}
