"""Rows of the table `sessions`: what a ref says of its session, for people who ask with SQL.

Read from the bytes of the ref, so that a row is right whoever wrote them: a save, a sync, or a later version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from ...errors import StoreError
from ...format.records import Metadata, Stamped
from ...format.refs import Save, parse_ref, parse_saves, previous_of


class Growth(NamedTuple):
    """What lines add to the row of their ref.

    Attributes:
        previous: the id of the line that they follow; line: that of the last of them.
        size: of the messages, in bytes.
    """

    previous: str
    line: str
    messages: int
    size: int
    updated: str
    metadata: dict[str, Stamped]


def describe(data: bytes) -> dict[str, Any] | None:
    """Return the row of a ref, None for bytes that are no ref; of a damaged one, what is intact."""
    try:
        ref = parse_ref(data, "")
    except StoreError:
        return None
    header = ref.header
    base = header.base
    sizes: list[int] = []
    metadata, updated, line = dict(base.metadata), header.updated, ref.line_ids[0]
    for save, line_id in zip(ref.saves, ref.line_ids[1:], strict=True):
        if save.replace is not None:
            if not 0 <= save.replace - base.messages <= len(sizes):
                break
            del sizes[save.replace - base.messages :]
        sizes += _sizes(save)
        metadata |= save.metadata
        updated, line = save.time, line_id
    return {
        "name": header.name,
        "replica": header.replica,
        "messages": base.messages - base.start + len(sizes),
        "bytes": base.bytes - base.start_bytes + sum(sizes),
        "created": header.created,
        "updated": updated,
        "metadata": encoded(metadata),
        "parent": header.parent.name if header.parent else None,
        "forked_at": header.parent.messages if header.parent else None,
        "deleted": int(header.deleted),
        "line": line,
    }


def growth(data: bytes) -> Growth | None:
    """Return what appended lines add, None where that takes the rest of the ref to tell."""
    previous = previous_of(data)
    saves, ids, rest = parse_saves(data, previous, "", offset=0, first_line=1)
    if rest.rest or not saves or any(save.replace is not None for save in saves):
        return None
    sizes = [size for save in saves for size in _sizes(save)]
    metadata: dict[str, Stamped] = {}
    for save in saves:
        metadata |= save.metadata
    return Growth(previous, ids[-1], len(sizes), sum(sizes), saves[-1].time, metadata)


def merged(row: str, changes: Metadata) -> str | None:
    """Return a row's metadata with changes in it; None where somebody has put something else there."""
    try:
        values = {key: orjson.dumps(value) for key, value in orjson.loads(row).items()}
    except (ValueError, TypeError, AttributeError):
        return None
    return _joined({**values, **{key: item.value for key, item in changes.items()}}.items())


def encoded(metadata: Metadata) -> str:
    """Return metadata as JSON, without stamps and removed keys."""
    return _joined((key, item.value) for key, item in metadata.items())


def _joined(values: Any) -> str:
    return (b"{%b}" % b",".join(_members(values))).decode()


def _members(values: Any) -> Iterator[bytes]:
    for key, value in values:
        if value is not None:
            yield orjson.dumps(key) + b":" + value


def _sizes(save: Save) -> Sequence[int]:
    return [len(message) + 1 for message in save.messages]
