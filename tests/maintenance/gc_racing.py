"""Programs that work in one store at once, each in a process of its own, and write down what they were promised."""

from __future__ import annotations

import json
import os
import random
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from storekit import message, open_store

from coda_fs_session import Session, SessionError, SessionManager, SessionWarning, StoreError

from .collecting import FIRST_DAY, TEXT, line, repo_of

POOL = 6
"""So many texts there are, which all programs save again and again; each is an object of its own."""
GRACE = 1 / 24


class Program:
    """One program, whose sessions no other one changes.

    Args:
        journal: the file in which it writes before and after each change what its session is to hold.
    """

    def __init__(self, role: str, store: Path, journal: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.role, self.store = role, store
        self.journal = journal.open("ab", buffering=0)
        self.mine: list[str] = []
        self.count = 0
        self.day = 0.0

    def run(self) -> None:
        work = getattr(self, self.role)
        while True:
            with open_store(self.store) as manager:
                for _ in range(self.rng.randrange(1, 5)):
                    work(manager)

    def note(self, what: str, name: str, numbers: Sequence[int]) -> None:
        self.journal.write(json.dumps([what, name, list(numbers)]).encode() + b"\n")

    def text(self) -> int:
        return self.rng.randrange(POOL)

    def new_name(self) -> str:
        self.count += 1
        return f"{self.role}-{os.getpid()}-{self.count}"

    def save(self, manager: SessionManager, session: Session, numbers: Sequence[int]) -> None:
        """Let a session hold these texts, and save it."""
        self.note("tries", session.name, numbers)
        held = numbers_of(session)
        if held == list(numbers[: len(held)]):
            for number in numbers[len(held) :]:
                session.add_message(message(number, TEXT))
        else:
            session.messages = [message(number, TEXT) for number in numbers]
        manager.save_session(session)
        self.note("has", session.name, numbers)
        if session.name not in self.mine:
            self.mine.append(session.name)

    # What they do

    def saver(self, manager: SessionManager) -> None:
        if self.rng.random() < 0.4:
            repo = repo_of(manager)
            # As if it had been killed before the ref.
            repo.objects.put([repo.objects.new_chunk([line(self.text())])])
            return
        session = manager.create_session(self.new_name())
        self.save(manager, session, [self.text() for _ in range(self.rng.randrange(1, 4))])

    def brancher(self, manager: SessionManager) -> None:
        infos = manager.list_sessions()
        if not infos:
            return self.saver(manager)
        parent = manager.load_session(self.rng.choice(infos).name)
        numbers = numbers_of(parent)
        name, at = self.new_name(), self.rng.randrange(len(numbers) + 1)
        self.note("tries", name, numbers[:at])
        session = manager.create_session(name, branch_from=parent.name, at=at)
        manager.save_session(session)
        self.note("has", name, numbers[:at])
        return self.save(manager, session, [*numbers[:at], self.text()])

    def undoer(self, manager: SessionManager) -> None:
        if not self.mine:
            return self.saver(manager)
        session = manager.load_session(self.rng.choice(self.mine))
        before = numbers_of(session)
        self.save(manager, session, [*before[:-1], self.text(), self.text()])
        self.note("tries", session.name, before)
        manager.history(session.name).undo()
        self.note("has", session.name, before)
        return None

    def merger(self, manager: SessionManager) -> None:
        first = manager.create_session(self.new_name())
        numbers = [self.text()]
        self.save(manager, first, numbers)
        name = self.new_name()
        self.note("tries", name, numbers)
        other = manager.create_session(name, branch_from=first.name)
        theirs = [*numbers, self.text()]
        self.save(manager, other, theirs)
        self.note("tries", first.name, theirs)
        manager.branches.merge(other.name, first.name)
        self.note("has", first.name, theirs)

    def syncer(self, manager: SessionManager) -> None:
        manager.sync(self.store.with_name("other"))

    def keeper(self, manager: SessionManager) -> None:
        repo = repo_of(manager)
        self.day += self.rng.choice([GRACE, GRACE, 3650, -3650])
        now = FIRST_DAY + timedelta(days=self.day)
        repo.settings = repo.settings._replace(clock=lambda: now)
        from coda_fs_session.repo.maintenance.gc import gc

        with suppress(StoreError), repo.machine.keeping_house("gc"):
            report = gc(repo, grace_days=GRACE, retention_days=GRACE * 1000, dry_run=False)
            self.note("freed", "", [report.freed.files])


def numbers_of(session: Session) -> list[int]:
    return [int(each["content"].split()[1]) for each in session.get_messages()]


def promised(journals: Sequence[Path]) -> tuple[dict[str, list[list[int]]], int]:
    """Return what each session may hold by these journals, and how many files gc has deleted."""
    found: dict[str, list[list[int]]] = {}
    freed = 0
    for journal in journals:
        # Whoever was killed may have left half a line.
        for each in journal.read_bytes().split(b"\n")[:-1]:
            what, name, numbers = json.loads(each)
            if what == "freed":
                freed += numbers[0]
            elif what == "has":
                found[name] = [numbers]
            else:
                # It may be there, and hold nothing yet.
                found.setdefault(name, [[]]).append(numbers)
    return found, freed


def main(role: str, store: str, journal: str, seed: str) -> None:
    warnings.simplefilter("ignore", SessionWarning)
    Program(role, Path(store), Path(journal), int(seed)).run()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SessionError as error:
        print(f"{sys.argv[1]}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        raise
