"""What is saved without being asked for: at intervals, at exit, and never twice or against the caller's will."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
import warnings
import weakref
from pathlib import Path
from typing import Any

import pytest
from storekit import message, open_store, run_python, say

from coda_fs_session import InvalidMessageError, Session, SessionManager, SessionWarning, StoreFullError

SHORT = 0.02
LIMIT = 20.0


class Watched:
    """Lets a test wait until autosave has gone round, instead of sleeping."""

    def __init__(self, manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
        self._rounds = threading.Semaphore(0)
        real = manager._autosave.save_all

        def save_all() -> None:
            real()
            self._rounds.release()

        monkeypatch.setattr(manager._autosave, "save_all", save_all)

    def wait(self, rounds: int = 2) -> None:
        """Wait for whole rounds: of two that end from now on, the second also began from now on."""
        while self._rounds.acquire(blocking=False):
            pass
        for _ in range(rounds):
            assert self._rounds.acquire(timeout=LIMIT), "autosave did not go round"


def stored(store: Path, name: str = "chat") -> list[dict[str, Any]]:
    return open_store(store).load_session(name).get_messages()


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


def test_without_threads_it_is_saved_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: where no thread could be started `add_message` raised, though the message was in the session then. Now one
    warning says what follows, also where warnings are errors; the timer starts as soon as it can."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = tmp_path / "store"
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", refuse)
    manager = open_store(store, autosave_interval=10_000)
    session = manager.create_session("chat")
    with pytest.warns(SessionWarning, match="cannot start its thread") as caught:
        _ = [session.add_message(message(number, 70_000)) for number in range(6)]
    assert len(caught) == 1
    manager.save_session(session)
    session.add_message(message(6, 70_000))
    assert len(caught) == 1
    manager.close()
    assert len(stored(store)) == 7
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strict = open_store(store, autosave_interval=SHORT)
        strict.create_session("strict").add_message(message(1))
    monkeypatch.setattr(threading.Thread, "start", start)
    strict._autosave._next_start = time.monotonic()
    strict.create_session("strict").add_message(message(2))
    assert strict._autosave._thread is not None
    strict.close()
    assert len(stored(store, "strict")) == 2


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


EXIT = """
    import sys
    from pathlib import Path
    from storekit import message, open_store
    manager = open_store(Path(sys.argv[1]), autosave_interval=float(sys.argv[2]))
    manager.create_session("chat").add_message(message(1))
    kept = manager.create_session("kept")
    kept.messages.append(message(2))
    del manager
    {ending}
"""


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)", "raise ZeroDivisionError"])
def test_the_end_of_the_interpreter_saves(tmp_path: Path, ending: str) -> None:
    """Sessions forgotten by their program are saved when it ends, also when it ends badly."""
    run_python(EXIT.format(ending=ending), tmp_path / "store", "10000")
    assert stored(tmp_path / "store") == [message(1)]
    assert stored(tmp_path / "store", "kept") == [message(2)]


def test_what_cannot_be_saved_at_the_end_is_told(tmp_path: Path) -> None:
    """Bug: not a word of a session that could not be saved when the interpreter ended. The others are saved."""
    script = """
        import sys
        from pathlib import Path
        from storekit import message, open_store
        manager = open_store(Path(sys.argv[1]), autosave_interval=10_000)
        for name in "a", "bad", "z":
            manager.create_session(name).messages.extend([message(1), message(2)])
        manager.create_session("bad").messages.append({"score": float("nan")})
    """
    run = run_python(script, tmp_path / "store")
    assert (run.returncode, run.stdout) == (0, "")
    assert run.stderr == (
        "coda_fs_session: session 'bad' was not saved when the program ended (3 unsaved messages): "
        "messages[2].score: nan has no JSON form: use None or text\n"
    )
    assert [len(stored(tmp_path / "store", name)) for name in ("a", "bad", "z")] == [2, 0, 2]


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


def test_zero_saves_nothing_at_exit(tmp_path: Path) -> None:
    """0 turns off the saving at exit too."""
    assert run_python(EXIT.format(ending=""), tmp_path / "store", "0").stderr == ""
    assert stored(tmp_path / "store") == stored(tmp_path / "store", "kept") == []


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


@pytest.mark.parametrize(
    "what",
    [
        "manager.delete_session('chat')",
        "manager.delete_session('chat'); session.add_message(message(2))",
    ],
)
def test_the_end_saves_nothing_against_the_callers_will(tmp_path: Path, what: str) -> None:
    """What was deleted while it had changes is not stored again when the interpreter ends."""
    script = f"""
        import sys
        from pathlib import Path
        from storekit import message, open_store
        manager = open_store(Path(sys.argv[1]), autosave_interval=10_000)
        session = manager.create_session("chat")
        session.add_message(message(1))
        {what}
    """
    run = run_python(script, tmp_path / "store")
    assert (run.returncode, run.stderr) == (0, "")
    assert open_store(tmp_path / "store").list_sessions() == []


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


def test_a_forked_child_saves_nothing_of_its_parents(tmp_path: Path) -> None:
    """What was pending at the fork is the parent's: the child's exit and timer leave it, say so, and save the child's
    own."""
    script = """
        import os, sys
        from pathlib import Path
        from storekit import message, open_store
        store = Path(sys.argv[1])
        manager = open_store(store, autosave_interval=10_000)
        session = manager.create_session("chat")
        session.add_message(message(1))
        child = os.fork()
        if child == 0:
            own = manager.create_session("own")
            own.add_message(message(2))
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(sorted((info.name, info.message_count) for info in open_store(store).list_sessions()))
    """
    run = run_python(script, tmp_path / "store")
    assert run.stdout == "[('chat', 0), ('own', 1)]\n", run.stderr
    assert run.stderr.startswith("coda_fs_session: session 'chat' was not saved by process ")
    assert run.stderr.count("\n") == 1
    assert stored(tmp_path / "store") == [message(1)]


def test_a_fork_while_other_threads_work(tmp_path: Path) -> None:
    """Bug: a child forked while another thread was listing waited for ever for that thread's lock."""
    manager = open_store(tmp_path / "store", autosave_interval=0)
    manager.create_session("chat").add_message(message(1))
    index = manager._storage.repo.index  # type: ignore[attr-defined]
    objects = manager._storage.repo.objects  # type: ignore[attr-defined]
    held, done = threading.Event(), threading.Event()

    def work() -> None:
        with index._section, objects._section, manager._sessions.lock:
            held.set()
            done.wait(LIMIT)

    thread = threading.Thread(target=work)
    thread.start()
    assert held.wait(LIMIT)
    child = os.fork()
    if child == 0:
        try:
            import signal

            signal.alarm(10)
            assert len(manager.list_sessions()) == 1
            session = manager.create_session("chat")
            say(manager, session, 3)
            os._exit(0)
        finally:
            os._exit(1)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
