"""The step of the demo that shows `coda-session` beside the library: what a person types into a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import Any

from demo_text import BOLD, PLAIN, Stopwatch, heading, plural, words

from coda_fs_session import SessionManager


def show_command(options: dict[str, Any], manager: SessionManager, name: str, word: str, watch: Stopwatch) -> None:
    """Run some verbs on the store, and compare the list with that of the library."""
    heading("9. The command beside the library")
    environment = os.environ | {"CODA_FS_STORE": options["storage_path"], "CODA_FS_CONFIG": os.devnull}
    if "state_path" in options:
        environment["CODA_FS_STATE"] = options["state_path"]

    def run(*arguments: str, lines: int = 5) -> str:
        """Run a verb, and show it with the first lines that it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "coda_fs_session", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        print(f"  {BOLD}$ coda-session {shlex.join(arguments)}{PLAIN}")
        output = done.stdout.splitlines()
        for line in output[:lines]:
            print(f"    {words(line, 104)}")
        if len(output) > lines:
            print(f"    ... {plural(len(output) - lines, 'line')} more")
        print()
        return done.stdout

    with watch("list, show, search and history by the command, a process each"):
        listed = run("list").splitlines()
        run("show", name, "-n", "2", lines=8)
        run("search", word, "-n", "3")
        run("history", name, "-n", "3")
    if [line.partition("\t")[0] for line in listed] != [info.name for info in manager.list_sessions()]:
        sys.exit("error: the command lists other sessions than the library")
    print(f"  It lists what the library lists, in the same order: {plural(len(listed), 'session')}.")
