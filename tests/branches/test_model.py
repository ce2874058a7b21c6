"""The engine and a model of it, driven over the same random histories of machines that diverge, merge and take back."""

from __future__ import annotations

import random

from .machines_of_model import Machines

VERBS = ["append"] * 6 + ["merge"] * 4 + ["undo"] * 4 + ["edit", "edit", "clear", "rename", "delete"]
QUICK, LONG = 50, 5_000


def history(seed: int) -> None:
    """Run one random history, then let all machines merge until one session is left.

    Raises:
        AssertionError: the engine does not do what the model does, or a message was lost or doubled.
    """
    rng = random.Random(seed)
    machines = Machines(rng.choice([2, 2, 3]), rng)
    try:
        machines.begin(0)
        for _ in range(rng.randrange(4, 25)):
            machine = rng.randrange(len(machines.places))
            if rng.random() < 0.4:
                source = rng.randrange(len(machines.places))
                if source != machine:
                    machines.carry(source, machine, stale=rng.choice([0.0, 0.3]))
                    machines.view(machine)
            else:
                machines.act(machine, rng.choice(VERBS), rng.randrange(6), rng.randrange(20))
        finish(machines, rng)
    except AssertionError as error:
        told = "\n".join(machines.log)
        raise AssertionError(f"seed {seed}: {error}\n{told}") from error


def finish(machines: Machines, rng: random.Random) -> None:
    """Bring all files everywhere, and let every machine merge all sides of each name, in an order of its own."""
    for _ in range(12):
        machines.carry_all()
        views = [machines.view(machine) for machine in range(len(machines.places))]
        assert all({label: node.id for label, node in view.items()} == _ids(views[0]) for view in views)
        sides = [label for label, node in views[0].items() if label != node.name]
        if not sides:
            break
        for machine in range(len(machines.places)):
            rng.shuffle(sides)
            for side in sides:
                view = machines.view(machine)
                into = side.partition("~")[0]
                if side in view and into in view:
                    machines.merge(machine, side, into, "append", view)
                elif side in view:
                    # Its name is kept by a tombstone, or by a side that was renamed.
                    return
    else:
        raise AssertionError(f"still {sorted(views[0])} after all have merged twelve times")
    shown = [text for node in views[0].values() for text in node.texts]
    lost = [text for text in machines.said if text not in shown and text not in machines.removed]
    assert not lost, f"lost {lost}"


def _ids(view: dict[str, object]) -> dict[str, object]:
    return {label: node.id for label, node in view.items()}  # type: ignore[attr-defined]


def test_histories(seed: int, long_size: bool) -> None:
    """Whatever machines do and however files travel, the engine shows what the model says, and nothing is lost."""
    for number in range(seed, seed + (LONG if long_size else QUICK)):
        history(number)
