"""Programs whose signal handlers use the manager that they come in between of."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from storekit import ROOT

from coda_fs_session import SessionManager
from coda_fs_session.process.loading import loading

PRELUDE = """
import os, random, signal, sys, threading
from coda_fs_session import SessionError, SessionManager
store = sys.argv[2]
config = {"backend": sys.argv[1], "storage_path": store, "state_path": store + ".state", "durability": "none"}
manager = SessionManager({"session": config | {"autosave_interval": float(sys.argv[4])}})
random.seed(int(sys.argv[3]))
session = manager.create_session("chat")
calls = []
def report(*error):
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.__excepthook__(*error)
sys.excepthook = report
def say(text):
    session.add_message({"role": "user", "content": text})
"""

HANDLER = """
def attempt(call):
    try:
        call()
    except SessionError:
        pass
others = [
    lambda: manager.save_session(session), manager.list_sessions, lambda: manager.load_session("chat"),
    lambda: manager.create_session("other"), lambda: session.get_messages(), lambda: session.has_unsaved_changes,
    lambda: manager.rename_session("other", "another"), lambda: manager.delete_session("another", missing_ok=True),
]
rounds = 0
def handle(*_):
    global rounds
    rounds += 1
    say(f"from handler {rounds}")
    for call in random.sample(others, 3):
        attempt(call)
    if rounds < 60:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 2e-3))
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 1e-3)
number = 0
while rounds < 60:
    number += 1
    say(f"from program {number}")
    manager.save_session(session)
manager.save_session(session)
held = [m["content"] for m in session.get_messages()]
stored = held
if sys.argv[1] != "memory":
    stored = [m["content"] for m in SessionManager({"session": config}).load_session("chat").get_messages()]
assert held == stored, (held, stored)
for which, count in ("program", number), ("handler", rounds):
    assert [text for text in held if which in text] == [f"from {which} {n + 1}" for n in range(count)]
manager.close()
print("ok")
"""

RAISES = """
class Stop(BaseException):
    pass
def handle(*_):
    raise Stop
signal.signal(signal.SIGALRM, handle)
said = 0
for _ in range(60):
    try:
        # And again: Python drops what is raised while an object is finalized, or a module loaded.
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 3e-3), 0.5)
        while True:
            before = len(session)
            session.add_message({"role": "user", "content": str(said)})
            said += 1
            manager.save_session(session)
    except Stop:
        signal.setitimer(signal.ITIMER_REAL, 0)
        # It may have come between the two lines that count.
        said = len(session)
manager.save_session(session)
held = [m["content"] for m in session.get_messages()]
assert held == [str(n) for n in range(len(held))], held
if sys.argv[1] != "memory":
    other = SessionManager({"session": config})
    assert [m["content"] for m in other.load_session("chat").get_messages()] == held
    say("x"); manager.save_session(session)
manager.close()
print("ok")
"""

EXITS = """
def handle(*_):
    say("bye")
    try:
        manager.save_session(session)
    except SessionError:
        pass
    sys.exit(0)
signal.signal(signal.SIGTERM, handle)
threading.Timer(random.uniform(0.01, 0.1), lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
print("ok", flush=True)
number = 0
while True:
    say(str(number))
    manager.save_session(session)
    number += 1
"""

CLOSES = """
def handle(*_):
    say("bye")
    try:
        manager.close()
        calls.append("closed")
    except SessionError:
        calls.append("refused")
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
while len(calls) < 30:
    say("on")
    manager.save_session(session)
signal.setitimer(signal.ITIMER_REAL, 0)
assert "refused" in calls, calls
manager.close()
print("ok")
"""


def _run(program: str, backend: str, store: Path, seed: int, autosave: float = 0) -> None:
    arguments = [backend, str(store), str(seed), str(autosave)]
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), f"--seed={seed}: {done.stdout}{done.stderr}"


@pytest.fixture(params=["files", "memory", "sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def repeats(long_size: bool) -> int:
    return 20 if long_size else 1


def test_a_handler_uses_the_manager(backend: str, tmp_path: Path, seed: int, repeats: int) -> None:
    """A handler adds messages and calls whatever it likes: it never waits for what it came in between of, the program
    goes on, and each message is stored once."""
    for number in range(repeats):
        _run(HANDLER, backend, tmp_path / f"store{number}", seed + number, autosave=0.01 if number % 2 else 0)


def test_a_handler_raises(backend: str, tmp_path: Path, seed: int, repeats: int) -> None:
    """An exception out of a handler may come at any moment: what was added is stored once and in order."""
    for number in range(repeats):
        _run(RAISES, backend, tmp_path / f"store{number}", seed + number)


def test_a_handler_exits(backend: str, tmp_path: Path, seed: int, repeats: int) -> None:
    """`sys.exit` in a handler, during a save: the program ends, and autosave stores at exit what was not saved."""
    for number in range(repeats):
        store = tmp_path / f"store{number}"
        _run(EXITS, backend, store, seed + number, autosave=300)
        if backend != "memory":
            with SessionManager({"session": {"backend": backend, "storage_path": str(store)}}) as manager:
                texts = [message["content"] for message in manager.load_session("chat").get_messages()]
            texts.remove("bye")
            assert texts == [str(n) for n in range(len(texts))]


def test_a_handler_closes(backend: str, tmp_path: Path, seed: int) -> None:
    """`close` in a handler is refused while an operation is under way, and does its work otherwise."""
    _run(CLOSES, backend, tmp_path / "store", seed, autosave=300)


def _passing_over_oserror() -> bool:
    """Do as the import system does with a file that it tries, while a signal comes."""
    with contextlib.suppress(OSError):
        signal.raise_signal(signal.SIGUSR1)
    return True


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no masks of signals")
def test_what_a_handler_raises_while_a_part_is_loaded_is_not_lost() -> None:
    """The import system passes over an OSError from a file, and TimeoutError is one: the handler runs afterwards."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError

    before, mask = signal.signal(signal.SIGUSR1, give_up), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    loaded = []
    try:
        with pytest.raises(TimeoutError), loading():
            loaded.append(_passing_over_oserror())
        with loading():
            loaded.append(True)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert loaded == [True, True]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
