"""Sessions whose messages are in objects that are lost: which messages, and going on without them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial

from ...backends.base import RefKey
from ...errors import StoreError
from ...format.ids import ObjectId
from ...format.names import origins, session_key
from ...format.records import Base
from ...format.tree import Entry
from ..content.messages import Draft
from ..content.state import State
from ..lookup.names import resolve
from ..repository import Repository
from ..reverts.put_back import retried
from ..writing.refs import Content, hide
from ..writing.step import step
from .check import Check
from .report import Lost

_Nodes = dict[ObjectId, list[Entry]]


def losses(repo: Repository, check: Check) -> Iterator[Lost]:
    """Yield what each session lacks, as it is shown now; reads no message."""
    lost, nodes = check.lost, check.reach.nodes
    affected: dict[str, list[RefKey]] = {}
    for key, header in check.headers.items():
        if any(_lost_in(header.base, nodes, lost)):
            affected.setdefault(header.name, []).append(key)
    told: set[str] = set()
    for name, keys in affected.items():
        for label, head in _sessions(repo, name, keys):
            places = tuple(_live(_lost_in(head.header.base, nodes, lost), head.start))
            if places and head.key.path not in told:
                told.add(head.key.path)
                why = "nothing here has them any more; load_session(partial=True) shows the others"
                yield Lost(label, repo.backend.locate(head.key), places, why)


def let_go(repo: Repository, loss: Lost, check: Check) -> Lost:
    """Let a session go on without what is lost, as an edit of it; the state before stays in its history."""
    try:
        done = retried(repo, partial(_let_go, repo, loss.session, check))
    except StoreError as error:
        return replace(loss, why=f"it cannot go on without them: {error}")
    return replace(loss, why="the session goes on without them") if done else loss


def _let_go(repo: Repository, name: str, check: Check) -> bool:
    with repo.lock(*map(session_key, origins(name))):
        found = resolve(repo, name)
        head = found.head
        if head is None:
            return False
        gone = list(_lost_in(head.header.base, check.reach.nodes, check.lost))
        draft, hidden, hidden_bytes = Draft(repo.objects, repo.sizes), 0, 0
        for kept in _between(gone, head.count):
            for place, line in enumerate(head.messages.read(kept.start, kept.stop), kept.start):
                draft.extend([line])
                if place < head.start:
                    hidden, hidden_bytes = hidden + 1, hidden_bytes + len(line) + 1
        draft.finish()
        base, lines = hide(draft, hidden, hidden_bytes)
        content = Content(replace(base, metadata=head.metadata, tags=head.tags), lines)
        now = repo.now()
        step(repo, head, "edit", content, found.own, now=now, header=replace(head.header, updated=head.updated))
        return True


def _sessions(repo: Repository, name: str, keys: Collection[RefKey]) -> Iterator[tuple[str, State]]:
    """Yield the sessions of a name; where that cannot be looked up, what its refs say."""
    try:
        found = resolve(repo, name)
        yield from ((shown.label, shown.head) for shown in found.sides)
    except StoreError:
        for key, _ in repo.backend.refs():
            if key in keys:
                yield name, repo.read(key)


def _lost_in(base: Base, nodes: _Nodes, lost: Collection[ObjectId]) -> Iterator[range]:
    """Yield the places of messages whose objects are lost, hidden ones counted."""
    position = 0

    def over(entry: Entry, height: int) -> Iterator[range]:
        nonlocal position
        below = nodes.get(entry.id) if height else None
        if entry.id in lost or (height and below is None):
            yield range(position, position + entry.messages)
            position += entry.messages
        elif below is None:
            position += entry.messages
        else:
            for each in below:
                yield from over(each, height - 1)

    for height, entry in base.spine.entries():
        yield from over(entry, height)
    if base.tail is not None and base.tail.id in lost:
        yield range(base.spine.messages, base.messages)


def _live(places: Iterator[range], start: int) -> Iterator[range]:
    last: range | None = None
    for each in places:
        each = range(max(each.start - start, 0), each.stop - start)
        if each.stop <= 0:
            continue
        if last is not None and last.stop == each.start:
            last = range(last.start, each.stop)
            continue
        if last is not None:
            yield last
        last = each
    if last is not None:
        yield last


def _between(gone: list[range], count: int) -> Iterator[range]:
    """Yield the places that are not gone."""
    position = 0
    for each in gone:
        if position < each.start:
            yield range(position, each.start)
        position = each.stop
    if position < count:
        yield range(position, count)
