"""Ctrl-C in a verb that takes long: it ends with 130, and run again it goes on."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from .command import ANSWER, HELLO, Command

LIMIT = 60.0


@pytest.mark.parametrize("verb", ["import", "sync"])
def test_it_goes_on_after_an_interrupt(command: Command, verb: str) -> None:
    """Interrupted as soon as it has written something, it says so in one line; the next run does the rest."""
    number = 400
    if verb == "import":
        file = command.folder / "chats.jsonl"
        chats = ({"messages": [HELLO | {"content": f"Question {place}"}, ANSWER]} for place in range(number))
        file.write_text("".join(f"{json.dumps(chat)}\n" for chat in chats), encoding="utf-8")
        arguments, written = ["import", str(file)], command.store
    else:
        with command.manager() as manager, manager.bulk():
            for place in range(number):
                session = manager.create_session(f"chat {place}")
                session.add_message(HELLO)
                manager.save_session(session)
        arguments, written = ["sync", str(command.folder / "target")], command.folder / "target"
    process = subprocess.Popen(
        [sys.executable, "-m", "coda_fs_session", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command.environment,
        text=True,
    )
    until = time.monotonic() + LIMIT
    while not (written / "refs").exists() and process.poll() is None and time.monotonic() < until:
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    # A fast machine may be done by then.
    assert (process.returncode, err) in ((130, "interrupted\n"), (0, "")), (out, err)
    assert command(*arguments).code == 0
    assert len(command("list", "-s", str(written)).out.splitlines()) == number


def test_the_pager_is_waited_for(command: Command) -> None:
    """Ctrl-C while the pager is full: it has the terminal until it is left, and the command ends after it."""
    command.fill("long", *[HELLO | {"content": "word\n" * 100_000}] * 3)
    begun, left = command.folder / "begun", command.folder / "left"
    # As less does: it reads a little, lives on after Ctrl-C, and ends some time later.
    pager = f"exec 2>&1; trap '' INT; read line; echo > '{begun}'; sleep 1; echo > '{left}'"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "coda_fs_session", "show", "long"],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=command.environment | {"CODA_FS_PAGER": pager},
    )
    os.close(theirs)
    until = time.monotonic() + LIMIT
    while not begun.exists():
        assert time.monotonic() < until, "no pager was started"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    os.close(ours)
    assert left.exists()
    assert (process.returncode, err) == (130, b"interrupted\n")
