"""Going back, and finding: history, undo, restore, tag, points in the past, deleted sessions, search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .command import ANSWER, HELLO, Command, nothing_changes


@pytest.fixture(params=["files", "sqlite"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """A session that was made, continued, and of which a message was changed."""
    command = Command(tmp_path, request.param)
    assert command("new", "trip").code == 0
    assert command("append", "trip", "-m", "Where is it warm?").code == 0
    assert command("append", "trip", "-m", "In Oman.", "-r", "assistant").code == 0
    assert command("edit", "trip:1", "-m", "Where is it cold?").code == 0
    return command


def entries(command: Command, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in command("history", name, "--json").out.splitlines()]


def test_history(command: Command) -> None:
    """Each state is a line, newest first, in a pipe, on a terminal and as JSON."""
    found = entries(command, "trip")
    assert [entry["kind"] for entry in found[:1]] == ["edit"]
    assert [entry["messages"] for entry in found][:2] == [2, 2]
    rows = [line.split("\t") for line in command("log", "trip").out.splitlines()]
    assert [row[0] for row in rows] == [entry["id"] for entry in found]
    assert command("history", "trip", "-n", "1").err == "there is more (all: -n 0)\n"
    assert command("history", "trip", "--color", "never", terminal=True).out.startswith("ID ")
    assert command("history", "nowhere").code == 3


def test_points_in_the_past(command: Command) -> None:
    """A state goes by its place in the history, its id, a time and a tag, for reading and for a branch."""
    before, identity = entries(command, "trip")[1], str(entries(command, "trip")[1]["id"])
    assert command("tag", f"trip@{identity}", "asked").err == "trip@asked is the state of 2 messages\n"
    assert command("tag", "trip").out.startswith(f"asked\t{identity}\t")
    assert json.loads(command("tag", "trip", "--json").out)["messages"] == before["messages"]
    for point in ("{1}", identity, "asked"):
        assert command("show", f"trip@{point}:1").out == "[1] user\nWhere is it warm?\n", point
        assert command("show", f"trip@{point}~1").out == "[1] user\nWhere is it warm?\n", point
    assert command("show", "trip@{now}:1").out == command("show", "trip:1").out == "[1] user\nWhere is it cold?\n"
    assert command("branch", "trip@asked", "before").code == 0
    assert command("show", "before:1").out == "[1] user\nWhere is it warm?\n"
    for point, code in (("{99}", 3), ("nowhere", 3), ("{yesterday}", 3), ("{soon}", 2)):
        assert command("show", f"trip@{point}").code == code, point
    assert command("edit", "trip@asked:1", "-m", "x").code == command("tag", "trip", "40").code == 2
    assert command("tag", "trip", "asked", "-d").code == 0
    assert command("tag", "trip").out == ""


def test_metadata_in_the_past(command: Command) -> None:
    """They are those of the state that was named. They were once those of now."""
    command("set", "trip", "topic=travel")
    command("set", "trip", "topic=food")
    assert command("show", "trip@{1}", "--meta").out == "topic\ttravel\n"
    assert command("show", "trip", "--meta").out == "topic\tfood\n"


def test_undo_and_restore(command: Command) -> None:
    """An undo takes the last change back, and again the one before; a restore goes anywhere."""
    assert command("undo", "trip").code == 0
    assert command("show", "trip:1").out == "[1] user\nWhere is it warm?\n"
    assert command("undo", "trip").code == 0
    assert command("show", "trip").out == "[1] user\nWhere is it warm?\n"
    assert command("restore", "trip").code == 2
    edited = next(entry["id"] for entry in entries(command, "trip") if entry["kind"] == "edit")
    assert command("restore", "trip", "--to", str(edited)).err == "restored trip: 2 messages\n"
    assert command("show", "trip:1").out == "[1] user\nWhere is it cold?\n"
    assert command("restore", "trip", "--to", "nowhere").code == 3
    assert command("restore", "trip", "--to", "1", "--as", "trip").code == 4
    assert command("restore", "trip", "--to", "1", "--as", "first").err == "made first with 1 message\n"
    for _ in range(9):
        done = command("undo", "trip")
        if done.code:
            break
    assert done.code == 3
    assert "nothing left" in done.err


def test_a_deleted_session(command: Command) -> None:
    """What a delete says brings the session back; until then it is in the list of the deleted ones."""
    done = command("delete", "trip")
    assert done.err == "deleted trip (undo: coda-session restore trip)\n"
    assert command("list").out == ""
    assert command("list", "--deleted").out.startswith("trip\t2\t")
    assert command("list", "--deleted", "x*").out == ""
    for wanted in (["--since", "2d"], ["--sort", "name"], ["--where", "a=b"], ["--errors"]):
        # They were once passed over.
        assert command("list", "--deleted", *wanted).code == 2
    assert entries(command, "trip")[0]["kind"] == "delete"
    with nothing_changes(command.store):
        for text in ("trip", "trip:1", "trip~1"):
            done = command("show", text)
            assert done.code == 3
            assert "`coda-session restore trip` brings it back" in done.err
        for text in ("trip@{1}:1", "trip@1", "trip@2~1", "trip@{1}~1"):
            assert command("show", text).out == "[1] user\nWhere is it cold?\n", text
        assert command("show", "trip@{2}:1").out == "[1] user\nWhere is it warm?\n"
        assert command("show", "trip@3").code == 2
        assert command("show", "tri@{1}").code == command("show", "trip@{9}").code == 3
    assert command("restore", "trip", "--as", "other").err == "made other with 2 messages\n"
    assert command("restore", "trip").err == "restored trip: 2 messages\n"
    assert len(command("list").out.splitlines()) == 2
    assert command("undo", "trpi").err == "error: there is no session trpi; did you mean trip?\n"


def test_search(command: Command) -> None:
    """Found in every session, also in hidden ones; a message that branches share is there once."""
    command.fill("other", HELLO, ANSWER, **{"coda_fs_session.hidden": True})
    command("branch", "trip", "trip by train")
    done = command("search", "oman")
    assert {line.split("\t")[0] for line in done.out.splitlines()} == {"other:2", "trip by train:2"}
    assert done.err == "2 found\n"
    shared = next(line for line in done.out.splitlines() if line.startswith("trip"))
    assert shared.split("\t")[1] == "assistant"
    assert shared.endswith("\ttrip")
    hit = json.loads(command("grep", "cold", "--json").out)
    assert (hit["place"], hit["index"], hit["role"]) == ("trip by train:1", 0, "user")
    assert {each["session"] for each in hit["places"]} == {"trip", "trip by train"}
    assert command("search", "oman", "--in", "other", "-l").out == "other\n"
    assert command("search", "oman", "-r", "user").code == command("search", "nothing").code == 3
    assert command("search", "oman", "--until", "2000-01-01").code == 3
    assert command("search", "oman", "-n", "1").err.startswith("1 of 2 found")
    assert command("search", '"', "AND (").code == 3


def test_a_search_tells_what_it_left_out(command: Command) -> None:
    """More than are counted, and more than were looked at, are not passed off as all there is."""
    command.fill("other", *({"role": "user", "content": f"planet {number}"} for number in range(40)))
    assert command("search", "planet", "-n", "5").err == "5 found; there may be more\n"
    assert command("search", "planet", "-n", "0").err == "40 found\n"
    # Within words one session is looked through after the other.
    assert command("search", "lane", "-n", "1").err == "1 found; not everything was looked at\n"
    assert command("search", "--", "->").err == "0 found\n"
