"""Purging with the command: a text that is shown nowhere, and sessions by their names."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from .command import HELLO, Command


@pytest.fixture(params=["files", "sqlite"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    return Command(tmp_path, request.param)


def test_purge(command: Command) -> None:
    """The text comes from stdin, is printed nowhere, and messages are counted from 1; it goes only with --yes."""
    command.fill("pasted", HELLO, {"role": "user", "content": "My key is sk-1."}, note="sk-1")
    assert command("purge", "--yes").code == 2
    assert command("purge", "--regex", "--yes", stdin="(").code == 2
    assert command("purge", "--regex", "--yes", stdin="x*").code == 2
    done = command("purge", "--dry-run", stdin="sk-1\n")
    assert (done.code, done.out) == (0, "would purge  pasted: messages 2, metadata\n")
    assert command("purge", stdin="sk-1").code == 4
    assert command.texts("pasted")[1] == "My key is sk-1."
    done = command("purge", "--yes", stdin="sk-1\r\n")
    assert (done.code, done.out) == (0, "purged  pasted: messages 2, metadata\n")
    assert command.texts("pasted")[1] == "My key is ****."
    assert command("purge", "--yes", stdin="sk-1").err == "it stands nowhere in this store\n"
    assert command("purge", "--regex", "--yes", stdin="k[e]y").out.startswith("purged  pasted")


def test_purge_of_sessions(command: Command) -> None:
    """By their names, also of one that was deleted; they go only with --yes, and others stay."""
    for name in ("draft", "old", "other"):
        command.fill(name, HELLO)
    command("delete", "old")
    assert command("purge", "tale", "--yes").code == 3
    assert command("purge", "draft", "--regex", "--yes").code == 2
    assert command("purge", "draft").code == 4
    done = command("purge", "draft", "--dry-run")
    assert (done.code, done.out) == (0, "would purge  draft: messages 1\n")
    done = command("purge", "draft", "old", "--yes")
    assert done.code == 0
    # They all say the same.
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["purged", "draft:"],
        ["left", "session"],
        ["purged", "old:"],
    ]
    assert command("list").out.split()[0] == "other"
    assert "old" not in command("list", "--deleted").out


def typed(command: Command, *arguments: str, answers: list[tuple[bytes, bytes]]) -> str:
    """Run the command on a terminal, type each answer once its question stands there, and return what is shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "coda_fs_session", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=command.environment,
        cwd=command.folder,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux tells so that nobody has the terminal any more.
        while piece := os.read(ours, 65536):
            shown += piece
            # A program that hides what is typed throws away what was typed before.
            if answers and answers[0][0] in shown and not (is_hidden(answers[0][0]) and has_echo(ours)):
                os.write(ours, answers.pop(0)[1] + b"\n")
    os.close(ours)
    assert process.wait(60) == 0, shown
    assert not answers
    return shown.decode()


def is_hidden(question: bytes) -> bool:
    return b"not shown" in question


def has_echo(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def test_the_text_is_not_shown_on_a_terminal(tmp_path: Path) -> None:
    """What is typed to purge is shown nowhere on the terminal; after a yes it is gone."""
    command = Command(tmp_path)
    command.fill("pasted", HELLO, {"role": "user", "content": "My key is sk-secret-1."})
    answers = [(b"not shown", b"sk-secret-1"), (b"[y/N]", b"y")]
    shown = typed(command, "purge", answers=answers)
    assert "sk-secret" not in shown
    assert "purged  pasted: messages 2" in shown
    assert command.texts("pasted")[1] == f"My key is {'*' * 11}."
