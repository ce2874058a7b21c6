"""What the refs of some names add up to: which heads are the newest, and by what name each of them goes.

A pure function of refs and objects: the same files give the same view on every machine, in whatever order they
arrived, and nothing is written. Clocks, replica ids and file names decide nothing that a user sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache

from ...errors import StoreError
from ...format.names import derived
from ..content.state import State
from .ancestors import same_life
from .covers import Newest, Order, compare
from .lineage import Path, Step, UndecidedError, last_common, path_of, step_order, were_one
from .shown import Shown, View, shown_as


def resolve_heads(heads: Iterable[State], is_taken: Callable[[str], bool], horizon: str) -> View:
    """Find out what heads add up to.

    Args:
        heads: of every ref that has, or had, one of some names.
        is_taken: tells whether a ref that is not among them has a name.
        horizon: from when on metadata stamps are not believed. Only which value of such a key is shown depends on it.

    Raises:
        StoreError: a head would be neither shown, nor covered by one that is, nor told to be undecided.
    """
    heads = tuple(heads)
    known = cache(compare)
    missing: dict[State, StoreError] = {}
    names = {head.name for head in heads if not head.deleted}
    while True:
        order = Order((head for head in heads if head not in missing), known)
        missing |= order.undecided
        try:
            shown = _named_and_merged(order.newest(), lambda name: name in names or is_taken(name), horizon)
            break
        except UndecidedError as error:
            # Go on without the head that cannot be compared; it is shown beside the others until it can.
            missing[error.head] = error.problem
    _check_all_there(heads, {*missing, *(head for each in shown for head in (each.head, *each.covered))})
    sessions = [each for each in shown if not each.head.deleted]
    used = {each.label for each in sessions}
    for head, problem in missing.items():
        if not head.deleted:
            path = hashlib.sha256(head.key.path.encode()).hexdigest()
            label = head.name
            if label in used:
                label = _derived(label, path, lambda name: name in used or name in names or is_taken(name))
            used.add(label)
            sessions.append(Shown(label, head, undecided=problem))
    return View(tuple(sessions), tuple(each for each in shown if each.head.deleted), not missing)


def _named_and_merged(newest: Sequence[Newest], is_taken: Callable[[str], bool], horizon: str) -> list[Shown]:
    """Give the heads that are left their names, and the metadata of what they cover.

    Raises:
        UndecidedError: something is missing that decides it.
    """
    heads = [each.head for each in newest]
    paths = {head: path_of(head) for head in heads} if len(heads) > 1 else {}
    labels = _labels(heads, paths, is_taken)
    shown = []
    for head, covered, same in newest:
        merged = () if head.deleted else tuple(each for each in covered if not each.deleted and _same_life(head, each))
        survived = not head.deleted and any(_outlived(paths[head], paths[each]) for each in heads if each.deleted)
        shown.append(shown_as(labels[head], head, covered, merged, same, horizon, survived_delete=survived))
    return sorted(shown, key=lambda each: (len(each.label), each.label))


def _check_all_there(heads: Iterable[State], found: Iterable[State]) -> None:
    keys = {head.key for head in found}
    for head in heads:
        if head.key not in keys:
            raise StoreError(
                f"{head.key.path}: session {head.name!r} would be in no list, which is a fault of this package: report "
                "it. The file is as it was",
                head.key.path,
            )


def _labels(heads: Sequence[State], paths: Mapping[State, Path], is_taken: Callable[[str], bool]) -> dict[State, str]:
    if len(heads) == 1:
        return {heads[0]: heads[0].name}
    sides: dict[str, list[Path]] = {name: [] for name in sorted({head.name for head in heads})}
    renamed: dict[str, list[Path]] = {name: [] for name in sides}
    for head in heads:
        sides[head.name].append(paths[head])
        for name in sides.keys() & set(head.header.former_names) - {head.name}:
            renamed[name].append(paths[head])
    labels: dict[State, str] = {}
    for name in sides:
        labels |= _labels_of(name, sides[name], renamed[name], is_taken)
    return labels


def _labels_of(
    name: str, having: Sequence[Path], renamed: Sequence[Path], is_taken: Callable[[str], bool]
) -> dict[State, str]:
    """Name the heads that have a name now."""
    labels: dict[State, str] = {}
    given: set[str] = set()
    while having:
        lives = {side: side.head.header.life for side in having}
        # What was renamed after the sides parted still stands for its side: else the name would move to another one.
        kin = {each: [side for side in having if were_one(each, side)] for each in renamed}
        lives |= {each: max(side.head.header.life for side in sides) for each, sides in kin.items() if sides}
        given.clear()
        given.update(labels.values())
        named: dict[Path, str] = {}
        for label, side in _named(list(lives), lives, name, lambda label: label in given or is_taken(label)):
            given.add(label)
            named[side] = label
        keeper = next(iter(named))
        # One that has another name now keeps this one from its own kin alone.
        kept = kin.get(keeper, having)
        labels |= {side.head: named[side] for side in kept}
        having = [side for side in having if side not in kept]
        renamed = [side for side in renamed if side is not keeper]
    return labels


def _named(
    sides: Sequence[Path], lives: Mapping[Path, int], name: str, is_taken: Callable[[str], bool]
) -> Iterator[tuple[str, Path]]:
    """Name the sides of a tree: where it forks the smallest step keeps the label; then the same inside each side.

    Of the forks that led to a side only the last one counts where another kept the label: so what comes to stand before
    a whole tree takes the label of one side, and leaves their own to the others. The first side gets the name itself.
    """

    def order(group: tuple[Step | None, Sequence[Path]]) -> tuple[int, tuple[int, str]]:
        # Who gave the name to another conversation knew that the earlier ones had lost it.
        step, members = group
        return -max(map(lives.__getitem__, members)), step_order(step) if step else (-1, "")

    # Not recursive: a store may hold any number of forks, one inside the other.
    pending: list[tuple[Sequence[Path], str, Step | None]] = [(sides, name, None)]
    while pending:
        members, label, step = pending.pop()
        if step is not None:
            label = _derived(name, step.id, is_taken)
        point = min((last_common(members[0], other) for other in members[1:]), default=None)
        groups: dict[Step | None, list[Path]] = {}
        for side in members:
            groups.setdefault(side.step_after(point) if point else None, []).append(side)
        if len(groups) == 1:
            # One side alone; or several at one state, of which at most one has the name.
            yield from ((label, side) for side in members)
            continue
        inner = [
            (group, label, step if number else None)
            for number, (step, group) in enumerate(sorted(groups.items(), key=order))
        ]
        pending += reversed(inner)


def _derived(name: str, identity: str, is_taken: Callable[[str], bool]) -> str:
    """Return a label that is not taken, of as little of a step's id as that takes."""
    for label in derived(name, identity):
        if not is_taken(label):
            break
    return label


def _outlived(path: Path, tombstone: Path) -> bool:
    if path.head.name != tombstone.head.name:
        return False
    step = tombstone.step_after(last_common(path, tombstone))
    return step is not None and step.operation == "delete"


def _same_life(head: State, other: State) -> bool:
    try:
        return same_life(head, other)
    except StoreError as error:
        raise UndecidedError(head, error) from error
