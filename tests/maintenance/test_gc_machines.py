"""gc of real stores that tools carry to each other, and the model as the judge of all that it does there."""

from __future__ import annotations

import pytest
from simulator.world import HistoryFailed

from .gc_breaking import RULES
from .gc_runs import random_history, run

QUICK = {1: 1, 2: 2, 3: 1}
LONG = 1_000


@pytest.mark.parametrize("machines", QUICK)
def test_nothing_is_lost_or_kept_for_good(machines: int, seed: int, long_size: bool) -> None:
    """Whatever people, tools, sticks and clocks do: each session is whole everywhere, with its history.

    What nothing needs is gone everywhere in the end. The engine never does what the model does not allow.
    """
    freed = 0
    for number in range(seed, seed + (LONG if long_size else QUICK[machines])):
        freed += run(random_history(number, machines), seed=number).freed
    assert freed > 0 or not long_size, "these were idle histories"


def test_with_a_grace(seed: int, long_size: bool) -> None:
    """The same where what nothing needs waits for its time, and what is deleted is kept aside."""
    for number in range(seed, seed + (LONG if long_size else 1)):
        run(random_history(number, 2), grace=3, seed=number)


@pytest.mark.parametrize(("rule", "first"), [*zip(RULES, (1, 1, 1, 1, 30, 77), strict=True)])
def test_each_rule_earns_its_place(rule: str, first: int) -> None:
    """Without a rule the model finds that something is done which loses messages, in one of some histories."""
    with RULES[rule](), pytest.raises(HistoryFailed):
        _run_some(first)


def _run_some(first: int) -> None:
    for number in range(first, first + 40):
        run(random_history(number, 2), seed=number)
