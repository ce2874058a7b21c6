"""What merging must do, in plain Python: states with what is behind them, and lists of messages by message.

Written from the rules, and sharing no code with the engine. The names of states are the engine's: what two machines
do to one state must have one name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Text = tuple[str, int]
"""A message: its text, and how often the text came before it."""

Id = tuple[str, int, str]


def by_message(texts: Iterable[str]) -> tuple[Text, ...]:
    seen: dict[str, int] = {}
    found = []
    for text in texts:
        found.append((text, seen.get(text, 0)))
        seen[text] = seen.get(text, 0) + 1
    return tuple(found)


@dataclass(eq=False)
class Node:
    """One state.

    Attributes:
        step: what led here from `parent`.
        took: the states that a merge took in; to: where an undo or a part goes.
        behind: the names of all states that it has behind it, itself included.
    """

    id: Id
    parent: Node | None
    step: str
    name: str
    texts: tuple[str, ...] = ()
    took: tuple[Node, ...] = ()
    to: Node | None = None
    former_names: tuple[str, ...] = ()
    behind: frozenset[Id] = field(init=False)

    def __post_init__(self) -> None:
        before = [self.parent, *self.took]
        self.behind = frozenset([self.id]).union(*(each.behind for each in before if each is not None))

    @property
    def deleted(self) -> bool:
        return self.step == "delete"

    def goes_over_merge(self) -> bool:
        """Tell whether the step took back a merge, or set a side apart after that."""
        if self.step == "part":
            return True
        at = self.parent if self.step == "undo" else None
        while at is not None and at is not self.to:
            if at.step == "merge":
                return True
            at = at.to if at.step == "undo" else at.parent
        return False

    def known(self) -> dict[Id, Node]:
        """Return the states whose content counts as taken in."""
        before = self.to if self.goes_over_merge() else self.parent
        known = dict(before.known()) if before is not None else {}
        for each in self.took:
            known |= each.known()
        return known | {self.id: self}


def covers(node: Node, other: Node) -> bool:
    """Tell whether to show `node` alone loses nothing of `other`, without regard to third ones."""
    if other.name == node.name:
        return other.id in node.behind
    return other.name in node.former_names and other.id in node.behind and other.id != node.id


def newest(nodes: Iterable[Node]) -> list[Node]:
    """Return the states that are left where each that another one covers is left out, tombstones too."""
    distinct = list({(node.name, node.id): node for node in nodes}.values())
    reach = {id(node): {id(other) for other in distinct if covers(node, other)} for node in distinct}
    for through in distinct:
        for node in distinct:
            if id(through) in reach[id(node)]:
                reach[id(node)] |= reach[id(through)]
    return [
        node
        for node in distinct
        if not any(id(node) in reach[id(other)] and id(other) not in reach[id(node)] for other in distinct)
    ]


def base_of(one: Node, other: Node) -> Node | None:
    """Return the last state that both know; of several that with the smallest name."""
    known, known_there = one.known(), other.known()
    both = [node for name, node in known.items() if name in known_there]
    top = [node for node in both if not any(each is not node and node.id in each.known() for each in both)]
    return min(top, key=lambda node: node.id, default=None)


def merged(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str], strategy: str) -> tuple[str, ...]:
    """Merge two lists by message."""
    known, left, right = by_message(base), by_message(ours), by_message(theirs)
    stays = [text for text in left if text in right]
    found: list[Text] = []
    for place in [None, *stays]:
        if place is not None:
            found.append(place)
        sides = [_added(side, place, stays, known) for side in (left, right)]
        if all(sides) and strategy in ("ours", "theirs"):
            found += sides[strategy == "theirs"]
        else:
            found += sides[0] + sides[1]
    return tuple(text for text, _ in found)


def _added(side: Sequence[Text], place: Text | None, stays: list[Text], known: Sequence[Text]) -> list[Text]:
    start = side.index(place) + 1 if place is not None else 0
    added = []
    for text in side[start:]:
        if text in stays:
            break
        if text not in known:
            added.append(text)
    return added
