"""Rows about what a session was: undo, restore, tags, and the first page of its history."""

from collections.abc import Callable
from itertools import count, islice

from .contenders.ours import Ours
from .lab import Lab
from .measure import Check, Prepare, Row, Summary, interleave, milliseconds, ratio

PAGE = 50
"""Entries that a first page shows."""

NEW_MESSAGES = 6
_SERIAL = count()

Act = Callable[[Ours, str, int], object]


def time_of_an_undo(lab: Lab) -> Row:
    """The last save is taken back, beside a fork of the same session."""
    contenders = _by_size(lab, "undo", lambda ours, name, length: ours.manager.history(name).undo())
    contenders |= _by_size(lab, "fork", _fork)
    results = milliseconds(interleave(contenders, lab.rounds(40)))
    checks = [*_of_any_size(lab, "undo", results)]
    checks += [
        ratio(results, name, name.replace("undo", "fork"), must=3) for name in results if name.startswith("undo")
    ]
    return Row("undo of the last save", results, checks)


def time_of_a_restore(lab: Lab) -> Row:
    """A session goes back to what it was some messages ago."""
    return _row(lab, "restore", lambda ours, name, length: ours.manager.history(name).restore(length - 4))


def time_of_a_tag(lab: Lab) -> Row:
    """The present state gets a tag."""
    return _row(lab, "tag", lambda ours, name, length: ours.manager.history(name).tag("draft"))


def first_page(lab: Lab) -> Row:
    """The newest entries of a history."""
    return _row(lab, "history", lambda ours, name, length: list(islice(ours.manager.history(name), PAGE)))


def _fork(ours: Ours, name: str, length: int) -> object:
    return ours.manager.create_session(f"fork-of-{name}-{length}-{next(_SERIAL)}", branch_from=name)


def _row(lab: Lab, verb: str, act: Act) -> Row:
    results = milliseconds(interleave(_by_size(lab, verb, act), lab.rounds(40)))
    return Row(f"{verb} of a session", results, _of_any_size(lab, verb, results))


def _by_size(lab: Lab, verb: str, act: Act) -> dict[str, Prepare]:
    stores = (("ours", lab.ours), ("ours on sqlite", lab.on_sqlite))
    sizes = lab.scale.medium, lab.scale.large
    return {f"{verb}, {name}, {size:,}": _after_a_save(lab, ours, size, act) for name, ours in stores for size in sizes}


def _of_any_size(lab: Lab, verb: str, results: dict[str, Summary]) -> list[Check]:
    few, many = lab.scale.medium, lab.scale.large
    names = [f"{verb}, {store}" for store in ("ours", "ours on sqlite")]
    return [ratio(results, f"{name}, {many:,}", f"{name}, {few:,}", must=1.5) for name in names]


def _after_a_save(lab: Lab, ours: Ours, size: int, act: Act) -> Prepare:
    session = lab.session(size)

    def prepare(_turn: int) -> Callable[[], object]:
        live = ours.open(session)
        for message in lab.messages.take(NEW_MESSAGES):
            live.add_message(message)
            ours.manager.save_session(live)
        return lambda: act(ours, session, len(live))

    return prepare
