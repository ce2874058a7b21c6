"""Rows about making sessions: new ones, and branches."""

from collections.abc import Callable, Iterable

import orjson

from .contenders.ours import Ours, OursOnSqlite
from .contenders.raw import swap_in
from .lab import Lab
from .measure import Check, Prepare, Row, Summary, interleave, milliseconds, ratio

STEP = 8  # messages between two fork points, so that the rounds pass over about one chunk
NEW_MESSAGES = 5
SWAP = "raw swap of a small file"
SMALL_FILE = b"x" * 2048


def time_of_a_fork(lab: Lab) -> Row:
    """Every round forks at a point where nobody forked before: what forks at one point share is not yet there."""
    contenders: dict[str, Prepare] = {SWAP: swapper(lab)}
    for size in (lab.scale.medium, lab.scale.large):
        contenders[f"ours, head of {size:,}"] = fork_at_head(lab, lab.ours, size)
        contenders[f"ours, middle of {size:,}"] = fork_in_the_middle(lab, lab.ours, size)
        contenders[f"ours on sqlite, head of {size:,}"] = fork_at_head(lab, lab.on_sqlite, size)
        contenders[f"ours on sqlite, middle of {size:,}"] = fork_in_the_middle(lab, lab.on_sqlite, size)
    results = milliseconds(interleave(contenders, lab.rounds(60)))
    forks = [summary.median for name, summary in results.items() if name.startswith("ours, ")]
    on_sqlite = [summary.median for name, summary in results.items() if name.startswith("ours on sqlite, ")]
    checks = [
        Check("slowest fork / fastest fork", max(forks) / min(forks), must=1.3),
        Check("on sqlite: slowest fork / fastest fork", max(on_sqlite) / min(on_sqlite), must=1.3),
        Check("slowest fork / raw swap", max(forks) / results[SWAP].median, must=6, aim=3),
    ]
    return Row("fork of a session", results, checks)


def swapper(lab: Lab) -> Prepare:
    target = lab.spare() / "small"
    return lambda _turn: lambda: swap_in(target, SMALL_FILE)


def fork_at_head(lab: Lab, ours: Ours, size: int) -> Prepare:
    session = lab.session(size)

    def prepare(turn: int) -> Callable[[], object]:
        live = ours.open(session)
        for message in lab.messages.take(STEP):
            live.add_message(message)
        ours.manager.save_session(live)
        return lambda: ours.manager.create_session(f"head-of-{size}-{turn}", branch_from=session)

    return prepare


def fork_in_the_middle(lab: Lab, ours: Ours, size: int) -> Prepare:
    session = lab.session(size)

    def prepare(turn: int) -> Callable[[], object]:
        name, at = f"middle-of-{size}-{turn}", size // 2 + STEP * turn
        return lambda: ours.manager.create_session(name, branch_from=session, at=at)

    return prepare


def time_of_a_new_session(lab: Lab) -> Row:
    """As where many are made in a row: what else is in the store must not be gone through for each."""
    few, many = lab.scale.small, lab.scale.sessions
    contenders: dict[str, Prepare] = {SWAP: swapper(lab)}
    for number in (few, many):
        for name, kind in (("ours", Ours), ("ours on sqlite", OursOnSqlite)):
            contenders[f"{name}, beside {number:,}"] = maker(lab, kind, number)
    results = milliseconds(interleave(contenders, lab.rounds(200)))
    checks = [
        ratio(results, f"ours, beside {many:,}", f"ours, beside {few:,}", must=1.5),
        ratio(results, f"ours on sqlite, beside {many:,}", f"ours on sqlite, beside {few:,}", must=1.5),
        ratio(results, f"ours, beside {many:,}", SWAP),
    ]
    return Row("a new session", results, checks)


def maker(lab: Lab, kind: type[Ours], number: int) -> Prepare:
    folder = lab.spare()
    filling = kind(folder, durable=False)
    for serial in range(number):
        filling.manager.create_session(f"session-{serial}")
    filling.manager.close()
    ours = kind(folder)
    return lambda turn: lambda: ours.manager.create_session(f"new-{turn}")


def bytes_of_forks(lab: Lab) -> Row:
    """Each round is a session of its own: how much is sealed again depends on where its cuts happen to lie."""
    size, forks = lab.scale.medium, lab.scale.forks
    head, many = f"{forks} forks at the head", f"{forks} forks at as many points"
    points = {head: [size] * forks, many: [size * (number + 1) // forks for number in range(forks)]}
    percent: dict[str, list[float]] = {name: [] for name in points}
    for _ in range(lab.rounds(9)):
        for name, at in points.items():
            percent[name].append(overhead(lab, at))
    results = {name: Summary.of(values, "%") for name, values in percent.items()}
    checks = [
        Check(head, results[head].median, must=6, aim=3, unit="%"),
        Check(many, results[many].median, unit="%"),
    ]
    title = f"{forks} forks of {size:,} messages, {NEW_MESSAGES} new ones each: bytes beyond the new lines"
    return Row(f"{title}, in % of the session", results, checks)


def overhead(lab: Lab, points: Iterable[int]) -> float:
    """Return what forks take beyond the lines of their new messages, in per cent of what the session takes."""
    ours = Ours(lab.spare(), durable=False)
    ours.fill("source", lab.messages.take(lab.scale.medium))
    before, lines = ours.stored_bytes(), 0
    for number, point in enumerate(points):
        fork = ours.manager.create_session(f"fork-{number}", branch_from="source", at=point)
        for message in lab.messages.take(NEW_MESSAGES):
            fork.add_message(message)
            lines += len(orjson.dumps(message)) + 1
        ours.manager.save_session(fork)
    return 100 * (ours.stored_bytes() - before - lines) / before
