"""gc beside programs that save, branch, undo, merge and sync: processes of their own, killed at any moment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from storekit import ROOT, open_store

from .collecting import Collector
from .gc_racing import numbers_of, promised

ROLES = ("saver", "brancher", "undoer", "merger", "syncer")
PROGRAM = (sys.executable, "-m", "maintenance.gc_racing")
QUICK, LONG = 250, 3_000
PATIENCE = 240.0


@dataclass
class Programs:
    """Programs that are running."""

    folder: Path
    rng: random.Random
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    journals: list[Path] = field(default_factory=list)
    started: dict[str, Path] = field(default_factory=dict)

    def start(self, role: str) -> None:
        journal = self.folder / f"journal-{len(self.journals)}"
        journal.touch()
        self.journals.append(journal)
        self.started[role] = journal
        self.running[role] = subprocess.Popen(
            [*PROGRAM, role, str(self.folder / "store"), str(journal), str(self.rng.getrandbits(32))],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            stderr=subprocess.PIPE,
        )

    def has_done(self, goal: int) -> bool:
        """Tell whether so many sessions were saved, and gc has deleted something where there are many."""
        sessions, freed = promised(self.journals)
        return len(sessions) >= goal and (freed > 0 or goal < LONG)

    def wait_for(self, role: str) -> None:
        """Wait until a program has done something, if that is its turn, and a moment more."""
        journal, end = self.started[role], time.monotonic() + (20 if role not in ("syncer", "undoer") else 1)
        while not journal.stat().st_size and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(self.rng.uniform(0, 0.3))

    def kill(self, role: str) -> None:
        """Kill a program, which must have been running.

        Raises:
            AssertionError: something was raised in it.
        """
        program = self.running.pop(role)
        program.kill()
        _, said = program.communicate()
        assert program.returncode == -9, said.decode()


def test_processes_that_are_killed(tmp_path: Path, seed: int, long_size: bool) -> None:
    """Each session holds what its program was promised, and can be read to the end, whatever gc deleted meanwhile."""
    programs = Programs(tmp_path, random.Random(seed))
    goal, end = (LONG if long_size else QUICK), time.monotonic() + (20 if long_size else 1) * PATIENCE
    try:
        for role in ("keeper", *ROLES):
            programs.start(role)
        while not programs.has_done(goal):
            assert time.monotonic() < end, "the programs get nowhere"
            role = programs.rng.choice(("keeper", *ROLES))
            programs.wait_for(role)
            programs.kill(role)
            programs.start(role)
    finally:
        for role in list(programs.running):
            programs.kill(role)
    collector = Collector(tmp_path / "store")
    for _ in range(4):
        collector.run()
    expected, freed = promised(programs.journals)
    with open_store(tmp_path / "store") as manager:
        assert manager.maintenance.check(full=True).is_whole
        for name, states in expected.items():
            is_there = name in manager
            assert is_there or [] in states, f"{name} is gone"
            if is_there:
                assert numbers_of(manager.load_session(name)) in states
        for info in manager.list_sessions():
            history = manager.history(info.name)
            for entry in history:
                assert len(history.at(entry.id)) == entry.messages
    assert freed > 0 or not long_size
