"""What merges took in, as part of a history: each side's moments since it parted from the session.

As in `git log --graph`: after a merge comes what it brought, and then the session's own past goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...format.generations import TakenIn
from ..ancestry.lineage import Path, Point, Step, UndecidedError, last_common, path_of, step_before
from ..ancestry.merges import frozen
from ..content.state import State
from .moments import STEP_DIGITS, Moment, Stretch, moments


def moments_and_sides(head: State) -> Iterator[Moment]:
    """Yield the moments of a head as `moments` does, each merge followed by those that what it took in had of its own.

    Raises:
        StoreError: a commit of the head itself cannot be read.
    """
    return _with_sides(head, "", _Listed(head))


class _Listed:
    """The ways whose moments are listed: none is listed twice."""

    def __init__(self, head: State) -> None:
        self._head = head
        self._own: Path | None = None
        self._sides: dict[Step, list[Path]] = {}

    def parted(self, path: Path) -> Point | None:
        """Return up to which state a path is listed, and take it as listed from now on; None where it is to its end."""
        if self._own is None:
            self._own = path_of(self._head)
        point = last_common(path, self._own)
        step = path.step_after(point)
        if step is None:
            return None
        # Only those that parted from the session by the same step have more than that in common.
        sides = self._sides.setdefault(step, [])
        point = max((last_common(path, other) for other in sides), default=point)
        if path.step_after(point) is None:
            return None
        sides.append(path)
        return point


def _with_sides(head: State, side: str, listed: _Listed) -> Iterator[Moment]:
    for moment in moments(head):
        yield moment._replace(side=side)
        generation = moment.stretch.generation
        if moment.kind != "merge" or generation is None:
            continue
        for number, taken in enumerate(generation.merged):
            further = f".{number}" if number else ""
            yield from _side(head, taken, f"{side}{generation.id[:STEP_DIGITS]}{further}/", listed, moment)


def _side(head: State, taken: TakenIn, side: str, listed: _Listed, merge: Moment) -> Iterator[Moment]:
    """Yield the moments of what a merge took in, newest first, back to where it parted from what is listed."""
    try:
        state = frozen(head, taken.commit)
        path = path_of(state)
        point = listed.parted(path)
    except UndecidedError:
        # It has not arrived, or is damaged: that is shown, and what the session was itself comes after.
        lost = Stretch(taken.state.step, None, 0, None, (), {}, merge.stretch.name, "")
        count = taken.state.messages
        yield Moment(lost, count, "append", merge.time, "", count, 0, side=side)
        return
    if point is None:
        return
    step = step_before(path, point.run)
    for moment in _with_sides(state, side, listed):
        if moment.side == side and moment.stretch.step == step and moment.messages <= point.messages:
            return
        yield moment
