"""What a person sees on a terminal of 80 columns and 24 lines, as it was recorded in `terminal.txt`."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from datetime import datetime
from pathlib import Path

import pytest

from coda_fs_session.cli.columns import width

from .command import ANSWER, HELLO, Command

CHANGES = Path(__file__).with_name("terminal_changes.txt")
"""What verbs show that change something; behind <<< stands what is typed."""
RECORDED = Path(__file__).with_name("terminal.txt")
LINES = RECORDED.read_text(encoding="utf-8")
SHOWN = {part.partition("\n")[0]: part.partition("\n")[2] for part in LINES.split("$ coda-session")[1:]}
"""What each command line shows, escape signs as ^[."""


def on_terminal(command: Command, *arguments: str, columns: int = 80, **environment: str) -> str:
    """Run the command on a terminal, and return what is shown on it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "coda_fs_session", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=command.environment | {"PAGER": "cat", "CODA_FS_STORE": "chats"} | environment,
        cwd=command.folder,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            # Linux tells so that nobody has the terminal any more.
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    process.wait(60)
    return shown.decode().replace("\r\n", "\n").replace("\r", "^M").replace("\x1b", "^[")


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A store in which everything is of 2024, so that it looks the same on any day."""
    command = Command(tmp_path_factory.mktemp("terminal"))
    command.store = command.folder / "chats"
    moment = datetime(2024, 5, 17, 12, 30)

    def save(name: str, *messages: dict[str, object], day: int, **metadata: object) -> None:
        session = manager.create_session(name, created_at=moment)
        for message in messages:
            session.add_message(message)
        session.update_metadata(metadata)
        manager.save_session(session, updated_at=moment.replace(day=day))

    with command.manager() as manager:
        save("trip to Oman", HELLO, ANSWER, day=18, topic="travel", days=14)
        branch = manager.create_session("trip by train", branch_from="trip to Oman", at=1, created_at=moment)
        branch.add_message({"role": "assistant", "content": "To Oman it is a long way.\n\n```sh\nls trains\n```"})
        manager.save_session(branch, updated_at=moment.replace(day=19))
        save("旅行 " + "a long name " * 8, HELLO, day=20)
        save(
            "agent",
            HELLO,
            {"role": "assistant", "tool_calls": [{"function": {"name": "ls", "arguments": "{}"}}]},
            day=21,
        )
        save("helper", HELLO, day=22, **{"coda_fs_session.hidden": True})
        # Later searches have nothing to read, and so no progress to show.
        manager.search("oman")
    return command


@pytest.mark.parametrize("line", SHOWN)
def test_as_it_was_recorded(command: Command, line: str) -> None:
    """Each command shows what it showed when it was recorded; what is to look otherwise is recorded anew."""
    assert on_terminal(command, *shlex.split(line)) == SHOWN[line].rstrip("\n") + "\n"


def test_changes_as_they_were_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verbs that change something show what they showed when they were recorded, one after the other."""
    command = Command(tmp_path)
    command.environment["CODA_FS_CONFIG"] = str(tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text('[session]\nreplica = "desk"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    shown = []
    recorded = CHANGES.read_text(encoding="utf-8")
    for line in re.findall(r"^\$ coda-session (.*)$", recorded, re.MULTILINE):
        words, _, typed = line.partition(" <<< ")
        text = command.screen(*shlex.split(words), typed=f"{typed}\n")
        shown.append(f"$ coda-session {line}\n{text}")
    assert "\n".join(shown) == recorded


def test_what_is_longer_than_the_screen_is_paged(tmp_path: Path) -> None:
    """The pager gets all of it, in colour; `--no-pager` and a short output do without."""
    command = Command(tmp_path)
    command.store = tmp_path / "chats"
    command.fill("long", *[HELLO] * 20)
    command.fill("short")
    pager = "sed s/^/paged:/"
    shown = on_terminal(command, "show", "long", CODA_FS_PAGER=pager, PAGER="false")
    assert len(shown.splitlines()) == 59
    assert all(line.startswith("paged:") for line in shown.splitlines())
    assert "^[[" in shown
    assert "paged" not in on_terminal(command, "show", "long", "--no-pager", CODA_FS_PAGER=pager)
    assert "paged" not in on_terminal(command, "show", "short", CODA_FS_PAGER=pager)
    assert "paged" in on_terminal(command, "show", "long", PAGER=pager)
    assert on_terminal(command, "show", "long", CODA_FS_PAGER="true") == ""


@pytest.mark.parametrize(
    ("environment", "colored"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, True),
    ],
)
def test_when_there_is_colour(command: Command, environment: dict[str, str], colored: bool) -> None:
    """A terminal has colour, unless somebody wants none."""
    assert ("^[[" in on_terminal(command, "show", "agent", **environment)) is colored
    assert "^[[" not in on_terminal(command, "show", "agent", "--color", "never", **environment)
    assert "\x1b[" in command.process("show", "agent", "--color", "always", CODA_FS_STORE=str(command.store)).out


@pytest.mark.parametrize("columns", [20, 40, 200])
def test_other_widths(command: Command, columns: int) -> None:
    """No line of a table is wider than the terminal."""
    shown = on_terminal(command, "list", "-l", "--color", "never", columns=columns)
    rows = [line for line in shown.splitlines() if not line.startswith("showing")]
    assert len(rows) >= 5
    command.environment["CODA_FS_STORE"] = str(command.store)
    for arguments in (("history", "trip to Oman"), ("search", "oman"), ("stats", "--by", "role"), ("help",)):
        shown = command(*arguments, "--color", "never", terminal=True, columns=columns).out
        assert len(shown.splitlines()) >= 2
        rows += shown.splitlines()
    assert max(map(width, rows)) <= columns


def test_a_locale_without_letters(command: Command) -> None:
    """With LC_ALL=C nothing fails, whatever script the names are in."""
    done = command.process("list", CODA_FS_STORE=str(command.store), LC_ALL="C", LANG="C", PYTHONUTF8="0")
    assert done.code == 0
    assert "a long name" in done.out
