"""Histories: what happens to a few replicas, as plain steps that can be drawn, printed, repeated and shortened.

A step is a verb and small numbers. What a number means ("the third session of this replica") is taken modulo what
there is when the step is run, so that every history can be run, and every part of one too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .transport import CONFLICT_NAMES, FOLDER_NAMES, What, Wins

REPLICAS = 5
_PLACES = 12

VERBS: dict[str, tuple[int, tuple[int, ...]]] = {
    # verb: how often, and below what its numbers are
    "create": (3, (REPLICAS, 3)),
    "add": (9, (REPLICAS, _PLACES, 5)),
    "add_late": (4, (REPLICAS, _PLACES, 4)),
    "edit": (4, (REPLICAS, _PLACES, _PLACES, 3)),
    "clear": (1, (REPLICAS, _PLACES)),
    "truncate": (1, (REPLICAS, _PLACES, 6)),
    "metadata": (4, (REPLICAS, _PLACES, 4)),
    "branch": (2, (REPLICAS, _PLACES, _PLACES, 4)),
    "rename": (2, (REPLICAS, _PLACES, 4)),
    "delete": (2, (REPLICAS, _PLACES)),
    "undo": (3, (REPLICAS, _PLACES)),
    "restore": (1, (REPLICAS, _PLACES, 12)),
    "undelete": (1, (REPLICAS, _PLACES)),
    "tag": (1, (REPLICAS, _PLACES, 3)),
    "merge": (4, (REPLICAS, _PLACES, _PLACES, 4)),
    "reopen": (2, (REPLICAS,)),
    "back_up": (1, (REPLICAS,)),
    "carry": (14, (REPLICAS, 2 * REPLICAS, len(What), len(Wins), len(CONFLICT_NAMES), 100)),
    "copy_folder": (2, (REPLICAS, 2 * REPLICAS, REPLICAS, len(FOLDER_NAMES), 100)),
    "rename_file": (2, (REPLICAS, _PLACES, 100)),
    "remove_replica": (1, (REPLICAS, REPLICAS)),
    "litter": (1, (REPLICAS, 6)),
}

Step = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class History:
    """What happens to `replicas` replicas of one store, which is empty at first.

    Attributes:
        reverts: whether sync tools also put older copies over the files that a replica itself writes.
    """

    replicas: int
    steps: tuple[Step, ...]
    reverts: bool = False

    def script(self) -> str:
        """Return Python text that makes this history."""
        steps = "".join(f"        {step!r},\n" for step in self.steps)
        return f"History(\n    {self.replicas},\n    (\n{steps}    ),\n    reverts={self.reverts},\n)"


def random_history(rng: random.Random, *, reverts: bool = False, longest: int = 30) -> History:
    """Draw a history; for millions of them, where hypothesis would take most of the time."""
    weights = [often for often, _ in VERBS.values()]
    steps: list[Step] = [("create", (0, 0)), ("add", (0, 0, rng.randrange(5)))]
    for verb in rng.choices(list(VERBS), weights, k=rng.randrange(4, longest)):
        steps.append((verb, tuple(rng.randrange(limit) for limit in VERBS[verb][1])))
    return History(rng.choice((2, 2, 2, 3, 3, 4, 5)), tuple(steps), reverts)


def shortened(history: History, fails: Callable[[History], bool]) -> History:
    """Return a part of a failing history that still fails, without a step or a number that it could do without."""
    best = history
    progress = True
    while progress:
        progress = False
        for candidate in _shorter(best):
            if fails(candidate):
                best, progress = candidate, True
                break
    return best


def _shorter(history: History) -> list[History]:
    steps = history.steps
    candidates = []
    size = len(steps) // 2
    while size:
        candidates += [steps[:at] + steps[at + size :] for at in range(0, len(steps), size)]
        size //= 2
    for at, (verb, numbers) in enumerate(steps):
        for place, number in enumerate(numbers):
            for smaller in {0, number // 2, number - 1} if number else ():
                less = (*numbers[:place], smaller, *numbers[place + 1 :])
                candidates.append((*steps[:at], (verb, less), *steps[at + 1 :]))
    histories = [History(history.replicas, each, history.reverts) for each in candidates]
    if history.replicas > 2:
        histories.insert(0, History(history.replicas - 1, steps, history.reverts))
    return histories
