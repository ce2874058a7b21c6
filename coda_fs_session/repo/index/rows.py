"""What the index knows of each ref, and of what several refs add up to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from ...backends.base import Token
from ...format.names import identity_of, session_key
from ...format.records import Base, Parent, decode_time
from ..content.state import State

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


class Row(NamedTuple):
    """What the index knows of one ref.

    Attributes:
        name: the session's name; of a ref whose header cannot be read, the key in its file name.
        key: what tells the name's file key from others; see `format.names.identity_of`.
        created, updated: microseconds since 1970-01-01 UTC; None for a ref that cannot be read.
        metadata: JSON text.
        problem: why the ref cannot be used, "" for a good one; `readable` tells whether its header is good.
        differs: this machine's record of the ref differs from it.
        objects: JSON text of the levels of its list, the chunks first, and of its tail as one chunk more, each object
            as id, messages and bytes; "" for none.
        first, last, role: see `session.info.Preview`; is_previewed: that is all there is to find out about them.
    """

    path: str
    token: Token
    name: str
    key: str
    former_names: tuple[str, ...] = ()
    replica: str = ""
    messages: int = 0
    size: int = 0
    created: int | None = None
    updated: int | None = None
    metadata: str = "{}"
    parent: str | None = None
    forked_at: int | None = None
    deleted: bool = False
    problem: str = ""
    readable: bool = True
    differs: bool = False
    objects: str = ""
    first: str | None = None
    last: str | None = None
    role: str | None = None
    is_previewed: bool = False

    def plain(self) -> Row:
        """Return the row without its preview."""
        return self.showing(None, None, None, False)

    def showing(self, *preview: str | bool | None) -> Row:
        """Return the row with another preview: the last four fields. By their names it takes ten times as long."""
        return Row._make((*self[:-4], *preview))


class KnownRef(NamedTuple):
    """A ref as it was when it was found out what it covers, or what covers it.

    Attributes:
        line: the id of its last line.
        merged: its metadata counts; same: it is at the state of the head.
    """

    path: str
    line: str
    merged: bool = False
    same: bool = False


class ViewRow(NamedTuple):
    """One session, or tombstone, of what several refs add up to; see `repo.ancestry.shown.Shown`.

    Attributes:
        row: of its head, with the metadata of refs that it covers.
        refs: the head and what it covers; empty where that was not asked, since there is nothing else of the name.
        sides, diverged_at: see `repo.ancestry.sides.Sides`.
    """

    label: str
    row: Row
    diverged_from: str | None = None
    undecided: bool = False
    survived_delete: bool = False
    refs: tuple[KnownRef, ...] = ()
    sides: tuple[str, ...] = ()
    diverged_at: int | None = None


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Return rows in the order in which what they add up to is kept."""
    return sorted(rows, key=lambda row: row.path)


def row_of(head: State) -> Row:
    """Return what the index keeps of a head."""
    header = head.header
    parent: Parent | None = header.parent
    values = b",".join([orjson.dumps(key) + b":" + value for key, value in head.values().items()])
    return Row(
        path=head.key.path,
        token=head.token,
        name=header.name,
        key=identity_of(session_key(header.name)),
        former_names=header.former_names,
        replica=header.replica,
        messages=head.live_count,
        size=head.live_bytes,
        created=(decode_time(header.created) - _EPOCH) // _MICROSECOND,
        updated=(decode_time(head.updated) - _EPOCH) // _MICROSECOND,
        metadata=(b"{%b}" % values).decode(),
        parent=parent.name if parent else None,
        forked_at=parent.messages if parent else None,
        deleted=head.deleted,
        problem=str(head.damage) if head.damage else "",
        objects=_objects(header.base),
    )


def _objects(base: Base) -> str:
    if not base.spine.levels and base.tail is None:
        return ""
    levels = [[entry[:3] for entry in level] for level in base.spine.levels] or [[]]
    if base.tail is not None:
        levels[0].append((base.tail.id, base.tail.messages, base.tail.bytes))
    return orjson.dumps(levels).decode()
