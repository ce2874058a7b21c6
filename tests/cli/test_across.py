"""The verbs across sessions: tree, diff, merge and cherry-pick."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .command import ANSWER, HELLO, Command, nothing_changes


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.fixture(params=["files", "sqlite"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """A trip, and a branch of it in which one message is another one and one more is there."""
    command = Command(tmp_path, request.param)
    command.fill("trip", HELLO, ANSWER, user("With a beach"))
    assert command("branch", "trip@2", "by train").code == 0
    assert command("append", "by train", "-m", "How do I\x1b get there?").code == 0
    return command


def test_tree(command: Command) -> None:
    """It is drawn, or an object a session; a name shows its family alone."""
    command.fill("other")
    drawn = command("tree", "by tr").out
    assert drawn == "* trip (3 messages)\n| * by train (3 messages)\n|/  fork after 2 messages\n"
    assert command("tree").out == "* other (2 messages)\n\n" + drawn
    rows = [json.loads(line) for line in command("tree", "trip", "--json").out.splitlines()]
    assert [(row["name"], row["parent"], row["forked_at"]) for row in rows] == [
        ("trip", None, None),
        ("by train", "trip", 2),
    ]


def test_diff(command: Command) -> None:
    """What both have is counted, what differs is shown; the exit code tells when it is asked to."""
    done = command("diff", "trip", "by train")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:4] == [
        "common: the first 2 messages",
        "trip: 1 of its own",
        "'by train': 1 of its own",
        "@@ message 3, there 3 @@",
    ]
    assert "{+" in done.out
    assert "^[" in done.out
    assert len(command("diff", "trip", "by train", "--stat").out.splitlines()) == 3
    assert [json.loads(line)["at"] for line in command("diff", "trip", "by train", "--json").out.splitlines()] == [2]
    assert command("diff", "trip", "by train", "--exit-code").code == 1
    assert command("diff", "trip", "trip", "--exit-code").code == 0
    assert command("diff", "trip", "nowhere", "--exit-code").code == 7
    assert command("diff", "trip", "nowhere").code == command("diff", "trip").code == 3


def test_diff_of_sides(tmp_path: Path) -> None:
    """`diff NAME` compares a session with its other side; a merge ends the divergence."""
    command, other = Command(tmp_path / "here"), Command(tmp_path / "there")
    command.fill("trip")
    shutil.copytree(command.store, other.store)
    command("append", "trip", "-m", "With a beach")
    other("append", "trip", "-m", "With mountains")
    command("sync", str(other.store))
    (side,) = {json.loads(line)["name"] for line in command("list", "--json").out.splitlines()} - {"trip"}
    assert "diverged after 2" in command("list").out
    assert command("doctor").out.count("was continued apart") == 2
    shown = command("diff", side).out
    assert command("diff", "trip").out != shown
    assert all(word in shown for word in ("  user: With ", "beach", "mountains"))
    assert command("merge", side, "trip").err == f"merged {side} into trip: 1 added\n"
    assert command("list", "--fields", "name").out == '{"name":"trip"}\n'


def test_merge_and_cherry_pick(command: Command) -> None:
    """What one side added is there once, however often it is merged."""
    with nothing_changes(command.store):
        done = command("cherry-pick", "by train:2-3", "trip", "--dry-run")
        assert done.out == "would add 2 messages of 'by train' to trip\n"
    assert command("cherry-pick", "by train:3", "trip").err == "added 1 message of 'by train' to trip\n"
    with nothing_changes(command.store):
        assert command("merge", "trip", "by train", "--dry-run").out == "would merge trip into 'by train': 1 added\n"
        assert command("merge", "trip", "nowhere", "--dry-run").code == 3
    assert command("merge", "by train", "trip").err == "merged 'by train' into trip: 0 added\n"
    assert command("show", "trip:4").out == "[4] user\nHow do I^[ get there?\n"
    assert command("merge", "trip", "by train", "--strategy", "theirs").code == 0
    for arguments in (
        ("merge", "trip", "trip"),
        ("cherry-pick", "trip", "by train"),
        ("cherry-pick", "trip:1", "trip"),
    ):
        assert command(*arguments).code == 2, arguments
    assert command("merge", "tri", "by train").code == 3
    assert command("cherry-pick", "trip:9", "by train").code == 3
