"""The end of a process: what is saved without being asked for, on every way out, and what says that it was not."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from docs.page import read_page
from storekit import ROOT, open_store, run_python

from coda_fs_session.backends.disk.parallel import in_parallel

BEGIN = """
    import atexit, os, signal, sys, threading
    from pathlib import Path
    from storekit import message, open_store
    store = Path(sys.argv[1])
    manager = open_store(store, autosave_interval=10_000, backend=sys.argv[2])
    session = manager.create_session("chat")
    def add(count=6):
        for number in range(count):
            session.add_message(message(number, 70_000))
"""

ENDS = {
    "the end": "add()",
    "sys.exit": "add(); sys.exit(0)",
    "an exception": "add(); raise ZeroDivisionError",
    "a thread that outlives main": """
        def work():
            threading.main_thread().join()
            add()
        threading.Thread(target=work).start()
    """,
    "a save in a thread that outlives main": """
        def work():
            threading.main_thread().join()
            add()
            manager.save_session(session)
            os._exit(0)
        threading.Thread(target=work).start()
    """,
    "close at exit": "add(); atexit.register(manager.close)",
    "a change at exit": "atexit.register(add)",
    "a sync at exit": """
        add()
        other = open_store(Path(sys.argv[1] + ".there"))
        def carry():
            manager.save_session(session)
            manager.sync(other)
            assert len(other.load_session("chat")) == 6
        atexit.register(carry)
    """,
}


def run(script: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_python(textwrap.dedent(BEGIN) + textwrap.dedent(script), *arguments, **environment)


@pytest.mark.parametrize("backend", ["files", "sqlite"])
@pytest.mark.parametrize("end", ENDS)
def test_what_makes_many_objects_is_saved_at_the_end(tmp_path: Path, end: str, backend: str) -> None:
    """Bug: what makes four objects or more was written with a thread pool, which takes no work while the interpreter
    ends. All of it was lost, with exit status 0 and not a word."""
    done = run(ENDS[end], tmp_path / "store", backend)
    assert ("Error" in done.stderr) == (end == "an exception"), done.stderr
    assert len(open_store(tmp_path / "store", backend=backend).load_session("chat")) == 6


WITHOUT_A_WORD = {
    "os._exit": "add(); os._exit(0)",
    "SIGTERM": "add(); os.kill(os.getpid(), signal.SIGTERM)",
    "a child of multiprocessing": """
        import multiprocessing
        child = multiprocessing.get_context("fork").Process(target=add)
        child.start()
        child.join()
        assert child.exitcode == 0
    """,
}


@pytest.mark.parametrize("end", WITHOUT_A_WORD)
def test_these_ends_run_nothing(tmp_path: Path, end: str) -> None:
    """What the manual says of them holds: Python runs nothing of a program that ends so, and unsaved changes go."""
    done = run(WITHOUT_A_WORD[end], tmp_path / "store", "files")
    assert done.stderr == ""
    assert len(open_store(tmp_path / "store").load_session("chat")) == 0


@pytest.mark.parametrize("end", ["return", "SIGTERM", "multiprocessing"])
def test_the_manual_says_how_to_save_all_the_same(tmp_path: Path, end: str) -> None:
    """The function that the manual shows saves what it has when it returns, at SIGTERM, and in a child that skips
    what is registered for the end."""
    (shown,) = (
        passage.text
        for passage in read_page(ROOT / "coda_fs_session" / "docs" / "ending.md")
        if passage.kind == "python" and "SIGTERM" in passage.text
    )
    script = f"""
import sys, threading
from pathlib import Path
from coda_fs_session import SessionManager
end, config = sys.argv[2], {{"session": {{"storage_path": sys.argv[1], "state_path": sys.argv[1] + ".state"}}}}
{shown}
def talk(session):
    session.add_message({{"role": "user", "content": "last words"}})
    if end == "SIGTERM":
        print("talking", flush=True)
        threading.Event().wait()
if end == "multiprocessing":
    import multiprocessing
    child = multiprocessing.get_context("fork").Process(target=work, args=(config, "chat", talk))
    child.start()
    child.join()
    sys.exit(child.exitcode)
work(config, "chat", talk)
"""
    program = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "store", end], stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    )
    assert program.stdout is not None
    with program.stdout:
        if end == "SIGTERM":
            assert program.stdout.readline() == b"talking\n"
            program.send_signal(signal.SIGTERM)
        assert program.wait(60) == (128 + signal.SIGTERM if end == "SIGTERM" else 0)
    (last,) = open_store(tmp_path / "store").load_session("chat").get_messages()
    assert last["content"] == "last words"


def test_calls_are_made_by_as_many_threads_as_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all threads, with two, with none, and in a process that ends: each item is called for, once."""
    start = threading.Thread.start
    for allowed in (8, 2, 0):
        started = []

        def begin(thread: threading.Thread, allowed: int = allowed, started: list[object] = started) -> None:
            if len(started) >= allowed:
                raise RuntimeError("can't start new thread")
            started.append(thread)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", begin)
        done: list[int] = []
        in_parallel(done.append, range(100))
        assert sorted(done) == list(range(100))
        assert len(started) == min(allowed, 7)
    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    threads = set()
    in_parallel(lambda _: threads.add(threading.current_thread()), range(100))
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("threads", [True, False])
def test_a_call_that_fails_ends_the_others(monkeypatch: pytest.MonkeyPatch, threads: bool) -> None:
    """Its error is raised once no call is under way any more, and no further one is made."""
    monkeypatch.setattr(sys, "is_finalizing", lambda: not threads)
    together = threading.Barrier(8 if threads else 1)
    under_way: list[int] = []
    made: list[int] = []

    def call(item: int) -> None:
        made.append(item)
        under_way.append(item)
        try:
            together.wait(20)
            raise OSError(f"number {item}")
        finally:
            under_way.remove(item)

    with pytest.raises(OSError, match="number"):
        in_parallel(call, range(100))
    assert (under_way, len(made)) == ([], 8 if threads else 1)
