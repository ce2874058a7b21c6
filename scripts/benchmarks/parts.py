"""Rows about parts of a session: to read some messages, and to take some off the end."""

from collections.abc import Callable

from .contenders.ours import Ours
from .lab import Lab
from .measure import Check, Prepare, Row, Summary, interleave, milliseconds, ratio

SOME = 10
POINTS = 31  # places that are read from, so far apart that no chunk is there already


def some_messages(lab: Lab) -> Row:
    results = milliseconds(interleave(by_size(lab, reader), lab.rounds(30)))
    return Row(f"{SOME} messages from within an open session", results, flat(lab, results))


def cut_off_the_end(lab: Lab) -> Row:
    """As an agent does to try again."""
    contenders = by_size(lab, cutter)
    fork = f"fork of {lab.scale.medium:,}"
    contenders[fork] = forker(lab)
    results = milliseconds(interleave(contenders, lab.rounds(60)))
    return Row(
        "drop_last() and save", results, [*flat(lab, results), ratio(results, f"{lab.scale.medium:,}", fork, must=1)]
    )


def by_size(lab: Lab, contender: Callable[[Lab, Ours, int], Prepare]) -> dict[str, Prepare]:
    contenders: dict[str, Prepare] = {}
    for size in (lab.scale.medium, lab.scale.large):
        contenders[f"{size:,}"] = contender(lab, lab.ours, size)
        contenders[f"on sqlite, {size:,}"] = contender(lab, lab.on_sqlite, size)
    return contenders


def flat(lab: Lab, results: dict[str, Summary]) -> list[Check]:
    medium, large = lab.scale.medium, lab.scale.large
    return [
        ratio(results, f"{large:,}", f"{medium:,}", must=1.5),
        ratio(results, f"on sqlite, {large:,}", f"on sqlite, {medium:,}", must=1.5),
    ]


def reader(lab: Lab, ours: Ours, size: int) -> Prepare:
    session = ours.open(lab.session(size))

    def prepare(turn: int) -> Callable[[], object]:
        start = turn % POINTS * (size // POINTS)
        return lambda: session.get_messages(start=start, stop=start + SOME)

    return prepare


def cutter(lab: Lab, ours: Ours, size: int) -> Prepare:
    session = ours.manager.create_session(f"cut-{size}", branch_from=lab.session(size))

    def cut() -> None:
        session.drop_last()
        ours.manager.save_session(session)

    return lambda _turn: cut


def forker(lab: Lab) -> Prepare:
    session = lab.session(lab.scale.medium)
    return lambda turn: lambda: lab.ours.manager.create_session(f"beside-cuts-{turn}", branch_from=session)
