"""What autosave does at the end of the interpreter, without threads, and in a child of a fork."""

from __future__ import annotations

import os
import threading
import time
import warnings
from pathlib import Path

import pytest
from autosaving import LIMIT, SHORT, stored
from storekit import message, open_store, run_python, say

from coda_fs_session import SessionWarning


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


def test_zero_saves_nothing_at_exit(tmp_path: Path) -> None:
    """0 turns off the saving at exit too."""
    assert run_python(EXIT.format(ending=""), tmp_path / "store", "0").stderr == ""
    assert stored(tmp_path / "store") == stored(tmp_path / "store", "kept") == []


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
