"""Processes that a row starts: some are timed as a whole, some do what they are told."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

SCRIPTS = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    """Return an environment in which a process finds the package and this folder, and may cache its bytecode."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": os.pathsep.join([str(SCRIPTS.parent), str(SCRIPTS)])}


def run(arguments: Sequence[str], **variables: str) -> str:
    """Run Python with these arguments, and variables of the environment, to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], env=environment() | variables, check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


class Child:
    """A Python module run as a process that reads one command per line and answers each with a line "done"."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def wait_until_done(self) -> None:
        if self.read() != "done\n":
            raise RuntimeError(f"a process ended too early, with status {self._process.wait()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error:
            self._process.kill()
        with self._process:  # closes its input, which ends it, and waits
            pass
