"""Completion: what is offered, and that what a shell puts into the line is one word in which nothing runs."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coda_fs_session.cli.completing import Typed, for_bash, read_line
from coda_fs_session.cli.safe import is_safe

from .command import Command

BREAKS = " \t\n\"'@><=;|&(:"
LIMIT = 60.0
HOSTILE = [
    *(
        "$(touch F)",
        "`touch F`",
        ";touch F",
        "* ?",
        "a:b c",
        "a@b=c",
        "it's",
        'say "x"',
        " two  spaces ",
        "\\t\\",
        "!!x",
    ),
    *("漢字 🙂", "#x", "~x", "{a,b}", "plain", "a'\"$b", "-n", "&&touch F", "<F", "\u202ereverse", "end'", 'end"'),
]
MIXED = [
    "$(touch F)`touch F`;touch F&&touch F<F",
    'it\'s a:b c@d=e "x"',
    " * ?  {a,b} \\t\\ ",
    "漢字 🙂 !!x #y",
    "\u202ereverse",
]
"""What is in the hostile names, in a few."""


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("coda-session ", Typed([], "", 0, "")),
        ("coda-session sh", Typed([], "sh", 0, "")),
        ("coda-session show 'a b' c\\ d", Typed(["show", "a b"], "c d", 0, "")),
        ("coda-session show 'a b", Typed(["show"], "a b", 0, "'")),
        ('coda-session show x"a \\"b', Typed(["show"], 'xa "b', 1, '"')),
        ("coda-session show a:b", Typed(["show"], "a:b", 2, "")),
        ("coda-session show 'a:b'c", Typed(["show"], "a:bc", 3, "")),
        ("coda-session show '' x", Typed(["show", ""], "x", 0, "")),
    ],
)
def test_a_line_is_taken_apart(line: str, typed: Typed) -> None:
    """Quotes, backslashes and signs that break words are read as bash reads them."""
    assert read_line(line, BREAKS) == typed


@pytest.mark.parametrize("before", ["", "'", '"', "x:", "'x y':"])
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_put_in_is_the_name(name: str, before: str, tmp_path: Path) -> None:
    """Put in place of what was typed, a word means the name, and nothing runs, whatever quote is open."""
    begin = before.strip("'\"") if len(before) > 1 else ""
    begin = begin.replace("y'", "y")
    typed = read_line(f"coda-session show {before}", BREAKS)
    words = for_bash([begin + name], typed)
    for word in words:
        # As bash does.
        close = "" if word.endswith(typed.quote or " ") else typed.quote
        line = f"printf '%s.' {before}{word}{close}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (done.stdout, done.stderr) == (f"{begin}{name}.", ""), line
    assert list(tmp_path.iterdir()) == []
    if not before:
        assert len(words) == 1


def complete(command: Command, line: str, shell: str = "bash") -> list[str]:
    """Return what a shell is offered: the kind, and the words."""
    environment = {"_CODA_SESSION_COMPLETE": shell, "_CODA_SESSION_LINE": line, "_CODA_SESSION_BREAKS": BREAKS}
    words = [] if shell == "bash" else line.split(" ")[1:]
    done = command.process(*words, **environment)
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("coda-session st", ["words", "stats"]),
        ("coda-session l", ["words", "list", "ls", "log"]),
        ("coda-session --vers", ["words", "--version"]),
        ("coda-session show tri", ["words", "'trip by train'", "'trip to Oman'"]),
        ("coda-session rm 'trip t", ["words", "trip to Oman"]),
        ("coda-session show -n 3 not", ["words", "notes"]),
        ("coda-session list --sort u", ["words", "updated"]),
        ("coda-session list --rev", ["words", "--reverse"]),
        ("coda-session show -- n", ["words", "notes"]),
        ("coda-session -s /nowhere show n", ["words"]),
        ("coda-session -s ", ["files"]),
        ("coda-session sync ", ["files"]),
        ("coda-session export notes -o ", ["files"]),
        ("coda-session completion z", ["words", "zsh"]),
        ("coda-session help synci", ["words", "syncing"]),
        ("coda-session nothing n", ["words"]),
    ],
)
def test_what_is_offered(filled: Command, line: str, offered: list[str]) -> None:
    """Verbs, options, their values, sessions, pages; the name of a file where one belongs."""
    assert complete(filled, line) == offered


def test_other_shells_get_plain_words(filled: Command) -> None:
    """zsh and fish quote what they put in themselves; the scripts for them are there."""
    assert complete(filled, "coda-session show tri", "zsh") == ["words", "trip by train", "trip to Oman"]
    assert complete(filled, "coda-session ", "fish")[:2] == ["words", "list"]
    for shell in ("bash", "zsh", "fish"):
        assert "_CODA_SESSION_COMPLETE" in filled("completion", shell).out


COMPINIT = "autoload -Uz compinit; compinit -u -D"
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(coda-session completion bash)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        "mkdir f; coda-session completion zsh > f/_coda-session; fpath=($PWD/f $fpath); " + COMPINIT,
    ),
    "zsh with eval": (
        ["zsh", "-f", "-i"],
        COMPINIT + '; eval "$(coda-session completion zsh)"',
    ),
    "fish": (
        ["fish"],
        "mkdir -p .config/fish/completions; coda-session completion fish > .config/fish/completions/coda-session.fish",
    ),
}
"""How each shell is started, and how its completion is set up, as the manual says."""

# To run the verb takes long, and shows no more than what it is given.
PROGRAM = """#!/bin/sh
if [ -z "$_CODA_SESSION_COMPLETE" ] && [ "$1" != completion ]; then
    printf 'given:%s:%s.\\n' "$1" "$2"
    exit
fi
exec "{python}" -m coda_fs_session "$@"
"""


class Terminal:
    """An interactive shell with the completion in it."""

    def __init__(self, command: Command, shell: str) -> None:
        folder = command.home / "bin"
        folder.mkdir()
        program = folder / "coda-session"
        program.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
        program.chmod(0o755)
        environment = command.environment | {"PATH": f"{folder}:{command.environment['PATH']}", "TERM": "xterm"}
        start, set_up = SHELLS[shell]
        child, self._descriptor = pty.fork()
        if not child:
            os.chdir(command.home)
            os.execvpe(start[0], start, environment)
        self._child = child
        self.home = command.home
        if shell == "bash":
            self.run("bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; unset HISTFILE")
        self.run(set_up)

    def run(self, line: str) -> str:
        """Type a line, and return what is shown until it is done."""
        end = f"done-{time.monotonic_ns()}"
        os.write(self._descriptor, f"{line}\n".encode())
        os.write(self._descriptor, f"echo {end[:4]}''{end[4:]}\n".encode())
        shown = b""
        until = time.monotonic() + LIMIT
        while end.encode() not in shown:
            assert select.select([self._descriptor], [], [], max(0, until - time.monotonic()))[0], shown
            shown += os.read(self._descriptor, 65536)
        return shown.decode(errors="replace")

    def close(self) -> None:
        # It may have a line open, and then take no command.
        os.kill(self._child, signal.SIGKILL)
        os.close(self._descriptor)
        os.waitpid(self._child, 0)


@pytest.fixture(scope="module", params=SHELLS)
def terminal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, long_size: bool
) -> Iterator[tuple[Terminal, list[str], str]]:
    shell = request.param
    program = SHELLS[shell][0][0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: its completion is not tested")
    command = Command(tmp_path_factory.mktemp("terminal"))
    names = [*MIXED, *HOSTILE] if long_size else MIXED[:1] if shell == "zsh with eval" else MIXED
    with command.manager() as manager, manager.bulk():
        for place, name in enumerate(names):
            manager.create_session(f"n{place:02}{name}")
    terminal = Terminal(command, shell)
    yield terminal, names, shell
    terminal.close()


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_in_a_terminal(terminal: tuple[Terminal, list[str], str], quote: str) -> None:
    """A tab after the beginning of a hostile name, and Enter: the verb gets the name whole, and nothing else runs.

    Shells that quote by themselves are not offered a name that cannot be shown.
    """
    shell, names, kind = terminal
    for place, name in enumerate(names):
        if quote and quote not in name and place > 0:
            continue
        shown = shell.run(f"coda-session show {quote}n{place:02}\t" + (quote if not is_safe(name) else ""))
        whole = name if kind == "bash" or is_safe(name) else ""
        assert f"given:show:n{place:02}{whole}." in shown, (name, shown)
    assert set(os.listdir(shell.home)) <= {"bin", "f", ".local", ".config"}
