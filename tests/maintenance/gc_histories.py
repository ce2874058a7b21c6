"""Histories of the model: machines that save, fork, let go and keep house, processes that die, tools and old sticks."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from .gc_machines import Machine, Process, Rules, Steps, below
from .gc_tools import TOOLS, Folder, Name, Object, Ref, put_stick, sync

GRACE = 9


class LossError(AssertionError):
    """A ref needs what is nowhere any more."""


class World:
    """Some machines, of which two at a time are connected by one tool, and what their users were promised."""

    def __init__(self, machines: int, rules: Rules, seed: int = 0, *, grace: int = GRACE, processes: int = 1) -> None:
        self.rng = random.Random(seed)
        self.log: list[str] = []
        self.texts = 0
        self.machines = [Machine(name, rules, grace, Folder(name)) for name in "abcd"[:machines]]
        self.processes = [Process(machine) for machine in self.machines for _ in range(processes)]
        self.jobs: dict[int, Steps] = {}
        self.sticks: list[dict[Name, Any]] = []
        self.tools = {pair: self.rng.choice(sorted(TOOLS)) for pair in itertools.combinations(range(machines), 2)}

    def say(self, *words: Any) -> None:
        self.log.append(" ".join(map(str, words)))

    def introduce(self) -> None:
        """Let all replicas know each other."""
        for machine in self.machines:
            for _ in machine.speak():
                pass
        self.carry_all()
        self.carry_all()

    # Moves.

    def carry(self, one: int, two: int, *, partly: bool = False) -> None:
        pair = (min(one, two), max(one, two))
        sync(self.tools[pair], self.machines[one].store, self.machines[two].store, self.rng, partly=partly)
        self.say("sync", one, two, self.tools[pair], "partly" if partly else "")

    def carry_all(self) -> None:
        for one, two in itertools.permutations(range(len(self.machines)), 2):
            self.carry(one, two)

    def run(self, steps: Steps) -> None:
        for _ in steps:
            pass
        self.check()

    def begin(self, number: int) -> Steps | None:
        """Choose what a process does next, after it has put back what was reverted of its replica's files."""
        rng, process, chance = self.rng, self.processes[number], self.rng.random()
        machine = process.machine
        if machine.renew():
            self.say(machine.name, "has a new id", machine.replica)
        machine.put_back()
        refs = {name: value for name, value in machine.refs().items() if value[1]}
        own = [name for name in refs if isinstance(name, Ref) and name.replica == machine.replica]
        if chance < 0.14 and self.texts < 4:
            self.texts += 1
            return self._told(number, "saves", {self.texts}, process.save({self.texts}, new=True))
        if chance < 0.26 and self.texts:
            text = rng.randrange(1, self.texts + 1)
            ids = rng.choice([{text}, {(text, rng.randrange(1, self.texts + 1))}])
            if own and rng.random() < 0.5:
                name = rng.choice(own)
                return self._told(number, f"seals {name} with", ids, process.seal(name, ids))
            return self._told(number, "saves again", ids, process.save(ids, new=True))
        if chance < 0.32 and refs:
            name = rng.choice(list(refs))
            return self._told(number, "opens", refs[name][1], process.open(name))
        if chance < 0.42 and process.opened:
            return self._told(number, "forks", process.opened, process.save(process.opened, new=False))
        if chance < 0.62 and own:
            name = rng.choice(own)
            return self._told(number, f"drops {name}", refs[name][1], process.drop(name))
        if chance < 0.8:
            return self._told(number, "gc", "", process.gc())
        if chance < 0.96:
            return self._told(number, "acknowledges", "", process.acknowledge())
        if chance < 0.98:
            self.sticks = [*self.sticks[-2:], dict(machine.store.files)]
        elif self.sticks:
            put_stick(machine.store, rng.choice(self.sticks), rng)
            self.say(machine.name, "gets an old stick")
        return None

    def _told(self, number: int, verb: str, what: object, steps: Steps) -> Steps:
        self.say(f"{self.processes[number].machine.replica}{number}", verb, what or "")
        return steps

    def advance(self, number: int, *, dies: float, at_once: float) -> None:
        """Let a process go on: to the end of its verb, one step of it, or not at all any more."""
        rng = self.rng
        if number not in self.jobs:
            steps = self.begin(number)
            if steps is None:
                return
            self.jobs[number] = steps
        if rng.random() < dies:
            for _ in itertools.islice(self.jobs[number], rng.randrange(4)):
                pass
            self.jobs.pop(number).close()
            self.say("process", number, "is killed")
        else:
            # One that waits for another's lock is left for later.
            for _ in itertools.islice(self.jobs[number], 60 if rng.random() < at_once else 1):
                pass
            if self.jobs[number].gi_frame is None:  # type: ignore[attr-defined]
                del self.jobs[number]
        machine = self.processes[number].machine
        machine.clock += rng.choice([1, 1, 2, 3]) if rng.random() < 0.95 else rng.choice([-1000, 1000])

    def finish_jobs(self) -> None:
        while self.jobs:
            for number in list(self.jobs):
                self.advance(number, dies=0, at_once=1)
                self.check()

    # Questions.

    def check(self) -> None:
        """Hold that what is acknowledged to users is somewhere.

        Raises:
            LossError: it is nowhere.
        """
        there = {name.id for machine in self.machines for name in machine.store.files if isinstance(name, Object)}
        for machine in self.machines:
            there |= machine.trash.keys()
        for machine in self.machines:
            for name, value in machine.own.items():
                if isinstance(name, Ref) and (lost := below(value[1]) - there):
                    raise LossError(f"{name} needs {lost}, which is nowhere")

    def settle(self) -> None:
        """Let all meet and do their part.

        Raises:
            LossError: a ref lacks something.
            AssertionError: something is kept for good that nobody needs.
        """
        self.finish_jobs()
        for _ in range(12):
            self.carry_all()
            for process in self.processes:
                process.machine.renew()
                process.machine.put_back()
                self.run(process.acknowledge())
                process.machine.clock += GRACE
                self.run(process.gc())
        self.carry_all()
        for machine in self.machines:
            needed, whole = machine.needed()
            there = {name.id for name in machine.store.files if isinstance(name, Object)}
            if not whole:
                raise LossError(f"{machine.name} lacks {needed - there}")
            assert there == needed, f"{machine.name} keeps {there - needed}"


def history(seed: int, rules: Rules, *, grace: int = GRACE, new: bool = False, retiring: bool = False) -> None:
    """Run one random history.

    Args:
        new: the replicas begin as readers, of whom nobody knows.
        retiring: replicas are retired, and come back.

    Raises:
        LossError: something was lost.
    """
    rng = random.Random(seed)
    world = World(rng.choice([1, 2, 2, 3, 3, 4]), rules, seed, grace=grace, processes=rng.choice([1, 2]))
    count = len(world.machines)
    dies, at_once = rng.choice([0, 0.05, 0.2]), rng.choice([1, 0.7, 0.2])
    away, back = (rng.randrange(count) if rng.random() < 0.4 else None), rng.randrange(120)
    if not new:
        world.introduce()
    try:
        for when in range(120):
            if count > 1 and rng.random() < 0.35:
                one, two = rng.sample(range(count), 2)
                if away not in (one, two) or when >= back:
                    world.carry(one, two, partly=rng.random() < 0.6)
            elif retiring and count > 1 and rng.random() < 0.04:
                process, gone = rng.choice(world.processes), rng.choice(world.machines)
                if gone is not process.machine and not (process.machine.held or process.machine.shared):
                    world.say(process.machine.replica, "retires", gone.replica)
                    world.run(process.retire(gone.replica))
            else:
                world.advance(rng.randrange(len(world.processes)), dies=dies, at_once=at_once)
            world.check()
        world.settle()
    except AssertionError as error:
        told = "\n".join(world.log[-40:])
        raise type(error)(f"seed {seed}: {error}\n{told}") from error


MOVES = [(place, verb) for place in (0, 1) for verb in ("again", "fork", "drop", "gc", "acknowledge")] + [(0, "sync")]


def exhaustive(rules: Rules, depth: int, tools: Iterator[str] | None = None) -> int:
    """Run every sequence of moves of two replicas, one of which has condemned an object; return how many there are."""
    count = 0
    for tool in tools or TOOLS:
        for moves in itertools.product(MOVES, repeat=depth):
            world = World(2, rules, grace=0)
            world.tools = {(0, 1): tool}
            world.introduce()
            first = world.processes[0]
            world.run(first.save({1}, new=True))
            world.carry(0, 1)
            world.run(world.processes[1].open(Ref("a", 1)))
            world.run(first.drop(Ref("a", 1)))
            world.run(first.gc())
            assert first.machine.said().condemned is not None
            count += 1
            for place, verb in moves:
                process = world.processes[place]
                process.machine.clock += 3
                world.say(process.machine.name, verb)
                refs = [name for name, value in process.machine.refs().items() if value[1]]
                own = [name for name in refs if isinstance(name, Ref) and name.replica == process.machine.replica]
                if verb == "sync":
                    world.carry(0, 1)
                    world.check()
                elif verb == "again":
                    world.run(process.save({1}, new=True))
                elif verb == "fork" and process.opened:
                    world.run(process.save(process.opened, new=False))
                elif verb == "drop":
                    for name in own:
                        world.run(process.drop(name))
                elif verb in ("gc", "acknowledge"):
                    world.run(getattr(process, verb)())
    return count
