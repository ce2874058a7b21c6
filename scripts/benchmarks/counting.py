"""Rows about token counts."""

from collections.abc import Callable

from .contenders.ours import Ours
from .lab import Lab
from .measure import Prepare, Row, interleave, milliseconds, ratio


def after_one_message(lab: Lab) -> Row:
    few, many = lab.scale.medium // 50, 2 * lab.scale.medium
    contenders: dict[str, Prepare] = {}
    for size in (few, many):
        contenders[f"{size:,}"] = counter(lab.ours, lab.session(size, "to-count", ["ours", "ours on sqlite"]))
        contenders[f"on sqlite, {size:,}"] = counter(lab.on_sqlite, f"{size}-to-count")
    session = lab.ours.open(lab.session(many, "to-count", ["ours", "ours on sqlite"]))
    contenders[f"get_messages() of {many:,}"] = lambda _turn: session.get_messages
    results = milliseconds(interleave(contenders, lab.rounds(60)))
    checks = [
        ratio(results, f"{many:,}", f"{few:,}", must=1.5),
        ratio(results, f"on sqlite, {many:,}", f"on sqlite, {few:,}", must=1.5),
        ratio(results, f"{many:,}", f"get_messages() of {many:,}", must=0.1),
    ]
    return Row("get_token_count() after one more message is saved", results, checks)


def counter(ours: Ours, name: str) -> Prepare:
    session = ours.open(name)

    def prepare(turn: int) -> Callable[[], object]:
        session.add_message({"role": "user", "content": f"How long is this? {turn}"})
        ours.manager.save_session(session)
        return session.get_token_count

    return prepare
