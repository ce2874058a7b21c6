"""What covers what: which of several heads are left to be shown, and which others each of them stands for.

A head *continues* another of the same name if it is at the other's state or went through it. It continues one that has
a former name of its own if it went through the other's state and further: a rename is a step. And it continues what
that one continues. But another session that has a former name of it, and that a merge took in, goes on beside it.

Two that continue each other are the *same*: of one name, at one state. A head *covers* those that it continues and is
not the same as, and of those that are the same, the first by rank covers the others.

So "same" is an equivalence and "covers" a strict order, whatever the files say. Therefore something is always left,
and what is not left is covered by something that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from ...errors import StoreError
from ..content.state import State
from .ancestors import is_seen_in
from .lineage import UndecidedError, last_common, path_of, paths_of, were_one
from .merges import took_in

Compare = Callable[[State, State], tuple[bool, bool]]


class Newest(NamedTuple):
    """A head that no other one covers.

    Attributes:
        covered: the heads that it covers.
        same: those of them that are the same.
    """

    head: State
    covered: tuple[State, ...] = ()
    same: tuple[State, ...] = ()


class Order:
    """How some heads stand to one another.

    Args:
        heads: in any order.
        compare: see `compare`, the function; it may be given as one that remembers its answers.

    Attributes:
        heads: those that can be compared, by rank: damaged ones last, then by path.
        undecided: the others, each with what is missing. They play no part in how the rest stand to one another.
    """

    def __init__(self, heads: Iterable[State], compare: Compare) -> None:
        ranked = sorted(heads, key=lambda head: (head.damage is not None, head.key))
        found, self.undecided = _compare_all(ranked, compare)
        self.heads = [head for head in ranked if head not in self.undecided]
        self._place = {head: place for place, head in enumerate(self.heads)}
        # What each one continues, as bits; itself, to begin with.
        self._continued = [1 << place for place in range(len(self.heads))]
        for newer, older in found:
            if newer in self._place and older in self._place:
                self._continued[self._place[newer]] |= 1 << self._place[older]
        for through, further in enumerate(self._continued):
            for place, continued in enumerate(self._continued):
                if continued >> through & 1:
                    self._continued[place] = continued | further

    def continues(self, newer: State, older: State) -> bool:
        return bool(self._continued[self._place[newer]] >> self._place[older] & 1)

    def same(self, one: State, other: State) -> bool:
        return self.continues(one, other) and self.continues(other, one)

    def covers(self, newer: State, older: State) -> bool:
        return self.continues(newer, older) and (
            self._place[newer] < self._place[older] or not self.continues(older, newer)
        )

    def newest(self) -> list[Newest]:
        """Return what is left, by rank."""
        left = []
        for head in self.heads:
            if not any(self.covers(other, head) for other in self.heads):
                covered = tuple(other for other in self.heads if self.covers(head, other))
                left.append(Newest(head, covered, tuple(other for other in covered if self.same(head, other))))
        return left


def _compare_all(heads: Sequence[State], compare: Compare) -> tuple[list[tuple[State, State]], dict[State, StoreError]]:
    """Return the pairs of which the first continues the second, without regard to third ones; and what is undecided."""
    names = {head: frozenset((head.name, *head.header.former_names)) for head in heads}
    found: list[tuple[State, State]] = []
    undecided: dict[State, StoreError] = {}
    for one, other in combinations(heads, 2):
        related = other.name in names[one] or one.name in names[other]
        if not related or one in undecided or other in undecided:
            continue
        try:
            one_in_other, other_in_one = compare(one, other)
        except UndecidedError as error:
            undecided[error.head] = error.problem
            continue
        if one.name != other.name and one_in_other and other_in_one:
            continue
        for newer, older, is_in in ((one, other, other_in_one), (other, one, one_in_other)):
            try:
                if is_in and older.name in names[newer] and (newer.name == older.name or _were_one(newer, older)):
                    found.append((newer, older))
            except UndecidedError as error:
                undecided[error.head] = error.problem
    return found, undecided


def _were_one(newer: State, older: State) -> bool:
    """Tell whether a session went through the state of one that has a former name of its own, or was one with it."""
    if is_seen_in(older, newer):
        return True
    path, path_there = paths_of(older, newer)
    return path.step_after(last_common(path, path_there)) is None or were_one(path_of(newer), path_of(older))


def compare(one: State, other: State) -> tuple[bool, bool]:
    """Tell whether the first is at a state that the second is at or went through, and the other way round.

    Raises:
        UndecidedError: an object is missing or damaged that decides it.
    """
    if one.last_id == other.last_id:
        return True, True
    if is_seen_in(one, other):
        return True, _is_at_the_state_of(one, other)
    if is_seen_in(other, one):
        return _is_at_the_state_of(other, one), True
    return _compare_paths(one, other)


def _compare_paths(one: State, other: State) -> tuple[bool, bool]:
    path, path_there = paths_of(one, other)
    place = last_common(path, path_there)
    one_in_other = path.step_after(place) is None or took_in(path_there, one)
    return one_in_other, path_there.step_after(place) is None or took_in(path, other)


def _is_at_the_state_of(older: State, newer: State) -> bool:
    """Tell whether a head that has another's last line has nothing new but metadata."""
    if older.last_id in newer.line_ids:
        since = newer.saves[newer.line_ids.index(older.last_id) :]
        return not any(save.messages or save.replace is not None for save in since)
    if (older.generation_id, older.count) != (newer.generation_id, newer.count):
        return False
    try:
        return all(_compare_paths(older, newer))
    except UndecidedError:
        # That it is not older is known from its lines, and enough.
        return False
