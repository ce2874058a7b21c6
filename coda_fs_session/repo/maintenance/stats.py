"""Totals over all sessions of a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from ...errors import StoreError
from ...format.tree import Entry
from ...session.session import SessionInfo
from ...storage import StoreStats
from ..content.state import State
from ..lookup.names import resolve
from ..repository import Repository


def stats(repo: Repository, listed: Sequence[SessionInfo]) -> StoreStats:
    """Return totals over the sessions that are listed, and the real use of the disk."""
    infos = [info for info in listed if info.error is None]
    heads = [head for info in infos if (head := resolve(repo, info.name).head) is not None]
    uses: Counter[tuple[str, int]] = Counter()
    for head in heads:
        # Totals do not need every list node; loading says what is wrong with a session.
        with suppress(StoreError):
            uses.update(_message_objects(head))
    stored = [size for _, size in repo.backend.objects()]
    of_refs = sum(repo.backend.ref_sizes())
    return StoreStats(
        sessions=len(infos),
        messages=sum(info.message_count for info in infos),
        logical_bytes=sum(info.size_bytes for info in infos),
        stored_bytes=sum(stored) + of_refs,
        objects=len(stored),
        shared_bytes=sum((count - 1) * size for (_, size), count in uses.items()),
    )


def _message_objects(head: State) -> Counter[tuple[str, int]]:
    """Count how often each object, with its size, is used for a session's messages."""
    # A level at a time, and a node once however often it is named: a small store can say that it has any number.
    nodes: Counter[Entry] = Counter()
    for level in reversed(head.header.base.spine.levels):
        below: Counter[Entry] = Counter()
        for node, count in nodes.items():
            for entry in head.messages.objects.node(node):
                below[entry] += count
        below.update(level)
        nodes = below
    found: Counter[tuple[str, int]] = Counter({(entry.id, entry.bytes): count for entry, count in nodes.items()})
    tail = head.header.base.tail
    if tail is not None:
        found[tail.id, tail.bytes] += 1
    return found
