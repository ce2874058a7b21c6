"""The common tree: what every format is read into, and the sessions that it is split into."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..format.jsonable import jsonable
from ..format.jsonl import encode_value

Message = dict[str, Any]


@dataclass(slots=True)
class Node:
    """A record of a source, with the messages that it became.

    Attributes:
        id: what the source calls it; unique in its tree.
        parent: the id of the record before it, None for a first one.
        messages: none for a record that is no message: its children go to the nearest record above that is one.
        rank: siblings come in this order, and those of the same rank in the order of the source.
    """

    id: str
    parent: str | None
    messages: list[Message]
    rank: int = 0


@dataclass(slots=True)
class MessageTree:
    """What a source calls a chat: messages with their parents.

    Attributes:
        id: what the source calls it, or what stands for that; with `format` and `account` its identity.
        project: the folder or project that it belongs to, the base name only.
        current: the id of the record that the source shows last, "" where it does not say.
        rest: what of the whole the messages do not have.
        notes: what was odd, for the report.
        raw: the hash of the bytes that it was read from, "" where these are not together.
        given: the sessions, of a source that has sessions rather than a tree.
    """

    format: str
    id: str
    title: str | None = None
    account: str = ""
    project: str = ""
    current: str = ""
    created: datetime | None = None
    updated: datetime | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    raw: str = ""
    given: list[Branch] = field(default_factory=list)

    def add(self, node: Node) -> Node:
        """Add a record; one whose id is there already counts once if it is equal, and else goes by ``id#2``."""
        number, known = 1, self.nodes.get(node.id)
        while known is not None:
            if (known.messages, known.parent) == (node.messages, node.parent):
                return known
            number += 1
            taken = f"{node.id.removesuffix(f'#{number - 1}')}#{number}"
            self.notes.append(f"id {node.id} stands for several messages: one of them is {taken} here")
            node.id, known = taken, self.nodes.get(taken)
        self.nodes[node.id] = node
        return node


@dataclass(slots=True)
class Tag:
    """A state that a session was at, and what its source calls that.

    Attributes:
        at: it has so many of the first messages of the session; `messages` come after these.
    """

    label: str
    at: int
    messages: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class Branch:
    """One session of a tree: messages that follow on those of another one.

    Attributes:
        id: "" for the session that the chat is known by; else the id of the first record below the fork.
        parent: the place, in the list of branches, of the one that it forked from; None for one that did not.
        at: how many messages it has from there.
        messages: its own; `ids` has, for each, the record that it is of.
        current: whether it ends with the record that the source shows last.
        title, metadata, created, updated: what the source says of this session alone.
        tags: names of states that it was at, the oldest first.
        lines: its messages as they are stored, where no hook changes them.
    """

    id: str
    parent: int | None
    at: int
    messages: list[Message] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    current: bool = False
    title: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    created: datetime | None = None
    updated: datetime | None = None
    tags: list[Tag] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    @property
    def length(self) -> int:
        """How many messages it has, with those of the one that it forked from."""
        return self.at + len(self.messages)


def identity(format_name: str, account: str, source_id: str) -> str:
    """Return 64 hexadecimal digits that stand for a chat of a source, on every machine and at any time."""
    return hashlib.sha256("\0".join((format_name, account, source_id)).encode(errors="replace")).hexdigest()


def made_id(parent: str | None, record: Any) -> str:
    """Return an id for a record that has none: it follows from the record and from what came before it."""
    line = encode_value(jsonable(record)[0], "")
    return hashlib.sha256((parent or "").encode(errors="replace") + b"\0" + line).hexdigest()[:32]


def branches(tree: MessageTree) -> list[Branch]:
    """Split a tree into sessions: one for each last message, and every message in exactly one of them.

    The first one goes from the first record to a last one, by the first child each time. So it stays the same when the
    tree grows, whatever the source shows last. Each other child begins a branch. A parent comes before its branches.

    No recursion: a tree may be as deep as it likes.
    """
    if tree.given:
        return tree.given
    roots, children, current = _kept(tree)
    found: list[Branch] = []
    pending: list[tuple[str, int | None, int]] = [(root, None, 0) for root in reversed(roots)]
    while pending:
        first, parent, at = pending.pop()
        branch = Branch(first if found else "", parent, at)
        place, forks = len(found), []
        found.append(branch)
        node: str | None = first
        while node is not None:
            messages = tree.nodes[node].messages
            branch.messages += messages
            branch.ids += [node] * len(messages)
            branch.current = node == current
            below = children.get(node, [])
            forks += [(other, place, at + len(branch.messages)) for other in below[1:]]
            node = below[0] if below else None
        pending += reversed(forks)
    return found


def _kept(tree: MessageTree) -> tuple[list[str], dict[str, list[str]], str | None]:
    """Return the first records that are messages, the children of each, and the one that the source shows last."""
    nodes = tree.nodes
    above = _parents(tree)
    kept: dict[str, str | None] = {}
    for name in nodes:
        # The nearest record above that is a message; what is met on the way has the same.
        way, parent = [name], above[name]
        while parent is not None and not nodes[parent].messages and parent not in kept:
            way.append(parent)
            parent = above[parent]
        if parent is not None and not nodes[parent].messages:
            parent = kept[parent]
        for each in way:
            kept[each] = parent
    roots: list[str] = []
    children: dict[str, list[str]] = {}
    for name in _in_order(nodes, above):
        if nodes[name].messages:
            parent = kept[name]
            (roots if parent is None else children.setdefault(parent, [])).append(name)
    if len(roots) > 1:
        tree.notes.append(f"{len(roots)} first messages: each begins a session")
    current: str | None = tree.current
    if current in nodes and not nodes[current].messages:
        current = kept[current]
    return roots, children, current


def _in_order(nodes: dict[str, Node], above: dict[str, str | None]) -> list[str]:
    """Return the records in the order of a walk through the tree, siblings by rank and then as the source has them."""
    children: dict[str | None, list[str]] = {}
    for name in nodes:
        children.setdefault(above[name], []).append(name)
    for siblings in children.values():
        siblings.sort(key=lambda name: nodes[name].rank)
    ordered: list[str] = []
    pending = children.get(None, [])[::-1]
    while pending:
        name = pending.pop()
        ordered.append(name)
        pending += reversed(children.get(name, []))
    return ordered


def _parents(tree: MessageTree) -> dict[str, str | None]:
    """Return the parent of each record, None where that is absent, or the record comes after itself."""
    nodes, above = tree.nodes, dict[str, str | None]()
    for name, node in nodes.items():
        above[name] = node.parent if node.parent in nodes else None
        if node.parent and above[name] is None:
            tree.notes.append(f"{name} comes after {node.parent}, which is not there: it is a first message here")
    done: set[str] = set()
    for name in nodes:
        way: dict[str, None] = {}
        at: str | None = name
        while at is not None and at not in done:
            if at in way:
                above[at] = None
                tree.notes.append(f"{at} comes after itself: it is a first message here")
                break
            way[at] = None
            at = above[at]
        done.update(way)
    return above
