"""Random histories of replicas and sync tools, every promise of the design checked after every step."""

from __future__ import annotations

import os
import random
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context

import pytest
from hypothesis import HealthCheck, given, settings
from simulator.places import DiskPlace, MemoryPlace
from simulator.steps import History, Step, random_history, shortened
from simulator.strategies import histories
from simulator.world import HistoryFailed, run

LONG = 100_000
BATCH = 100
PLACES = {"memory": MemoryPlace, "disk": DiskPlace, "spread": partial(DiskPlace, flat_refs=1)}
QUICK = {"memory": 200, "disk": 25, "spread": 25}
REVERTING = 60  # fewer do not notice that nothing is put back


FAILED_ONCE = {
    "a new session takes the name of a renamed side": (
        ("create", (0, 0)),
        ("add", (0, 0, 0)),
        ("carry", (1, 0, 0, 0, 0, 0)),
        ("add", (0, 0, 2)),
        ("add", (1, 0, 0)),
        ("rename", (1, 0, 1)),
        ("carry", (0, 0, 0, 0, 0, 0)),
        ("create", (0, 0)),
    ),
    "the last message is removed on one side, the first replaced on the other": (
        ("create", (0, 0)),
        ("add", (0, 0, 1)),
        ("carry", (1, 0, 0, 0, 0, 0)),
        ("add", (1, 0, 0)),
        ("edit", (1, 0, 2, 1)),
        ("edit", (0, 0, 0, 0)),
        ("carry", (0, 0, 0, 0, 0, 0)),
    ),
    "renamed there and back": (
        ("create", (0, 0)),
        ("add", (0, 0, 1)),
        ("add", (0, 0, 0)),
        ("create", (1, 2)),
        ("rename", (0, 0, 2)),
        ("rename", (0, 0, 0)),
        ("add_late", (0, 0, 0)),
        ("create", (1, 0)),
        ("add_late", (1, 0, 0)),
        ("carry", (1, 0, 0, 0, 0, 0)),
    ),
    "a branch is given the name that the session had before": (
        ("create", (0, 0)),
        ("add", (0, 0, 0)),
        ("rename", (0, 0, 1)),
        ("branch", (0, 0, 1, 3)),
        ("rename", (0, 1, 0)),
    ),
    "two sessions are made anew from one tombstone": (
        ("create", (0, 0)),
        ("add", (0, 0, 0)),
        ("rename", (0, 0, 1)),
        ("delete", (0, 0)),
        ("carry", (1, 0, 0, 0, 0, 0)),
        ("create", (1, 0)),
        ("create", (0, 1)),
    ),
    "three refs of one state leave each other out in a circle": (
        ("create", (1, 0)),
        ("add", (1, 0, 0)),
        ("carry", (0, 0, 0, 0, 0, 0)),
        ("copy_folder", (1, 1, 0, 0, 0)),
        ("metadata", (1, 0, 0)),
        ("metadata", (0, 0, 1)),
        ("carry", (1, 0, 0, 0, 0, 0)),
    ),
    "the first save of a rewritten ref is cut off, and somebody goes on from what is left": (
        ("create", (0, 0)),
        ("add", (0, 0, 4)),
        ("copy_folder", (0, 0, 0, 0, 0)),
        ("edit", (0, 0, 6, 0)),
        ("litter", (0, 5)),
        ("carry", (1, 0, 4, 0, 0, 0)),
        ("add", (1, 1, 0)),
    ),
    "a session is cleared, and looks like a tombstone": (
        ("create", (0, 0)),
        ("carry", (1, 0, 0, 0, 0, 0)),
        ("delete", (0, 0)),
        ("add", (1, 0, 0)),
        ("carry", (1, 0, 0, 0, 0, 0)),
        ("create", (0, 0)),
        ("clear", (1, 0)),
        ("add", (0, 0, 0)),
        ("carry", (1, 0, 0, 0, 0, 0)),
    ),
}


@pytest.mark.parametrize("steps", FAILED_ONCE.values(), ids=FAILED_ONCE)
def test_histories_that_failed_once(steps: tuple[Step, ...]) -> None:
    """The engine was wrong about some of them, the promises about the others: they took for one what was two."""
    run(History(2, steps))


@pytest.mark.parametrize("machine", [0, 1], ids=["with a given id", "with an id that it chose"])
def test_all_that_a_machine_wrote_is_removed(machine: int) -> None:
    """A mirror takes the whole folder of a replica away: what was acknowledged is there when it is opened again."""
    steps: tuple[Step, ...] = (
        *(("create", (machine, 0)), ("add", (machine, 0, 0)), ("remove_replica", (machine, 0))),
        *(("reopen", (machine,)), ("create", (machine, 1)), ("add", (machine, 1, 0))),
    )
    run(History(2, steps, reverts=True), place=DiskPlace)


@pytest.mark.parametrize("kind", PLACES)
def test_every_promise_holds_in_every_history(kind: str) -> None:
    """Hypothesis looks for a history that loses or moves what it must not, and prints the shortest."""

    @settings(
        max_examples=QUICK[kind], deadline=None, print_blob=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(histories())
    def holds(history: History) -> None:
        run(history, place=PLACES[kind])

    holds()


def test_older_copies_over_ones_own_files() -> None:
    """The same where tools also put older copies over what a replica itself writes: it puts back what is gone."""
    # On disk: only there is a record of what a machine has written.
    for seed in range(REVERTING):
        run(random_history(random.Random(seed), reverts=True), place=PLACES["disk"])


def first_failure(seed: int, count: int, kind: str) -> str | None:
    """Run the histories of some seeds; return the account of the first that fails, shortened."""
    for number in range(seed, seed + count):
        history = random_history(random.Random(number))
        if fails(history, kind):
            shortest = shortened(history, lambda each: fails(each, kind))
            return f"seed {number}: {account(shortest, kind)}"
    return None


def fails(history: History, kind: str) -> bool:
    return bool(account(history, kind))


def account(history: History, kind: str) -> str:
    try:
        run(history, place=PLACES[kind])
    except HistoryFailed as failure:
        return str(failure)
    return ""


def test_many_histories(seed: int, long_size: bool) -> None:
    """100,000 histories in the long size, one in twenty of them on disk; a failing one is printed as a script."""
    count = LONG if long_size else 2 * BATCH
    jobs = [(seed + at, BATCH, "disk" if at // BATCH % 20 == 19 else "memory") for at in range(0, count, BATCH)]
    # Not forked: pytest has threads, and a fork takes over none of them.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        running = [pool.submit(first_failure, *job) for job in jobs]
        try:
            for job in as_completed(running):
                failure = job.result()
                assert failure is None, failure
        finally:
            pool.shutdown(cancel_futures=True)


@given(histories(longest=4))
@settings(max_examples=20, deadline=None)
def test_a_script_makes_the_same_history(history: History) -> None:
    """What is printed of a failing history can be run again."""
    assert eval(history.script(), {"History": History}) == history
