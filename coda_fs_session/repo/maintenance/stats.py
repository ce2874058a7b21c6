"""Totals over all sessions of a store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress

import orjson

from ...errors import StoreError
from ...format.ids import ObjectId
from ...format.tree import Entry
from ...storage import StoreStats
from ..lookup.listing import good_rows
from ..repository import Repository

Object = tuple[str, int, int]
"""Id, messages and bytes of what an object holds."""


def stats(repo: Repository) -> StoreStats:
    """Return totals over the sessions that are listed without an error, and the real use of the disk.

    As a list does it reads only refs that changed since the index was kept; and those list nodes that only nodes name.
    """
    # First: what is held back to be written together is written before objects are listed.
    stored = [size for _, size in repo.backend.objects()]
    every = repo.index.rows()
    rows = good_rows(repo, every)
    repo.index.keep()
    return StoreStats(
        sessions=len(rows),
        messages=sum(row.messages for row in rows),
        logical_bytes=sum(row.size for row in rows),
        stored_bytes=sum(stored) + sum(row.token.size for row in every),
        objects=len(stored),
        shared_bytes=sum(
            (count - 1) * size for (_, _, size), count in _uses(repo, [row.objects for row in rows]).items()
        ),
    )


def _uses(repo: Repository, objects: Iterable[str]) -> Counter[Object]:
    """Count how often each chunk, or what is used of a tail, is used for sessions that have these `Row.objects`."""
    levels: defaultdict[int, Counter[Object]] = defaultdict(Counter)
    for each in filter(None, objects):
        for height, level in enumerate(orjson.loads(each)):
            levels[height].update(map(tuple, level))
    # A level at a time, and a node once however often it is named: a small store can say that it has any number.
    for height in range(max(levels, default=0), 0, -1):
        for (identity, messages, size), count in levels[height].items():
            # Totals do not need every list node; loading says what is wrong with a session.
            with suppress(StoreError):
                for entry in repo.objects.node(Entry(ObjectId(identity), messages, size)):
                    levels[height - 1][entry[:3]] += count
    return levels[0]
