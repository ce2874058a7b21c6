"""A database of an earlier version is brought to this one while other processes read, save, watch, and are killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from repo.watching import told
from storekit import ROOT, message, open_store, say

from coda_fs_session.backends.sqlite.schema import STEPS

from .databases import make_old, opened, rows

MESSAGES = 300

READER = """
import sys
from pathlib import Path
from storekit import open_store
store, told, messages = Path(sys.argv[1]), open(sys.argv[2], "w"), int(sys.argv[3])
kept = open_store(store, backend="sqlite")
while True:
    with open_store(store, backend="sqlite") as new:
        for manager in (kept, new):
            assert len(manager.load_session("long").get_messages()) == messages
            assert {"long", "first", "second"} <= {info.name for info in manager.list_sessions()}
    print("read", file=told, flush=True)
"""

WRITER = """
import sys
from itertools import count
from pathlib import Path
from storekit import open_store, say
manager = open_store(Path(sys.argv[1]), backend="sqlite")
session = manager.load_session(sys.argv[3])
with open(sys.argv[2], "w") as told:
    sys.stdin.readline()
    for number in count():
        say(manager, session, number)
        print(number, file=told, flush=True)
"""


class Process:
    """A process that tells what it has done in a file, a line each."""

    def __init__(self, script: str, store: Path, told: Path, argument: object) -> None:
        self._told = told
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(store), str(told), str(argument)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": f"{ROOT}:{ROOT}/tests"},
        )
        self.await_lines(0)

    def await_lines(self, more: int) -> None:
        """Wait until it has told so much more; for nothing more, until it is ready."""
        deadline = time.monotonic() + 60
        expected = more + (len(self.lines()) if more else 0)
        while not self._told.exists() or len(self.lines()) < expected:
            assert self._process.poll() is None, self._process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def lines(self) -> list[str]:
        return self._told.read_text().splitlines()

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def kill(self) -> list[str]:
        """Kill it, and return what it has told; it had no error of its own."""
        self._process.kill()
        assert self._process.communicate()[1] == ""
        return self.lines()


@pytest.fixture
def old(store: Path) -> Path:
    """A database of the first version, with lines enough for the steps to take a moment."""
    with opened(store) as manager:
        say(manager, manager.create_session("long"), *range(MESSAGES))
        manager.create_session("first")
        manager.create_session("second")
    make_old(store)
    return store


def test_killed_while_others_read_and_save(old: Path, tmp_path: Path, seed: int) -> None:
    """Readers see all of it in either form, the writer beside one that is killed goes on, and nothing saved is lost."""
    chance = random.Random(seed)
    reader = Process(READER, old, tmp_path / "read", MESSAGES)
    first, second = (Process(WRITER, old, tmp_path / name, name) for name in ("first", "second"))
    reader.await_lines(1)
    first.go()
    time.sleep(chance.uniform(0, 0.02))
    second.go()
    time.sleep(chance.uniform(0, 0.05))
    numbers = {"first": first.kill()}
    second.await_lines(3)
    reader.await_lines(3)
    numbers["second"] = second.kill()
    reader.kill()
    assert rows(old, "SELECT user_version FROM pragma_user_version") == [(len(STEPS),)]
    assert rows(old, "PRAGMA integrity_check") == [("ok",)]
    with opened(old) as manager:
        for name, told in numbers.items():
            saved = manager.load_session(name).get_messages()
            assert saved == [message(number) for number in range(len(saved))]
            assert len(told) <= len(saved) <= len(told) + 1
        assert manager.load_session("long").get_messages() == [message(number) for number in range(MESSAGES)]


def test_a_watch_goes_on(old: Path) -> None:
    """It tells what is saved by the write that brings the database to this version, and by those after it."""
    with opened(old) as manager, manager.watch() as watch, open_store(old, backend="sqlite") as other:
        assert watch.next(0.01) is None
        for name, count in (("first", 1), ("second", 1), ("first", 2)):
            say(other, other.load_session(name), count)
            told(watch, "advanced", name, message_count=count)
        other.create_session("third")
        told(watch, "created", "third")
