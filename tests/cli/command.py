"""Running the command: in this process, which is quick, or as a process of its own, as a shell does."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from coda_fs_session import SessionManager
from coda_fs_session.cli.app import run

HELLO = {"role": "user", "content": "Where is it warm in March?"}
ANSWER = {"role": "assistant", "content": "Madeira is mild, Oman is hot.", "model": "gpt-4"}


class Done(NamedTuple):
    """How a run ended."""

    code: int
    out: str
    err: str


class _Stream(io.StringIO):
    """A stream that may pass for a terminal."""

    def __init__(self, text: str = "", *, terminal: bool = False) -> None:
        super().__init__(text)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def reconfigure(self, **_: object) -> None:
        return


class Command:
    """The command on one store, in a home of its own."""

    def __init__(self, folder: Path, backend: str = "files") -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.store = folder / "store"
        self.backend = backend
        self.environment = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "CODA_FS_STORE": str(self.store),
            "CODA_FS_STATE": str(folder / "state"),
            "LANG": "C.UTF-8",
            # What is kept of a text that could not be saved is to go with the test.
            "TMPDIR": str(folder),
        }
        if backend != "files":
            config = folder / "config.toml"
            config.write_text(f'[session]\nbackend = "{backend}"\n', encoding="utf-8")
            self.environment["CODA_FS_CONFIG"] = str(config)

    def manager(self, **options: Any) -> SessionManager:
        """Return a manager of the library on the same store."""
        chosen = {"storage_path": str(self.store), "state_path": str(self.folder / "state"), "backend": self.backend}
        return SessionManager({"session": chosen | {"autosave_interval": 0, "durability": "none"} | options})

    def texts(self, name: str) -> list[str]:
        with self.manager() as manager:
            return [message["content"] for message in manager.load_session(name)]

    def fill(self, name: str, *messages: dict[str, Any], **metadata: Any) -> None:
        with self.manager() as manager:
            session = manager.create_session(name)
            for message in messages or (HELLO, ANSWER):
                session.add_message(message)
            session.update_metadata(metadata)
            manager.save_session(session)

    def __call__(
        self, *arguments: str, stdin: str = "", terminal: bool = False, columns: int = 80, both: bool = False
    ) -> Done:
        """Run the command in this process.

        Args:
            terminal: stdout is one; both: stdin and stderr are that terminal too.
        """
        out = _Stream(terminal=terminal)
        err = out if both else _Stream()
        kept = dict(os.environ)
        show = warnings.showwarning
        streams, scratch = (sys.stdin, sys.stdout, sys.stderr), tempfile.tempdir
        try:
            os.environ.clear()
            tempfile.tempdir = str(self.folder)
            os.environ.update(self.environment | {"COLUMNS": str(columns), "LINES": "24", "PAGER": "cat"})
            sys.stdin, sys.stdout, sys.stderr = _Stream(stdin, terminal=both), out, err
            code = run(arguments)
        finally:
            sys.stdin, sys.stdout, sys.stderr = streams
            tempfile.tempdir = scratch
            warnings.showwarning = show
            os.environ.clear()
            os.environ.update(kept)
        return Done(code, out.getvalue(), err.getvalue())

    def screen(self, *arguments: str, typed: str = "") -> str:
        """Run the command in this process, and return what a terminal of 80 columns shows, without colour.

        Args:
            typed: what is typed on it.
        """
        return self(*arguments, "--color", "never", stdin=typed, terminal=True, both=True).out

    def process(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Done:
        """Run the command as a process."""
        done = subprocess.run(
            [sys.executable, "-m", "coda_fs_session", *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment | environment,
            cwd=self.home,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def shell(self, line: str, **environment: str) -> Done:
        """Run a line of bash, in which `coda-session` is the command."""
        begin = f'coda-session() {{ {sys.executable} -m coda_fs_session "$@"; }}\n'
        done = subprocess.run(
            ["bash", "-c", begin + line],
            capture_output=True,
            env=self.environment | environment,
            cwd=self.home,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextlib.contextmanager
def nothing_changes(folder: Path):  # type: ignore[no-untyped-def]
    """Make sure that nothing below a folder changes in the block, byte for byte."""
    before = _content(folder)
    yield
    assert _content(folder) == before


def _content(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
        if not path.name.endswith(("-wal", "-shm"))
    }
