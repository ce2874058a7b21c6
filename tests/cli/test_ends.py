"""How the command ends: exit codes, errors, and streams that are closed or full."""

from __future__ import annotations

import inspect
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coda_fs_session import CorruptionError, SessionNotFoundError, errors
from coda_fs_session.cli.exits import OF_ERRORS, CommandError, code_of

from .command import Command, nothing_changes


def test_every_error_has_a_code() -> None:
    """Each error of the library is in the table, and the table has none that is gone."""
    ours = {name for name, each in vars(errors).items() if inspect.isclass(each) and issubclass(each, Exception)}
    ours -= {"SessionWarning"}
    assert ours == OF_ERRORS.keys() - {"FileExistsError"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SessionNotFoundError("a"), 3),
        (CorruptionError("a"), 5),
        (CommandError("a", 10), 10),
        (FileExistsError("a"), 4),
        (OSError("a"), 1),
    ],
)
def test_the_code_of_an_error(error: Exception, code: int) -> None:
    """An error has the code of its class, and else that of the nearest parent."""
    assert code_of(error) == code


def test_without_a_store(command: Command) -> None:
    """Nothing is made by looking: it says how to begin, and ends with 10."""
    for arguments in ((), ("list",), ("show", "@"), ("append", "chat", "-m", "Hello")):
        done = command(*arguments)
        assert (done.code, done.out) == (10, "")
        assert "coda-session new NAME" in done.err
    assert not command.store.exists()


def test_without_a_verb(filled: Command) -> None:
    """It says in five lines what is here and what to do next."""
    done = filled()
    assert done.code == 0
    assert len(done.out.splitlines()) == 5
    assert "sessions  3 with 6 messages" in done.out
    assert "newest    'trip by train' (2 messages" in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("lst",), 2, "did you mean 'list'?"),
        (("list", "--colour"), 2, "--colour"),
        (("show", "trip to Omna"), 3, "did you mean 'trip to Oman'?"),
        (("show", "trip"), 3, "'trip by train', 'trip to Oman'"),
        (("show", "notes:9"), 3, "messages 1 to 2"),
        (("show", "notes~9"), 2, "before the first"),
        (("list", "--since", "soon"), 2, "no time"),
        (("list", "--config", "/nowhere"), 2, "/nowhere"),
        (("new", "notes"), 4, "exists already: take another name"),
        (("new", "a\nb"), 2, ""),
        (("append", "note", "-m", "x"), 3, "did you mean notes?"),
        (("append", "notes"), 2, "empty"),
    ],
)
def test_what_is_wrong_is_told(filled: Command, arguments: tuple[str, ...], code: int, said: str) -> None:
    """One line on stderr says what is wrong, the exit code says of what kind, and nothing changes."""
    with nothing_changes(filled.store):
        done = filled(*arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: ")
    assert said in done.err
    assert "list_sessions()" not in done.err


def test_an_error_as_json(filled: Command) -> None:
    """With --json an error is one object on stderr."""
    assert "message_count" in json.loads(filled("list", "--fields", "nme").err)["message"]
    done = filled("show", "nowhere", "--json")
    assert (done.code, done.out) == (3, "")
    assert json.loads(done.err)["error"] == "SessionNotFoundError"
    assert json.loads(filled("list", "--fields", "nme").err)["error"] == "CommandError"
    assert "nowhere" in json.loads(done.err)["message"]


def test_stdout_is_full_or_closed(filled: Command) -> None:
    """What cannot be written is an error, and no traceback."""
    done = filled.shell("coda-session list >/dev/full")
    assert done.code == 1
    assert done.err == "error: [Errno 28] No space left on device\n"
    done = filled.shell("coda-session list >&-")
    assert (done.code, done.err) == (1, "error: stdout is closed\n")


def test_nobody_reads(filled: Command) -> None:
    """A reader that has left before anything was written: 141, and nothing on stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "coda_fs_session", "list"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=filled.environment,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


def test_ctrl_c(command: Command) -> None:
    """Ctrl-C while it waits for a text ends it with 130, without a traceback; nothing was added."""
    command.fill("chat")
    process = subprocess.Popen(
        [sys.executable, "-m", "coda_fs_session", "append", "chat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command.environment | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None
    # Once it takes these, more than a pipe holds, it waits for the end.
    process.stdin.write(b"word " * 100_000)
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"interrupted\n")
    with command.manager() as manager:
        assert len(manager.load_session("chat")) == 2


def test_starting_loads_little(command: Command) -> None:
    """The command is loaded without a verb, and without what a list or a transcript has no use for."""
    script = (
        "import sys, coda_fs_session.cli, coda_fs_session.cli.app\n"
        "print(*sorted(n for n in sys.modules if n.startswith('coda_fs_session.cli.commands')"
        " or n.split('.')[0] in ('rich', 'sqlite3', 'watchdog', 'orjson', 'zstandard', 'platformdirs')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_both_ways_to_call_it(command: Command) -> None:
    """`coda-session` and `python -m coda_fs_session` are the same."""
    script = Path(sys.executable).with_name("coda-session")
    if not script.exists():
        pytest.skip("runs from a checkout that is not installed")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, env=command.environment, check=False)
    assert done.stdout.startswith("coda-session ")
    assert done.stdout == command.process("--version").out
