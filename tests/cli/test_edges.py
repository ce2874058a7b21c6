"""Where one thing ends and another begins: the last message, the sixth letter, the other variable."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from coda_fs_session.cli.exits import DAMAGED, DONE, IN_PART, REFUSED
from coda_fs_session.cli.times import ago, moment

from .command import ANSWER, HELLO, Command


def test_the_last_message(filled: Command) -> None:
    """`~N` and `:N` go as far as there are messages; -n and --head take what there is."""
    whole = filled("show", "notes").out
    assert filled("show", "notes~2").out == ""
    assert filled("show", "notes~3").code == 2
    assert filled("show", "notes:2").out.startswith("[2] ")
    assert filled("show", "notes:1-2").out == whole
    assert filled("show", "notes:3").code == filled("show", "notes:1-3").code == 3
    assert filled("show", "notes", "-n", "9").out == filled("show", "notes", "--head", "9").out == whole
    assert filled("show", "notes:1", "--head", "5").out == filled("show", "notes:1").out
    assert filled("show", "notes:2", "-n", "5").out == filled("show", "notes:2").out


def test_what_a_session_goes_by(filled: Command) -> None:
    """Of the id that a tool gave it, six letters are enough, and five are too few."""
    assert filled("show", "9eda10").code == 0
    assert filled("show", "9eda1").code == 3


def test_fields_come_as_they_were_asked_for(filled: Command) -> None:
    """`--fields` says in which order."""
    line = filled("list", "notes", "--fields", "message_count, name").out
    assert line == '{"message_count":2,"name":"notes"}\n'


def test_sorted_by_messages(command: Command) -> None:
    """The longest comes first, and with --reverse the shortest."""
    for count, name in enumerate(("one", "two", "three"), 1):
        command.fill(name, *[HELLO] * count)
    rows = command("list", "--sort", "messages").out.splitlines()
    assert [row.partition("\t")[0] for row in rows] == ["three", "two", "one"]
    assert command("list", "--sort", "messages", "--reverse").out.splitlines() == rows[::-1]


def test_times() -> None:
    """A time to come is a date; yesterday began a day before today."""
    now = datetime(2026, 3, 1, 9, 30)
    assert ago(now + timedelta(hours=2), now) == "2026-03-01"
    assert (moment("today", now), moment("yesterday", now)) == (datetime(2026, 3, 1), datetime(2026, 2, 28))


def test_what_was_said_counts_more_than_the_environment(command: Command, tmp_path: Path) -> None:
    """-s and --config come before the variables."""
    command.fill("here")
    other = Command(tmp_path / "other")
    other.fill("there")
    assert command("list", "-s", str(other.store), "--fields", "name").out == '{"name":"there"}\n'
    command.environment["CODA_FS_CONFIG"] = "/nowhere"
    assert command("list").code == 2
    good = tmp_path / "good.toml"
    good.write_text("", encoding="utf-8")
    assert command("list", "--config", str(good)).code == 0
    assert "is a file" in command("list", "-s", str(good), "--config", str(good)).err


@pytest.mark.parametrize(("value", "colored"), [("0", False), ("", False), ("1", True)])
def test_colour_in_a_pipe(filled: Command, value: str, colored: bool) -> None:
    """CLICOLOR_FORCE has colour in a pipe too, unless it is 0 or empty."""
    filled.environment["CLICOLOR_FORCE"] = value
    try:
        assert ("\x1b[" in filled("show", "notes").out) is colored
    finally:
        del filled.environment["CLICOLOR_FORCE"]


def test_several_of_which_some_cannot_be_done(command: Command, tmp_path: Path) -> None:
    """All failed ends as the first error does, and some with 8; folders of the target are made."""
    command.fill("a")
    command.fill("b")
    folder = f"{tmp_path}/deep/er/"
    assert command("export", "a", "-o", folder).code == DONE
    assert command("export", "a", "b", "-o", folder).code == IN_PART
    done = command("export", "a", "b", "-o", folder)
    assert done.code == REFUSED
    assert done.err.count("--overwrite replaces it") == 2


def test_nobody_answers(command: Command) -> None:
    """The end of the input is no yes: nothing is deleted, and it ends as after Ctrl-C."""
    command.fill("a")
    command.fill("b")
    done = command("delete", "a", "b", both=True, terminal=True)
    assert done.code == 130
    assert done.out.endswith("aborted\n")
    assert len(command("list").out.splitlines()) == 2


def test_text_is_kept_as_it_is_given(command: Command) -> None:
    """Of a text from stdin only the last newline is taken off; empty lines of JSON lines are no messages."""
    command.fill("trip")
    assert command("append", "trip", stdin="  text \n\n").code == 0
    assert json.loads(command("show", "trip:-1", "--json").out)["content"] == "  text \n"
    assert command("append", "trip", "--jsonl", stdin=f"\n{json.dumps(ANSWER)}\n \n").out == "4\n"


def test_a_message_that_is_none_is_counted_from_1(command: Command) -> None:
    """The library counts messages from 0, and the command from 1, in errors too."""
    command.fill("trip")
    done = command("append", "trip", "--jsonl", stdin=f'{json.dumps(HELLO)}\n{{"role": "user", "content": NaN}}\n')
    assert done.code == 2
    assert "message 4" in done.err
    assert "messages[" not in done.err


def test_a_code_block_on_a_terminal(command: Command) -> None:
    """It is raw in a pipe, where a program reads it, and cannot drive a terminal."""
    command.fill("trip", {"role": "assistant", "content": "```\n\x1b[31mred\n```"})
    assert command("show", "trip", "-x").out == "\x1b[31mred\n"
    assert command("show", "trip", "-x", terminal=True).out == "^[[31mred\n"


def test_a_sync_that_leaves_something_alone(command: Command, tmp_path: Path) -> None:
    """What is damaged is named, the rest arrives, and it ends with 8; so does a dry run."""
    command.fill("bad")
    command.fill("good")
    (path,) = command.store.glob("refs/*/bad.jsonl")
    path.write_bytes(b"{\n")
    for arguments in (("--dry-run",), ()):
        done = command("sync", f"{tmp_path}/other", *arguments)
        assert done.code == IN_PART
        assert "good" in done.out
        assert "left alone: " in done.err
        assert "bad.jsonl" in done.err


def test_what_the_doctor_finds(command: Command) -> None:
    """A file that is none of the store's is a problem; a session that cannot be read too, which ends with 5."""
    command.fill("bad")
    (command.store / "refs" / "letter.txt").write_text("Dear", encoding="utf-8")
    done = command("doctor")
    assert done.code == DONE
    (problem,) = [line for line in done.out.splitlines() if line.startswith("problem")]
    assert "letter.txt" in problem
    assert "move it elsewhere" in problem
    (path,) = command.store.glob("refs/*/bad.jsonl")
    path.write_bytes(b"{\n")
    done = command("doctor")
    assert done.code == DAMAGED
    assert "cannot be read" in done.out


def test_a_long_result_of_a_tool(command: Command) -> None:
    """It is one line of 160 letters; full shows all of it."""
    command.fill("agent", {"role": "tool", "name": "ls", "content": "x " * 400})
    line = command("show", "agent").out.splitlines()[1]
    assert line.endswith("…")
    assert line.count("x") == 80
    assert command("show", "agent", "--tools", "full").out.count("x") == 400
