"""Which session came from which, as values and as a drawing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Joint(NamedTuple):
    """Where a session took in messages of another one.

    Attributes:
        source: what that one was called then.
        at: how many messages the session showed after it.
        picked: single messages of it were picked; else all of it was merged.
    """

    source: str
    at: int
    picked: bool = False


class Known(NamedTuple):
    """What is known of a session, to find its place in a tree.

    Attributes:
        aliases: what it was called before, and what it is written under where it goes by a derived name.
    """

    name: str
    messages: int
    parent: str | None = None
    forked_at: int | None = None
    aliases: tuple[str, ...] = ()
    joints: tuple[Joint, ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """A session in a tree.

    Attributes:
        messages: how many it shows; forked_at: how many it took over from the one that it is a branch of.
        branches: its own branches, those that began latest first.
        joints: what was merged into it or picked, the latest first.
    """

    name: str
    messages: int
    forked_at: int | None
    branches: tuple[Branch, ...]
    joints: tuple[Joint, ...]

    def __iter__(self) -> Iterator[Branch]:
        """Yield the session and all that came from it."""
        pending = [self]
        while pending:
            each = pending.pop()
            yield each
            pending += reversed(each.branches)


@dataclass(frozen=True, slots=True)
class Tree:
    """All sessions, by which came from which; iterate over it for each of them.

    Attributes:
        roots: those that are no branch of one that is there, by name.
    """

    roots: tuple[Branch, ...]

    def __iter__(self) -> Iterator[Branch]:
        for root in self.roots:
            yield from root

    def with_branches(self, names: Iterable[str]) -> list[str]:
        """Return the names of sessions and of all that came from them, each once and after what it came from."""
        known = {each.name: [below.name for below in each] for each in self}
        given = list(dict.fromkeys(names))
        came = {name for each in given for name in known.get(each, ())[1:]}
        return list(dict.fromkeys(name for each in given if each not in came for name in known.get(each, (each,))))

    def __str__(self) -> str:
        """Draw it, the newest on top: a line for each session, fork, merge and pick."""
        return "\n\n".join("\n".join(_drawn(root)) for root in self.roots)


def tree_of(sessions: Iterable[Known]) -> Tree:
    """Put sessions into a tree. One whose parent is gone, or is its own branch, is a root."""
    sessions = sorted(sessions, key=lambda each: each.name)
    names = {alias: each.name for each in sessions for alias in reversed(each.aliases)}
    names |= {each.name: each.name for each in sessions}
    parents = {each.name: names.get(each.parent) if each.parent is not None else None for each in sessions}
    for name in parents:
        _break_circle(name, parents)
    children: dict[str | None, list[Known]] = {}
    for each in sessions:
        children.setdefault(parents[each.name], []).append(each)
    return Tree(tuple(_branch(each, children) for each in children.get(None, [])))


def _break_circle(name: str, parents: dict[str, str | None]) -> None:
    """Headers may say anything: make a session a root that came from itself."""
    passed = {name}
    at = parents[name]
    while at is not None:
        if at in passed:
            parents[name] = None
            return
        passed.add(at)
        at = parents[at]


def _branch(root: Known, children: dict[str | None, list[Known]]) -> Branch:
    # Not recursive: a session may be the thousandth branch of a branch.
    order, pending = [], [root]
    while pending:
        each = pending.pop()
        order.append(each)
        pending += children.get(each.name, [])
    made: dict[str, Branch] = {}
    for each in reversed(order):
        below = sorted(children.get(each.name, []), key=lambda child: (-(child.forked_at or 0), child.name))
        joints = tuple(sorted(each.joints, key=lambda joint: -joint.at))
        branches = tuple(made[child.name] for child in below)
        forked_at = None if each is root else each.forked_at
        made[each.name] = Branch(each.name, each.messages, forked_at, branches, joints)
    return made[root.name]


def _drawn(root: Branch) -> Iterator[str]:
    pending: list[tuple[str, Branch | str]] = [("", root)]
    while pending:
        before, item = pending.pop()
        if isinstance(item, str):
            yield f"{before}{item}"
            continue
        yield f"{before}* {item.name} ({_messages(item.messages)})"
        events: list[tuple[int, Sequence[tuple[str, Branch | str]]]] = []
        for child in item.branches:
            at = child.forked_at or 0
            fork = (f"{before}", f"|/  fork after {_messages(at)}")
            events.append((at, ((f"{before}| ", child), fork)))
        for joint in item.joints:
            how = "picked from" if joint.picked else "merged"
            events.append((joint.at, ((before, f"|\\  {how} {joint.source}, then {_messages(joint.at)}"),)))
        lines = [line for _, each in sorted(events, key=lambda event: -event[0]) for line in each]
        pending += reversed(lines)


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"
