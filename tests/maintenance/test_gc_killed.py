"""gc that is killed before any of its calls, and gc beside whatever else happens to a store."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from storekit import fill, lose_record, message, open_store, ref_of

from coda_fs_session import SessionManager
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.repo import replica_files
from coda_fs_session.repo.maintenance import gc as module

from .collecting import GRACE, TEXT, Collector, line, repo_of

CALLS = ("create", "write", "rename", "link", "unlink", "make_folder", "sync_data", "sync_folder")


class Killed(BaseException):
    """The end of a process, as far as this one can play it."""


@contextmanager
def killed_at(call: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Kill whatever is in the block before one of its calls that change files."""
    done: list[str] = []

    def counting(name: str) -> Any:
        real = getattr(Files, name)

        def counted(self: Files, *arguments: Any, **options: Any) -> Any:
            if len(done) >= call:
                raise Killed(name)
            done.append(name)
            return real(self, *arguments, **options)

        return counted

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(Files, name, counting(name))
        yield done


def store_with_a_ref_away(folder: Path) -> tuple[Collector, Path, Path]:
    """Make a store with one object that nothing needs, and one that is needed again once a ref is put back."""
    store = folder / "store"
    with open_store(store) as manager:
        fill(manager, "chat", 2, size=TEXT)
        session = manager.create_session("returning")
        session.add_message(message(50, TEXT))
        manager.save_session(session)
    path, copy = ref_of(store, "returning"), folder / "copy.jsonl"
    shutil.move(path, copy)
    lose_record(store)
    collector = Collector(store)
    collector.leave(99)
    return collector, copy, path


@pytest.mark.parametrize("step", ["condemns", "deletes"])
def test_killed_before_any_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, seed: int, long_size: bool
) -> None:
    """Nothing that is needed is gone at any moment, and what comes next goes on to the same end."""
    collector, copy, path = store_with_a_ref_away(tmp_path / "made")
    if step == "condemns":
        for _ in range(3):
            collector.run()
    else:
        collector.until(lambda report: report.condemned.files == 2)
        collector.run()
        collector.run()
        shutil.copy(copy, path)
    lost_once = kept_once = False
    every = 1 if long_size else 7
    for call in range(seed % every, 200, every):
        folder = tmp_path / f"{call}"
        shutil.copytree(tmp_path / "made", folder)
        mine = Collector(folder / "store")
        mine.day = collector.day
        move_ages(collector, mine)
        try:
            # The lock ends with the process.
            mine.run(within=killed_at(call, monkeypatch))
        except Killed:
            is_done = False
        else:
            is_done = True
        if step == "condemns":
            shutil.copy(copy, mine.store / path.relative_to(collector.store))
        with open_store(mine.store) as manager:
            assert manager.load_session("returning").messages == [message(50, TEXT)]
            assert len(manager.load_session("chat").messages) == 2
        for _ in range(12):
            mine.run()
        with open_store(mine.store) as manager:
            assert manager.load_session("returning").messages == [message(50, TEXT)]
            assert len(manager.load_session("chat").messages) == 2
            assert {each.rule for each in manager.maintenance.check(full=True).findings} <= {"temporary-file"}
            said = replica_files.own_said(repo_of(manager))
            assert said is not None
            assert said.condemned is None
            report = manager.maintenance.gc()
            assert report.kept["sessions"].files == 3
            assert "grace" not in report.kept
        assert [each for each in mine.trash() if not each.startswith(".tmp-")] == []
        lost_once, kept_once = lost_once or not is_done, kept_once or is_done
        shutil.rmtree(folder)
        if is_done:
            break
    assert lost_once
    assert kept_once


def move_ages(before: Collector, after: Collector) -> None:
    """Let the state of a copy be that of the store that it is a copy of."""
    (old,) = Path(f"{before.store}.state").iterdir()
    with open_store(after.store) as manager:
        new = Path(str(manager.describe().state))
        store = repo_of(manager).backend.place().store
    shutil.rmtree(new)
    shutil.copytree(old, new)
    with open_store(after.store) as manager:
        machine = repo_of(manager).machine
        ages = module.Ages.recall(machine, of_before(before))
        ages.keep(machine, store)


def of_before(collector: Collector) -> object:
    with open_store(collector.store) as manager:
        return repo_of(manager).backend.place().store


class World:
    """Random things that happen to one store, which gc looks at again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.collector = Collector(folder / "store")
        self.store = self.collector.store
        self.folder = folder
        self.expected: dict[str, list[int]] = {}
        self.away: dict[str, tuple[Path, Path, list[int], int]] = {}
        self.names = iter(range(10_000))
        self.runs = 0
        self.done = 0

    def step(self) -> None:
        getattr(self, self.rng.choice(["save", "edit", "leave", "drop", "back", "gc", "gc", "gc", "fork"]))()
        self.check()

    def check(self) -> None:
        with open_store(self.store) as manager:
            for name, numbers in self.expected.items():
                assert manager.load_session(name).messages == [message(each, TEXT) for each in numbers], name

    def save(self) -> None:
        name, numbers = f"s{next(self.names)}", [self.rng.randrange(8) for _ in range(2)]
        with open_store(self.store) as manager:
            session = manager.create_session(name)
            for number in numbers:
                session.add_message(message(number, TEXT))
            manager.save_session(session)
        self.expected[name] = numbers

    def edit(self) -> None:
        self.change(lambda manager, name: self.replace_last(manager, name))

    def replace_last(self, manager: SessionManager, name: str) -> None:
        session, number = manager.load_session(name), self.rng.randrange(8)
        session.messages[-1] = message(number, TEXT)
        manager.save_session(session)
        self.expected[name] = [*self.expected[name][:-1], number]

    def fork(self) -> None:
        def fork(manager: SessionManager, name: str) -> None:
            new = f"s{next(self.names)}"
            manager.save_session(manager.create_session(new, branch_from=name))
            self.expected[new] = self.expected[name]

        self.change(fork)

    def change(self, act: Any) -> None:
        if self.expected:
            name = self.rng.choice(sorted(self.expected))
            with open_store(self.store) as manager:
                act(manager, name)

    def leave(self) -> None:
        self.leave_one(self.rng.randrange(8))

    def leave_one(self, number: int) -> None:
        with self.collector.open() as manager:
            repo = repo_of(manager)
            repo.objects.put([repo.objects.new_chunk([line(number)])])

    def drop(self) -> None:
        """A tool takes a ref away, with what this machine knew of it."""
        if len(self.expected) > 1:
            name = self.rng.choice(sorted(self.expected))
            path = ref_of(self.store, name)
            copy = self.folder / f"{name}.away"
            shutil.move(path, copy)
            lose_record(self.store)
            self.away[name] = (copy, path, self.expected.pop(name), self.runs)

    def back(self) -> None:
        """It brings one back, as long as what it needs is in the store or in the trash."""
        late = {name for name, (_, _, _, since) in self.away.items() if self.runs - since > 8}
        for name in late:
            del self.away[name]
        if self.away:
            name = self.rng.choice(sorted(self.away))
            copy, path, numbers, _ = self.away.pop(name)
            shutil.copy(copy, path)
            self.collector.run(days=0)
            self.runs += 1
            self.expected[name] = numbers

    def gc(self) -> None:
        if self.expected:
            self.runs += 1
            self.done += self.collector.run(days=self.rng.choice([GRACE / 3, 1, 3650, -3650])).freed.files


QUICK, LONG = 1, 200


def test_random_histories(tmp_path: Path, seed: int, long_size: bool) -> None:
    """Whatever is saved, taken away, brought back and left behind: every session reads whole at every step."""
    done = 0
    for number in range(seed, seed + (LONG if long_size else QUICK)):
        world = World(tmp_path / f"{number}", number)
        world.save()
        # Some that no session is going to have, so that something goes in any case.
        for unlike in range(100, 103):
            world.leave_one(unlike)
        try:
            for _ in range(60):
                world.step()
        except AssertionError as error:
            raise AssertionError(f"seed {number}") from error
        done += world.done
        shutil.rmtree(tmp_path / f"{number}", ignore_errors=True)
        shutil.rmtree(f"{tmp_path}/{number}/store.state", ignore_errors=True)
    assert done > 0


def test_beside_a_saver(tmp_path: Path) -> None:
    """A program saves just what gc condemns and deletes, at the same time: in the end every session is whole."""
    collector = Collector(tmp_path / "store")
    rounds, at_once = 12, threading.Barrier(2)

    def save() -> list[tuple[str, int]]:
        rng, saved = random.Random(0), []
        with open_store(collector.store) as manager:
            repo = repo_of(manager)
            for turn in range(rounds):
                at_once.wait()
                for number in range(5):
                    # As if it had been killed before the ref.
                    repo.objects.put([repo.objects.new_chunk([line(turn * 10 + number)])])
                    if turn < 3 or number % 2:
                        continue
                    name, old = f"s{len(saved)}", rng.randrange(max(0, turn - 9), turn - 2) * 10 + rng.randrange(5)
                    session = manager.create_session(name)
                    session.add_message(message(old, TEXT))
                    manager.save_session(session)
                    saved.append((name, old))
        return saved

    with ThreadPoolExecutor(1) as threads:
        saver = threads.submit(save)
        freed = 0
        for _ in range(rounds):
            at_once.wait(60)
            freed += collector.run().freed.files
        saved = saver.result()
    assert freed > 0
    collector.run()
    with open_store(collector.store) as manager:
        assert manager.maintenance.check().is_whole
        for name, number in saved:
            assert manager.load_session(name).messages == [message(number, TEXT)]
