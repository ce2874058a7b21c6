"""Random histories: whatever happens to sessions and to the index, a search finds what is there, and nothing else."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from storekit import Opener, open_store

from coda_fs_session import (
    HistoryError,
    Session,
    SessionExistsError,
    SessionManager,
    SessionNotFoundError,
    UnsupportedError,
)

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
CHANGES = ("add", "add", "add", "edit", "cut", "truncate", "delete", "rename")
JOINS = ("fork", "merge", "pick")
RETURNS = ("undo", "undo", "restore", "revive")


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
        kind = self.rng.choice(("create", *CHANGES, *JOINS, *RETURNS))
        if kind == "create":
            manager.create_session(self.rng.choice(NAMES))
        elif kind in JOINS:
            self.join(manager, kind)
        elif kind in RETURNS:
            self.go_back(manager, kind)
        elif (session := self.session(manager)) is not None:
            self.change(manager, session, kind)
        if self.rng.random() < 0.2:
            self.harm()
        if self.rng.random() < 0.2:
            self.managers.remove(manager)
            manager.close()
            self.managers.append(self.reopen())

    def join(self, manager: SessionManager, kind: str) -> None:
        one, other = self.rng.sample(NAMES, 2)
        if one not in manager or (other in manager) == (kind == "fork"):
            return
        if kind == "fork":
            manager.create_session(other, branch_from=one)
            return
        with suppress(UnsupportedError):
            if kind == "merge":
                manager.branches.merge(one, other, strategy=self.rng.choice(("append", "ours", "theirs", "interleave")))
            else:
                count = len(manager.load_session(one))
                manager.branches.cherry_pick(one, self.rng.sample(range(count), min(count, 2)), other)

    def go_back(self, manager: SessionManager, kind: str) -> None:
        name = self.rng.choice(NAMES)
        # A storage of four methods keeps no history; and of some sessions nothing is left to go back to.
        with suppress(UnsupportedError, HistoryError, SessionNotFoundError, SessionExistsError):
            history = manager.history(name)
            if kind == "undo":
                history.undo()
            elif kind == "revive":
                history.restore()
            else:
                history.restore(self.rng.choice([entry.id for entry in history]))

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
    """Edits, forks, merges, deletes, renames and undos by two managers; the index removed or cut between any two."""

    def index() -> Path | None:
        return next(iter((tmp_path / "store.state").glob("*/search.db")), None)

    history = History(random.Random(f"{seed} {number}"), again, index)
    for _ in range(150 if long_size else 30):
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


@pytest.mark.parametrize("harmed", [False, True], ids=["alone", "harmed"])
@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_two_processes_save_and_search(tmp_path: Path, backend: str, harmed: bool, seed: int) -> None:
    """Each finds at once what it has saved, while the other one takes in what is new too.

    So also where the index is removed, cut or locked meanwhile.
    """
    program = WRITER.replace('"durability"', f'"backend": "{backend}", "durability"')
    with open_store(tmp_path / "store", backend=backend) as manager:
        manager.create_session("first")
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "store"), name]) for name in ("ann", "bob")
    ]
    rng = random.Random(seed)
    while harmed and any(process.poll() is None for process in started):
        harm(rng, tmp_path / "store.state")
    assert [process.wait(timeout=200) for process in started] == [0, 0]
    with open_store(tmp_path / "store", backend=backend) as manager:
        oracle = Oracle(dict(sessions_of(manager)))
        for query in ("says", "ann", '"bob says 24"'):
            assert found_by(manager, query) == told(oracle.find(query))


def harm(rng: random.Random, state: Path) -> None:
    """Do to the index, where there is one, what other programs may."""
    time.sleep(rng.random() / 20)
    for path in state.glob("*/search.db"):
        with suppress(OSError, sqlite3.Error):
            kind = rng.choice(("remove", "cut", "lock"))
            size = path.stat().st_size
            if kind == "remove":
                path.unlink()
            elif kind == "cut":
                os.truncate(path, rng.randrange(size + 1))
            else:
                with closing(sqlite3.connect(path, timeout=0.1)) as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    time.sleep(rng.random() / 20)
