"""Random histories: whatever happens to sessions and to the index, a search finds what is there, and nothing else."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import Opener, open_store

from coda_fs_session import Session, SessionExistsError, SessionManager

from .oracle import Oracle, found_by, sessions_of, told

WORDS = [
    "ash",
    "birch",
    "cedar",
    "elm",
    "fir",
    "hazel",
    "ivy",
    "juniper",
    "竹",
    "松林",
    "snake_case",
    "C++",
    "naïve",
    "O'Brien",
]
QUERIES = [*WORDS, "ash birch", '"cedar elm"', "haz", "une", "case", "Naive", "林", "zebra", "->"]
NAMES = ("one", "two", "three", "four")


class History:
    """Steps of several managers of one store.

    Args:
        reopen: makes one more manager of the store.
        index: the file of the index; None where there is none.
    """

    def __init__(self, rng: random.Random, reopen: Opener, index: Callable[[], Path | None]) -> None:
        self.rng, self.reopen, self.index = rng, reopen, index
        self.managers = [reopen(), reopen()]

    def text(self) -> str:
        size = 70_000 if self.rng.random() < 0.05 else 0
        return " ".join(self.rng.choices(WORDS, k=self.rng.randint(1, 6))) + " pad" * (size // 4)

    def message(self) -> dict[str, object]:
        return {"role": self.rng.choice(("user", "assistant")), "content": self.text()}

    def session(self, manager: SessionManager) -> Session | None:
        name = self.rng.choice(NAMES)
        return manager.load_session(name) if name in manager else None

    def step(self) -> None:
        manager = self.rng.choice(self.managers)
        kind = self.rng.choice(("create", "add", "add", "add", "edit", "cut", "truncate", "fork", "delete", "rename"))
        session = None if kind in ("create", "fork") else self.session(manager)
        if kind == "create":
            manager.create_session(self.rng.choice(NAMES))
        elif kind == "fork":
            parent, name = self.rng.sample(NAMES, 2)
            if parent in manager and name not in manager:
                manager.create_session(name, branch_from=parent)
        elif session is not None:
            self.change(manager, session, kind)
        if self.rng.random() < 0.2:
            self.harm()
        if self.rng.random() < 0.2:
            self.managers.remove(manager)
            manager.close()
            self.managers.append(self.reopen())

    def change(self, manager: SessionManager, session: Session, kind: str) -> None:
        if kind == "delete":
            manager.delete_session(session.name)
            return
        if kind == "rename":
            new = self.rng.choice(NAMES)
            try:
                manager.rename_session(session.name, new)
            except SessionExistsError:
                assert new in manager
            return
        if kind == "add":
            for _ in range(self.rng.randint(1, 4)):
                session.add_message(self.message())
        elif kind == "edit" and len(session):
            session.messages[self.rng.randrange(len(session))]["content"] = self.text()
        elif kind == "cut" and len(session):
            session.drop_last()
        elif kind == "truncate":
            session.truncate_messages(self.rng.randint(1, 5))
        manager.save_session(session)

    def harm(self) -> None:
        path = self.index()
        if path is None or not path.is_file():
            return
        if self.rng.random() < 0.5:
            path.unlink()
        else:
            os.truncate(path, self.rng.randrange(path.stat().st_size + 1))

    def check(self) -> None:
        manager = self.rng.choice(self.managers)
        oracle = Oracle(dict(sessions_of(manager)))
        for query in self.rng.sample(QUERIES, 5):
            assert found_by(manager, query) == told(oracle.find(query)), query


@pytest.mark.parametrize("number", range(3))
def test_random_histories(again: Opener, tmp_path: Path, number: int, seed: int, long_size: bool) -> None:
    """Edits, forks, deletes and renames by two managers; the index removed or cut between any two steps."""

    def index() -> Path | None:
        return next(iter((tmp_path / "store.state").glob("*/search.db")), None)

    history = History(random.Random(f"{seed} {number}"), again, index)
    for _ in range(400 if long_size else 25):
        history.step()
        history.check()
    for manager in history.managers:
        manager.close()


WRITER = """
import sys
from coda_fs_session import SessionManager
store, name = sys.argv[1:]
options = {"storage_path": store, "state_path": store + ".state", "durability": "none"}
with SessionManager({"session": options}) as manager:
    session = manager.create_session(name)
    for number in range(25):
        session.add_message({"role": "user", "content": f"{name} says {number}"})
        manager.save_session(session)
        found = manager.search(f'"{name} says {number}"')
        assert [(hit.session, hit.index) for hit in found] == [(name, number)], found
        assert found.complete
"""


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_two_processes_save_and_search(tmp_path: Path, backend: str) -> None:
    """Each finds at once what it has saved, while the other one takes in what is new too."""
    program = WRITER.replace('"durability"', f'"backend": "{backend}", "durability"')
    with open_store(tmp_path / "store", backend=backend) as manager:
        manager.create_session("first")
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "store"), name]) for name in ("ann", "bob")
    ]
    assert [process.wait(timeout=200) for process in started] == [0, 0]
    with open_store(tmp_path / "store", backend=backend) as manager:
        oracle = Oracle(dict(sessions_of(manager)))
        for query in ("says", "ann", '"bob says 24"'):
            assert found_by(manager, query) == told(oracle.find(query))
