"""Two machines' stores for real tools, and real processes that work on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from simulator.reader import StoreReader
from simulator.views import View, view_of
from storekit import ROOT

from coda_fs_session import SessionManager

WORKER = """
import json, sys, warnings
from coda_fs_session import SessionManager, SessionWarning

warnings.simplefilter("ignore", SessionWarning)
store, state, replica, script = sys.argv[1:]
config = {"storage_path": store, "state_path": state, "replica": replica, "autosave_interval": 0}
with SessionManager({"session": config}) as manager:
    for verb, name, *rest in json.loads(script):
        if verb == "say":
            session = manager.create_session(name)
            for text in rest:
                session.add_message({"role": "user", "content": text})
                manager.save_session(session)
        elif verb == "edit":
            session = manager.load_session(name)
            session.messages[rest[0]]["content"] = rest[1]
            manager.save_session(session)
        elif verb == "branch":
            manager.create_session(name, branch_from=rest[0], at=rest[1])
        elif verb == "rename":
            manager.rename_session(name, rest[0])
        elif verb == "delete":
            manager.delete_session(name)
"""

Act = list[Any]
"""A verb, the session it is about, and more: ["say", name, text...], ["edit", name, place, text], ..."""


@dataclass(frozen=True)
class Machine:
    """A folder with a store, the state beside it, and a replica id."""

    folder: Path
    replica: str

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def work(self, *acts: Act) -> None:
        """Let another process do something with sessions."""
        subprocess.run(
            [sys.executable, "-c", WORKER, self.store, self.folder / "state", self.replica, json.dumps(acts)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            timeout=120,
        )

    def manager(self) -> SessionManager:
        config = {"storage_path": self.store, "state_path": self.folder / "state", "replica": self.replica}
        return SessionManager({"session": {**config, "autosave_interval": 0}})

    def view(self) -> View:
        return view_of(self.manager())

    def texts(self) -> set[str]:
        """Return the text of every message that some session shows."""
        return {
            json.loads(line)["content"]
            for shown in self.view().values()
            for line in (shown.lines if shown.lines is not None else ())
        }

    def data(self) -> dict[str, bytes]:
        """Return the files of the store that are data: what sync tools keep of their own has a dot before its name."""
        return {
            path.relative_to(self.store).as_posix(): path.read_bytes()
            for path in sorted(self.store.rglob("*"))
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(self.store).parts)
        }


BOTH = [f"both {number} {'x' * 300}" for number in range(150)]
HERE = [f"here {number}" for number in range(40)]
THERE = [f"there {number} {'y' * 200}" for number in range(300)]


def begin(here: Machine) -> None:
    """Make what both machines start from: a conversation with messages in objects, and others to delete and rename."""
    here.work(["say", "chat", *BOTH], ["say", "plan", "plan 1"], ["say", "old", "old 1"], ["say", "gone", "gone 1"])


def diverge(here: Machine, there: Machine) -> None:
    """Let real processes go on with the same sessions on both machines, which do not see each other."""
    here.work(["say", "chat", *HERE], ["say", "new", "new here"], ["rename", "old", "older"], ["delete", "gone"])
    there.work(
        ["say", "chat", *THERE],
        ["say", "new", "new there"],
        ["say", "gone", "gone 2"],
        ["branch", "twig", "chat", 100],
        ["say", "twig", "twig there"],
        ["edit", "plan", 0, "plan 1 as edited"],
    )


EVERYTHING = {
    *BOTH,
    *HERE,
    *THERE,
    "new here",
    "new there",
    "old 1",
    "gone 1",
    "gone 2",
    "twig there",
    "plan 1 as edited",
}


def check(here: Machine, there: Machine) -> None:
    """Check that both machines show every message that either saved, in the same sessions, and have the same files."""
    assert here.texts() == EVERYTHING
    assert there.texts() == EVERYTHING
    assert here.view() == there.view()
    names = set(here.view())
    chats = {name for name in names if name == "chat" or name.startswith("chat~")}
    assert len(chats) == 2, names
    assert {"older", "plan", "new", "gone", "twig"} <= names, names
    assert "old" not in names, names
    lists = [[json.loads(line)["content"] for line in here.view()[name].lines or ()] for name in chats]
    assert sorted(lists) == sorted([BOTH + HERE, BOTH + THERE])
    assert not any(ref.missing for ref in StoreReader().refs(here.data()).values())


def tool(name: str) -> str:
    """Return the path of a program, or skip the test loudly."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian and Ubuntu: sudo apt install {name})")
    return path


def run(*command: object, allowed: tuple[int, ...] = (0,), cwd: Path | None = None) -> str:
    """Run a program and return what it wrote; its exit code must be one of those allowed."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, cwd=cwd, env=environment, timeout=120
    )
    assert done.returncode in allowed, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
