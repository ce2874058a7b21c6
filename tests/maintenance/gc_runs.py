"""Random histories of the engine with gc, and running one to its end."""

from __future__ import annotations

import random
from contextlib import suppress

from simulator.steps import History
from simulator.world import HistoryFailed

from coda_fs_session import StoreError

from .gc_world import POOL, GcWorld

VERBS: dict[str, tuple[int, tuple[int, ...]]] = {
    # verb: how often, and below what its numbers are; retirements have a test of their own
    "add": (2, (4, 12, 5)),
    "edit": (1, (4, 12, 12, 3)),
    "branch": (2, (4, 12, 12, 4)),
    "rename": (1, (4, 12, 4)),
    "delete": (1, (4, 12)),
    "undo": (2, (4, 12)),
    "restore": (1, (4, 12, 12)),
    "tag": (1, (4, 12, 3)),
    "merge": (2, (4, 12, 12, 4)),
    "reopen": (1, (4,)),
    "save_again": (6, (4, 2, POOL, 3)),
    "save_held": (4, (4, POOL, 2)),
    "fork_held": (6, (4, 8)),
    "let_go": (4, (4, 8)),
    "leave": (4, (4, POOL)),
    "gc": (12, (4, 3, 80, 20)),
    "close": (10, (4, 36)),
    "sync": (16, (4, 3, 2, 100)),
    "copy_to_stick": (1, (4,)),
    "get_stick": (1, (4, 8, 100)),
    "jump": (1, (4, 2)),
    "retire": (0, (4, 3)),
    "lose_state": (1, (4,)),
}


def random_history(seed: int, replicas: int, *, longest: int = 50) -> History:
    rng = random.Random(seed)
    # Whoever has lost what it recorded cannot tell that an old file names what it has let go since.
    without = rng.choice(("let_go", "lose_state"))
    verbs = {verb: often for verb, (often, _) in VERBS.items() if verb != without}
    chosen = rng.choices(list(verbs), list(verbs.values()), k=rng.randrange(longest // 2, longest))
    return History(replicas, tuple((verb, tuple(rng.randrange(limit) for limit in VERBS[verb][1])) for verb in chosen))


def run(history: History, *, grace: float = 0, seed: int = 0) -> GcWorld:
    """Run a history to its end.

    Raises:
        HistoryFailed: something was lost, or kept for good, or done against the model.
    """
    world = GcWorld(history.replicas, grace=grace, seed=seed)
    try:
        world.introduce()
        for step in history.steps:
            world.do(step)
        world.finish()
    except Exception as error:
        raise HistoryFailed.of(error, world.log, history.script()) from error
    finally:
        with suppress(OSError, StoreError):
            world.close()
    return world
