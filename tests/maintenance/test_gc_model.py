"""The protocol of gc, as a model: nothing that a ref needs is lost, and each rule earns its place."""

from __future__ import annotations

import dataclasses
import random

import pytest

from .gc_histories import LossError, World, exhaustive, history
from .gc_machines import Process, Rules, without
from .gc_tools import TOOLS, Listed, Name, Object, Ref, Said

QUICK, LONG = 50, 5_000
STRICT = dataclasses.replace(Rules(), trash=False)
"""All rules; and what is deleted is gone at once."""


def strictly_without(*rules: str) -> Rules:
    return dataclasses.replace(STRICT, **dict.fromkeys(rules, False))


@pytest.mark.parametrize("grace", [9, 0])
def test_nothing_is_lost(grace: int, seed: int, long_size: bool) -> None:
    """Machines that know each other lose nothing and keep nothing for good, with processes killed at any file."""
    for number in range(seed, seed + (LONG if long_size else QUICK)):
        history(number, STRICT, grace=grace)


def test_retired_replicas_lose_nothing_that_was_saved_again(seed: int, long_size: bool) -> None:
    """A replica that was retired and comes back goes on under a new id.

    One that was not gone, and names at once what the others delete just then, may lose that: in one history of 500.
    """
    for number in range(seed, seed + QUICK):
        history(number, Rules(), retiring=True)


def test_readers_become_writers(seed: int, long_size: bool) -> None:
    """What nobody knew that it is still needed, comes back from what was kept aside."""
    for number in range(seed, seed + (LONG if long_size else QUICK)):
        history(number, Rules(), new=True)


def test_every_short_history(long_size: bool) -> None:
    """No sequence of moves of two replicas, one of which has condemned an object, loses it; without a rule one does."""
    assert exhaustive(STRICT, 4 if long_size else 2) > 300
    with pytest.raises(LossError):
        exhaustive(strictly_without("acknowledge"), 3)


@pytest.mark.parametrize(
    ("rules", "seed", "grace"),
    [
        (["acknowledge"], 3, 0),
        (["look", "look_again"], 3, 0),
        (["another_name"], 0, 0),
        (["walk"], 125, 0),
        (["for_ever"], 74, 9),
        (["lock"], 4, 0),
        (["put_back"], 0, 0),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else str(value),
)
def test_each_rule_earns_its_place(rules: list[str], seed: int, grace: int) -> None:
    """Without these rules, this history loses what a ref needs."""
    with pytest.raises(LossError):
        history(seed, strictly_without(*rules), grace=grace)
    history(seed, STRICT, grace=grace)


class Story:
    """Two machines, one of them with two processes, and a tool that carries the files that it is told."""

    def __init__(self, rules: Rules, *, grace: int = 0, known: bool = True) -> None:
        self.world = World(2, rules, grace=grace)
        self.a, self.b = self.world.processes
        self.beside = Process(self.a.machine)
        self.world.tools = {(0, 1): "comparing"}
        if known:
            self.world.introduce()

    def carry(self, *names: Name) -> None:
        for name in names:
            TOOLS["comparing"](self.a.machine.store, self.b.machine.store, name)

    def carry_all(self) -> None:
        self.world.carry(0, 1)

    def gc(self, process: Process) -> None:
        process.machine.clock += 9
        self.world.run(process.gc())

    def condemn(self) -> frozenset[Object]:
        """Machine A saves a text, lets it go and condemns it; machine B has all files of then."""
        self.world.run(self.a.save({1}, new=True))
        self.world.run(self.a.drop(Ref("a", 1)))
        self.gc(self.a)
        self.carry_all()
        key = self.a.machine.said().condemned
        assert key is not None
        return self.a.machine.files_of(key)


@pytest.mark.parametrize("rules", [STRICT, strictly_without("fresh")], ids=["fresh", "not fresh"])
def test_lists_are_read_once_others_wait(rules: Rules) -> None:
    """A process that read the lists before it is waited for must not use a name that was on none of them then."""
    story = Story(rules)
    story.world.run(story.a.save({1}, new=True))
    story.world.run(story.a.drop(Ref("a", 1)))
    story.carry_all()
    late = story.beside.save({1}, new=True)
    if not rules.fresh:
        next(late)
    story.gc(story.a)
    story.carry_all()
    story.world.run(story.b.acknowledge())
    story.carry_all()
    story.gc(story.a)
    story.carry(Said("a"))
    story.world.run(late)
    story.world.run(story.b.acknowledge())
    if rules.fresh:
        story.carry_all()
        story.world.settle()
    else:
        story.carry_all()
        with pytest.raises(LossError):
            story.world.check()


@pytest.mark.parametrize("rules", [STRICT, strictly_without("record_first")], ids=["first", "not first"])
def test_what_a_replica_says_is_recorded_first(rules: Rules) -> None:
    """It acknowledged, another machine heard it, and it was killed: an old backup must not make it forget that."""
    story = Story(rules)
    backup = dict(story.b.machine.store.files)
    (file,) = story.condemn()
    acknowledging = story.b.acknowledge()
    while not story.b.machine.says()["b"].acknowledged:
        next(acknowledging)
    acknowledging.close()
    story.carry(Said("b"))
    for name in Said("a"), Said("b"):
        story.b.machine.store.put(name, backup[name])
    story.b.machine.put_back()
    story.world.run(story.b.save({1}, new=True))
    story.gc(story.a)
    story.carry(file)
    if rules.record_first:
        story.world.check()
    else:
        with pytest.raises(LossError):
            story.world.check()


@pytest.mark.parametrize("rules", [STRICT, strictly_without("by_list")], ids=["by list", "by number"])
def test_an_acknowledgement_names_the_list(rules: Rules) -> None:
    """A list that takes the place of another one was acknowledged by nobody."""
    story = Story(rules)
    story.condemn()
    story.world.run(story.b.acknowledge())
    story.world.run(story.b.save({2}, new=True))
    story.carry_all()
    # A second copy of B's text is old on machine A, where B's ref is an old one again.
    story.a.machine.store.files[Ref("b", 1)] = (0, frozenset())
    story.a.machine.store.put(Listed("other"), frozenset())
    said = story.a.machine.said()
    key = frozenset({Object(2, 1)}) if rules.by_list else said.condemned
    story.a.machine.store.put(Listed(key), frozenset({Object(2, 1)}))
    story.world.run(story.a.machine.speak(condemned=key))
    story.gc(story.a)
    story.carry(Object(2, 1))
    if rules.by_list:
        story.world.check()
    else:
        with pytest.raises(LossError):
            story.world.check()


@pytest.mark.parametrize("rules", [STRICT, strictly_without("whole")], ids=["whole", "not whole"])
def test_what_is_below_a_missing_node_is_not_condemned(rules: Rules) -> None:
    """The ref of a retired replica is here, its node is still on the way: nobody says what is below it is free."""
    story = Story(rules)
    node = (1, 2)
    story.world.run(story.b.save({node}, new=True))
    story.carry(Ref("b", 1), Object(1, 1), Object(2, 1))
    story.world.run(story.a.retire("b"))
    for _ in range(2):
        story.gc(story.a)
    story.carry(Object(1, 1), Object(2, 1), Object(node, 1))
    if rules.whole:
        story.world.check()
    else:
        with pytest.raises(LossError):
            story.world.check()


@pytest.mark.parametrize("rules", [Rules(), without("grace"), without("trash")], ids=["all", "no grace", "no trash"])
def test_what_was_kept_aside_helps_a_reader_that_became_a_writer(rules: Rules) -> None:
    """The known limit: nobody waits for a reader. Its ref finds what it needs aside, if it comes within the grace."""
    story = Story(rules, grace=3, known=False)
    story.world.run(story.a.save({1}, new=True))
    story.carry_all()
    story.world.run(story.b.open(Ref("a", 1)))
    story.world.run(story.a.drop(Ref("a", 1)))
    for _ in range(6):
        story.gc(story.a)
    assert not story.a.machine.copies(1)
    story.world.run(story.b.save(story.b.opened, new=False))
    # The clock of machine A jumps by years before it hears of that.
    story.a.machine.clock += 10_000
    story.world.run(story.a.gc())
    story.carry(Object(1, 1))
    if rules == Rules():
        story.carry_all()
        story.world.settle()
    else:
        with pytest.raises(LossError):
            story.world.check()


def test_random_histories_do_delete() -> None:
    """The histories that lose nothing are no idle ones: most of them condemn, acknowledge and delete."""
    done = 0
    for seed in range(20):
        world = World(2, STRICT, seed, grace=0)
        world.introduce()
        world.rng = random.Random(seed)
        for _ in range(60):
            world.advance(world.rng.randrange(2), dies=0, at_once=1)
            world.carry(0, 1)
        done += any(says.done for says in world.machines[0].says().values())
    assert done > 10
