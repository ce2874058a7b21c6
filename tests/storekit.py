"""What the tests of stores on disk share: opening them, taking them apart, and seeing whether anything changed."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import coda_fs_session
from coda_fs_session import Session, SessionManager

ROOT = Path(__file__).parents[1]
NOBODY = 65534

Opener = Callable[..., SessionManager]
"""Opens managers on one store, with the options that it is given; see the fixture `make`."""


def open_store(store: Path, **options: Any) -> SessionManager:
    """Return a manager with its state beside the store, and neither autosave nor syncs unless asked for."""
    # What syncs are for is tested where power fails; here they would only take the time.
    chosen = {"storage_path": str(store), "state_path": f"{store}.state", "autosave_interval": 0, "durability": "none"}
    chosen |= options
    return SessionManager({"session": chosen})


def message(number: int, size: int = 0) -> dict[str, Any]:
    """Return a message that is like no other; `size` makes its text that long, in words that compress."""
    text = f"message {number} "
    return {"role": "user", "content": (text * (size // len(text) + 1))[: max(size, len(text))]}


def fill(manager: SessionManager, name: str, count: int = 3, *, size: int = 0) -> list[dict[str, Any]]:
    """Save a session of `count` messages and return them; from a size of 64 KiB on each is an object."""
    session = manager.create_session(name)
    messages = [message(number, size) for number in range(count)]
    for each in messages:
        session.add_message(each)
    manager.save_session(session)
    return messages


def say(manager: SessionManager, session: Session, *numbers: int) -> None:
    """Add messages with these numbers to a session and save it."""
    for number in numbers:
        session.add_message(message(number))
    manager.save_session(session)


def lose_record(store: Path) -> None:
    """Forget what this machine has saved in a store of `open_store`, so that it puts nothing back."""
    for folder in Path(f"{store}.state").glob("*/own"):
        shutil.rmtree(folder)


def ref_of(store: Path, key: str) -> Path:
    (path,) = store.glob(f"refs/*/{key}.jsonl")
    return path


def objects_of(store: Path) -> list[Path]:
    return sorted(path for path in store.glob("objects/*/*") if not path.name.startswith("."))


def tree(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return everything below a folder: kind, mode, time of change and content, links not followed."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_ino, status.st_mtime_ns, content)
    return found


def make_irregular(path: Path, kind: str, elsewhere: Path) -> None:
    """Move a file elsewhere and put a folder, a FIFO or a link to it ("folder", "fifo", "link") in its place."""
    path.rename(elsewhere)
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(elsewhere)


@contextlib.contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Make sure that the block writes nothing below a folder."""
    before = tree(folder)
    yield
    assert tree(folder) == before


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail the block, rather than the whole run, when it hangs in a system call."""

    def expire(number: int, frame: object) -> None:
        raise AssertionError(f"did not return within {seconds} seconds")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def run_python(script: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter that finds the package."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def drop_privileges() -> None:
    """Become a user whom file modes bind; everything that is imported late must be imported by now.

    Root may write anywhere, and the interpreter and this repository may stand where nobody else may read.
    """
    import_everything()
    with open_store(Path(os.environ["WARM_STORE"]), compress_threshold_bytes=100) as manager:
        fill(manager, "warm", 2, size=70_000)
    with open_store(Path(os.environ["WARM_STORE"])) as manager:
        manager.create_session("warm").get_messages()
    import encodings.idna  # noqa: F401
    import tempfile  # noqa: F401

    import platformdirs

    platformdirs.user_state_path("coda_fs_session")
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def import_everything(*but: str) -> None:
    """Import what any line of the package imports, also within functions, but for adapters, examples and the kit.

    Args:
        but: folders of the package to leave out too.
    """
    package = Path(coda_fs_session.__file__).parent
    imported = set[str]()
    for path in package.rglob("*.py"):
        inside = path.relative_to(package).with_suffix("").parts
        if inside[0] in ("testing", "docs", "integrations", "__main__", *but):
            continue
        importlib.import_module(".".join((package.name, *inside)).removesuffix(".__init__"))
        # Found without a parser, which takes longer than the imports.
        imported.update(re.findall(r"^ +(?:from|import) ([\w.]+)", path.read_text("utf-8"), re.MULTILINE))
    for name in imported:
        # What another system has, an extra that is not installed, or a word of a text that looks like it.
        if not name.startswith("."):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def give_to_nobody(folder: Path, *, writable: bool) -> None:
    """Let the user that `drop_privileges` becomes read a folder, and perhaps write it."""
    for path in [folder, *folder.rglob("*")]:
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod((0o700 if writable else 0o500) if path.is_dir() else (0o600 if writable else 0o400))
