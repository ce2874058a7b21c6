"""The sides of a conversation that went on in several places: which belong together, where they part, which is ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from ..errors import StoreError
from ..format.names import session_key
from .heads import may_write, read_refs, related, view_of
from .history import same_life
from .paths import Path, Place, UndecidedError, last_common, path_of
from .repository import Repository
from .resolve import Shown
from .state import Head


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
    partings: list[list[tuple[Place, int]]] = [[] for _ in sessions]
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
        Sides(tuple(names), min(places)[1]) if places else Sides()
        for names, places in zip(labels, partings, strict=True)
    ]
    return found, complete


def _share_a_name(one: Head, other: Head) -> bool:
    if one.name == other.name:
        return True
    # Hardly any session was ever renamed.
    former = one.header.former_names, other.header.former_names
    return any(former) and not {one.name, *former[0]}.isdisjoint((other.name, *former[1]))


def _parting(one: Path, other: Path) -> tuple[Place, int] | None:
    """Return the last state that two paths have in common, and how many messages it had; None where they are no sides.

    Raises:
        UndecidedError: an object is missing or damaged that decides it.
    """
    place = last_common(one, other)
    if one.head.name != other.head.name:
        steps = one.step_after(place), other.step_after(place)
        if place == Place(0, 0) or any(step is not None and step.operation == "create" for step in steps):
            return None
    hidden = one.runs[place.run].messages.base.start
    return place, max(place.messages - hidden, 0)


def find_own_side(repo: Repository, name: str) -> Shown | None:
    """Return the side of a name that this replica was last at work on; None where it has none, or nothing diverged.

    Raises:
        StoreError: a ref of ours is damaged, and nobody can tell what side it was on.
    """
    rows = related(repo, name)
    key = session_key(name)
    ours = {row.path for row in rows if row.key == key and may_write(repo.replica, row.path)}
    if len(rows) < 2 or not ours:
        return None
    refs = read_refs(repo, rows)
    for damaged, error in refs.doubts.items():
        if damaged.path in ours:
            raise error
    return own_side(repo, view_of(repo, refs, rows).sessions, name)


def own_side(repo: Repository, sessions: Iterable[Shown], name: str) -> Shown | None:
    """Return, of the sides of a name, the one that this replica was last at work on; None where it was on none.

    Of several that others made of one state of ours, the first.
    """
    newest: Shown | None = None
    when = ""
    for shown in sessions:
        if shown.head.name == name:
            for head in (shown.head, *shown.covered):
                is_ours = head.name == name and may_write(repo.replica, head.key.path)
                if is_ours and _last_save(head) > when and _lives_on(head, shown.head):
                    newest, when = shown, _last_save(head)
    return newest


def _last_save(head: Head) -> str:
    """Return when a ref was last written; `Head.updated` may be that of another one whose metadata it shows."""
    return head.saves[-1].time if head.saves else head.header.updated


def _lives_on(own: Head, head: Head) -> bool:
    """Tell whether a ref that a head covers, or is, is of the same session, and not of one that was deleted before."""
    try:
        return same_life(head, own)
    except StoreError:
        # What has not arrived yet does not take our conversation from us.
        return True
