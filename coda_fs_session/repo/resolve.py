"""What the refs of some names add up to: which heads are the newest, and by what name each of them goes.

A pure function of refs and objects: the same files give the same view on every machine, in whatever order they
arrived, and nothing is written. Clocks, replica ids and file names decide nothing that a user sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from ..errors import StoreError
from ..format.records import Stamped, stamp_order
from .history import is_seen_in, same_life
from .paths import Path, Step, UndecidedError, last_common, path_of, paths_of, step_order
from .state import Head

_DIGITS = (8, 12, 16, 24, 32, 64)
"""How much of a step's id a derived name has: more, where less is taken."""


class Shown(NamedTuple):
    """One session of the view.

    Attributes:
        label: the name that it goes by: that in its header, or one derived from it where others diverged from it.
        head: its newest state, with the metadata of those that it covers.
        covered: refs of earlier states, or of the same one.
        undecided: what is missing to tell whether it continues another ref, or another one it.
        survived_delete: somebody deleted it, and somebody else, who did not know, went on.
    """

    label: str
    head: Head
    covered: tuple[Head, ...] = ()
    undecided: StoreError | None = None
    survived_delete: bool = False

    @property
    def diverged_from(self) -> str | None:
        """The name in the header, where the session goes by another one."""
        return self.head.name if self.head.name != self.label else None


class View(NamedTuple):
    """All that heads with names in common add up to.

    Attributes:
        sessions: those that live; of the sides of one name, the one that keeps it comes first.
        deleted: tombstones that nothing continues, with the names that they keep.
        complete: nothing was missing.
    """

    sessions: tuple[Shown, ...]
    deleted: tuple[Shown, ...]
    complete: bool = True


def resolve_heads(heads: Iterable[Head], is_taken: Callable[[str], bool], horizon: str) -> View:
    """Find out what heads add up to.

    Args:
        heads: of every ref that has, or had, one of some names.
        is_taken: tells whether a ref that is not among them has a name.
        horizon: from when on metadata stamps are not believed. Only which value of such a key is shown depends on it.
    """
    remaining = sorted(heads, key=lambda head: (head.damage is not None, head.key))
    missing: list[tuple[Head, StoreError]] = []
    taken = {head.name for head in remaining if not head.deleted}
    while True:
        try:
            sessions, deleted = _decided(remaining, lambda name: name in taken or is_taken(name), horizon)
            break
        except UndecidedError as error:
            # Go on without the head that cannot be compared; it is shown beside the others until it can.
            remaining.remove(error.head)
            missing.append((error.head, error.problem))
    used = {shown.label for shown in sessions}
    for head, problem in missing:
        if not head.deleted:
            path = hashlib.sha256(head.key.path.encode()).hexdigest()
            label = head.name
            if label in used:
                label = _derived(label, path, lambda name: name in used or name in taken or is_taken(name))
            used.add(label)
            sessions.append(Shown(label, head, undecided=problem))
    return View(tuple(sessions), tuple(deleted), not missing)


def _decided(heads: Sequence[Head], is_taken: Callable[[str], bool], horizon: str) -> tuple[list[Shown], list[Shown]]:
    """Resolve heads that can all be compared; returns those that live, and tombstones.

    Raises:
        UndecidedError: one cannot.
    """
    newest, covered = _newest(heads)
    paths = {id(head): path_of(head) for head in newest} if len(newest) > 1 else {}
    labels = _labels(newest, paths, is_taken)
    shown = [
        Shown(
            labels[id(head)],
            head if head.deleted else _with_metadata_of(head, covered[id(head)], horizon),
            tuple(covered[id(head)]),
            survived_delete=any(
                _outlived(paths[id(head)], paths[id(other)])
                for other in newest
                if other.deleted and other is not head and not head.deleted
            ),
        )
        for head in newest
    ]
    shown.sort(key=lambda each: (len(each.label), each.label))
    return [each for each in shown if not each.head.deleted], [each for each in shown if each.head.deleted]


def _newest(heads: Sequence[Head]) -> tuple[list[Head], dict[int, list[Head]]]:
    """Leave out every head that another one covers; of equal ones the first stays. Returns also what each covers."""
    covered: dict[int, list[Head]] = {id(head): [] for head in heads}
    old: set[int] = set()
    for first, second in combinations(heads, 2):
        if not (_may_cover(first, second) or _may_cover(second, first)):
            continue
        first_in_second, second_in_first = _compare(first, second)
        if second_in_first and _may_cover(first, second):
            covered[id(first)].append(second)
            old.add(id(second))
        elif first_in_second and _may_cover(second, first):
            covered[id(second)].append(first)
            old.add(id(first))
    return [head for head in heads if id(head) not in old], covered


def _may_cover(newer: Head, older: Head) -> bool:
    return older.name == newer.name or older.name in newer.header.former_names


def _compare(first: Head, second: Head) -> tuple[bool, bool]:
    """Tell whether the first is a state that the second went through or is, and the other way round."""
    if first.last_id == second.last_id:
        return True, True
    if is_seen_in(first, second):
        return True, False
    if is_seen_in(second, first):
        return False, True
    path, path_there = paths_of(first, second)
    place = last_common(path, path_there)
    return path.step_after(place) is None, path_there.step_after(place) is None


def _labels(newest: Sequence[Head], paths: dict[int, Path], is_taken: Callable[[str], bool]) -> dict[int, str]:
    """Give each head its name, by the heads' identities."""
    if len(newest) == 1:
        return {id(newest[0]): newest[0].name}
    labels: dict[int, str] = {}
    for name in sorted({head.name for head in newest}):
        labels.update(_labels_of(name, newest, paths, is_taken))
    return labels


def _labels_of(
    name: str, newest: Sequence[Head], paths: dict[int, Path], is_taken: Callable[[str], bool]
) -> dict[int, str]:
    sides = [paths[id(head)] for head in newest if head.name == name]
    # Who was renamed after the sides parted still stands for its side: else the name would move to another one.
    gone = [paths[id(head)] for head in newest if head.name != name and name in head.header.former_names]
    sides += [path for path in gone if any(_of_one_life(path, side) for side in sides)]
    given: set[str] = set()
    labels: dict[int, str] = {}
    for label, side in _named(sides, name, name, lambda label: label in given or is_taken(label)):
        given.add(label)
        if side.head.name == name:
            labels[id(side.head)] = label
    return labels


def _named(sides: Sequence[Path], name: str, label: str, is_taken: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
    """Name the sides of a tree: where it forks the smallest step keeps the label; then the same inside each side.

    Of the forks that led to a side only the last one counts where another kept the label: so what comes to stand before
    a whole tree takes the label of one side, and leaves their own to the others.
    """
    if len(sides) == 1:
        yield label, sides[0]
        return
    place = min(last_common(sides[0], other) for other in sides[1:])
    groups: dict[Step | None, list[Path]] = {}
    for side in sides:
        groups.setdefault(side.step_after(place), []).append(side)
    if len(groups) == 1:
        # Of one state, as only a ref that was forged has them.
        yield from ((label, side) for side in sides)
        return

    def order(step: Step | None) -> tuple[int, tuple[int, str]]:
        # Who gave the name to another conversation knew that the earlier ones had lost it.
        lives = (side.head.header.life for side in groups[step] if side.head.name == name)
        return -max(lives, default=0), step_order(step) if step else (-1, "")

    for number, step in enumerate(sorted(groups, key=order)):
        inner = label if number == 0 or step is None else _derived(name, step.id, is_taken)
        yield from _named(groups[step], name, inner, is_taken)


def _derived(name: str, identity: str, is_taken: Callable[[str], bool]) -> str:
    """Return a label that is not taken, of as little of a step's id as that takes."""
    labels = (f"{name}~{identity[:digits]}" for digits in _DIGITS)
    return next((label for label in labels if not is_taken(label)), f"{name}~{identity}")


def _of_one_life(gone: Path, side: Path) -> bool:
    """Tell whether a renamed head and one that has its former name were one session, not one made after the other."""
    place = last_common(gone, side)
    steps = gone.step_after(place), side.step_after(place)
    return all(step is None or step.operation != "create" for step in steps)


def _outlived(path: Path, tombstone: Path) -> bool:
    if path.head.name != tombstone.head.name:
        return False
    step = tombstone.step_after(last_common(path, tombstone))
    return step is not None and step.operation == "delete"


def _with_metadata_of(head: Head, covered: Sequence[Head], horizon: str) -> Head:
    """Merge in the metadata of refs that the head covers: for each key the latest stamp wins, whoever set it."""

    def weight(item: Stamped) -> tuple[tuple[bool, str], str]:
        return stamp_order(item.stamp, horizon), hashlib.sha256(item.value or b"").hexdigest()

    merged = dict(head.metadata)
    updated = head.updated
    for other in covered:
        if other.deleted or not _same_life(head, other):
            continue
        for key, item in other.metadata.items():
            if key not in merged or weight(merged[key]) < weight(item):
                merged[key] = item
                updated = max(updated, other.updated)
    if merged == head.metadata:
        return head
    shown = head.copy()
    shown.metadata, shown.updated = merged, updated
    return shown


def _same_life(head: Head, other: Head) -> bool:
    try:
        return same_life(head, other)
    except StoreError as error:
        raise UndecidedError(head, error) from error
