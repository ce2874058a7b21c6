"""Purging with the command: a text that is shown nowhere, and sessions by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from .command import HELLO, Command


@pytest.fixture(params=["files", "sqlite"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    return Command(tmp_path, request.param)


def texts(command: Command, name: str) -> list[str]:
    with command.manager() as manager:
        return [message["content"] for message in manager.load_session(name)]


def test_purge(command: Command) -> None:
    """The text comes from stdin, is printed nowhere, and messages are counted from 1; it goes only with --yes."""
    command.fill("pasted", HELLO, {"role": "user", "content": "My key is sk-1."}, note="sk-1")
    assert command("purge", "--yes").code == 2
    assert command("purge", "--regex", "--yes", stdin="(").code == 2
    assert command("purge", "--regex", "--yes", stdin="x*").code == 2
    done = command("purge", "--dry-run", stdin="sk-1\n")
    assert (done.code, done.out) == (0, "would purge  pasted: messages 2, metadata\n")
    assert command("purge", stdin="sk-1").code == 4
    assert texts(command, "pasted")[1] == "My key is sk-1."
    done = command("purge", "--yes", stdin="sk-1\r\n")
    assert (done.code, done.out) == (0, "purged  pasted: messages 2, metadata\n")
    assert texts(command, "pasted")[1] == "My key is ****."
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
    assert (done.code, done.out) == (0, "purged  draft: messages 1\npurged  old: earlier states\n")
    assert command("list").out.split()[0] == "other"
    assert "old" not in command("list", "--deleted").out
