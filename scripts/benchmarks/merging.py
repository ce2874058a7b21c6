"""Rows about sessions beside each other: what tells two apart, and merging one into another."""

from collections.abc import Callable

from .contenders.ours import Ours
from .forking import STEP
from .lab import Lab
from .measure import Prepare, Row, interleave, milliseconds, ratio

NEW_MESSAGES = 10
MERGES = 100


def time_of_a_merge(lab: Lab) -> Row:
    """Two branches of one session, each with messages of its own; one is merged into the other."""
    title = f"merge of two sides with {NEW_MESSAGES} new messages each"
    return _by_size(lab, title, lambda ours, one, other: ours.manager.branches.merge(one, other))


def time_of_a_diff(lab: Lab) -> Row:
    """Two branches of one session that differ at the end."""
    return _by_size(
        lab, "diff of two that differ at the end", lambda ours, one, other: ours.manager.branches.diff(one, other)
    )


def _by_size(lab: Lab, title: str, act: Callable[[Ours, str, str], object]) -> Row:
    few, many = lab.scale.medium, lab.scale.large
    contenders: dict[str, Prepare] = {}
    for name, ours in (("ours", lab.ours), ("ours on sqlite", lab.on_sqlite)):
        for size in (few, many):
            contenders[f"{name}, {size:,}"] = _beside(lab, ours, size, act)
    results = milliseconds(interleave(contenders, lab.rounds(40)))
    checks = [ratio(results, f"{name}, {many:,}", f"{name}, {few:,}", must=1.5) for name in ("ours", "ours on sqlite")]
    return Row(title, results, checks)


def _beside(lab: Lab, ours: Ours, size: int, act: Callable[[Ours, str, str], object]) -> Prepare:
    session = lab.session(size)
    serial = iter(range(10**9))

    def prepare(_turn: int) -> Callable[[], object]:
        number = next(serial)
        names = [f"side-{side}-of-{size}-{number}" for side in range(2)]
        for name in names:
            # How much follows the last cut depends on where it lies, and not on how long a session is.
            live = ours.manager.create_session(name, branch_from=session, at=size - STEP * number)
            for message in lab.messages.take(NEW_MESSAGES):
                live.add_message(message)
            ours.manager.save_session(live)
        return lambda: act(ours, *names)

    return prepare


def save_with_merges_behind(lab: Lab) -> Row:
    """One message more in a session that others were merged into, beside one that has as many messages."""
    contenders: dict[str, Prepare] = {}
    for name, merges in (("no merges", 0), (f"{MERGES} merges", MERGES)):
        ours = Ours(lab.spare())
        ours.fill("session", lab.messages.take(lab.scale.small))
        if not merges:
            for message in lab.messages.take(MERGES):
                ours.save("session", message)
        for number in range(MERGES):
            live = ours.manager.create_session(f"side-{number}", branch_from="session")
            for message in lab.messages.take(1):
                live.add_message(message)
            ours.manager.save_session(live)
            if merges:
                ours.manager.branches.merge(f"side-{number}", "session")
        contenders[f"ours, {name}"] = _saving(lab, ours)
    results = milliseconds(interleave(contenders, lab.rounds(300)))
    checks = [ratio(results, f"ours, {MERGES} merges", "ours, no merges", must=1.1)]
    return Row(f"save of one message with {MERGES} merges behind it", results, checks)


def _saving(lab: Lab, ours: Ours) -> Prepare:
    live = ours.open("session")

    def prepare(_turn: int) -> Callable[[], object]:
        (message,) = lab.messages.take(1)
        live.add_message(message)
        return lambda: ours.manager.save_session(live)

    return prepare
