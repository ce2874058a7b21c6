"""The sides of a conversation that went on in several places: which belong together, and where they part."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from ..content.state import State
from .lineage import Path, Point, UndecidedError, last_common, path_of
from .shown import Shown


class Sides(NamedTuple):
    """What a session parted from.

    Attributes:
        labels: what the other sides go by, in the order of the view; none where it parted from nothing.
        diverged_at: how many messages the last state had that it and all of them went through.
    """

    labels: tuple[str, ...] = ()
    diverged_at: int | None = None


def sides_of(sessions: Sequence[Shown]) -> tuple[list[Sides], bool]:
    """Return the sides of each session of a view; False where something was missing that tells them.

    Sides are sessions of one name; and those of which one was renamed, where they went through a state together and
    neither began anew after it. A session that is undecided has no sides yet.
    """
    known = [number for number, shown in enumerate(sessions) if shown.undecided is None]
    labels: list[list[str]] = [[] for _ in sessions]
    partings: list[list[tuple[Point, int]]] = [[] for _ in sessions]
    paths: dict[int, Path] = {}
    complete = True
    for one, other in combinations(known, 2):
        if not _share_a_name(sessions[one].head, sessions[other].head):
            continue
        try:
            for number in (one, other):
                paths[number] = paths.get(number) or path_of(sessions[number].head)
            parting = _parting(paths[one], paths[other])
        except UndecidedError:
            complete = False
            continue
        if parting is not None:
            for side, there in ((one, other), (other, one)):
                labels[side].append(sessions[there].label)
                partings[side].append(parting)
    found = [
        Sides(tuple(names), min(points)[1]) if points else Sides()
        for names, points in zip(labels, partings, strict=True)
    ]
    return found, complete


def _share_a_name(one: State, other: State) -> bool:
    if one.name == other.name:
        return True
    # Hardly any session was ever renamed.
    former = one.header.former_names, other.header.former_names
    return any(former) and not {one.name, *former[0]}.isdisjoint((other.name, *former[1]))


def _parting(one: Path, other: Path) -> tuple[Point, int] | None:
    """Return the last state that two paths have in common, and how many messages it had; None where they are no sides.

    Raises:
        UndecidedError: an object is missing or damaged that decides it.
    """
    point = last_common(one, other)
    if one.head.name != other.head.name:
        steps = one.step_after(point), other.step_after(point)
        if point == Point(0, 0) or any(step is not None and step.operation == "create" for step in steps):
            return None
    hidden = one.runs[point.run].messages.base.start
    return point, max(point.messages - hidden, 0)
