"""The answer to a listing as the index keeps it, and what users are told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import repeat
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from ...session.info import Preview, SessionInfo
from ..index.rows import Row, ViewRow
from ..notes import decode_note

_COLUMNS: dict[str, Callable[[ViewRow], object]] = {
    "name": attrgetter("label"),
    "message_count": attrgetter("row.messages"),
    "created_at": lambda view: view.row.created or 0,
    "updated_at": lambda view: view.row.updated or 0,
    "metadata": lambda view: orjson.Fragment(view.row.metadata),
    "size_bytes": attrgetter("row.size"),
    "parent": attrgetter("row.parent"),
    "forked_at": attrgetter("row.forked_at"),
    "replica": lambda view: view.row.replica or None,
    "diverged_from": attrgetter("diverged_from"),
    "undecided": attrgetter("undecided"),
    "survived_delete": attrgetter("survived_delete"),
}
"""What is kept of every session, by the field of `SessionInfo` that it becomes. A field in no table has its default."""
_OF_FEW = ("sides", "diverged_at")
"""What is kept of the sessions that have some, called alike in both."""
_TIMES = ("created_at", "updated_at")
_NO_PREVIEW = Preview()

_EPOCH = datetime.fromtimestamp(0, UTC)
_EXACT = 2**52
"""Microseconds up to which seconds as a float are exact enough: the year 2112."""


class Answer(NamedTuple):
    """An answer to an earlier listing.

    Attributes:
        columns: what is known of every session, by the fields of `_COLUMNS`; few: of the sessions that have more.
        wide: the paths of each group of more than one ref.
    """

    columns: list[list[Any]]
    few: list[list[Any]]
    wide: list[list[str]]

    @classmethod
    def of(cls, answer: bytes) -> Answer:
        return cls(*decode_answer(answer), decode_note(answer.split(b"\n", 2)[1]))

    @property
    def names(self) -> list[str]:
        return self.columns[0]

    @property
    def updated(self) -> list[int]:
        return self.columns[list(_COLUMNS).index("updated_at")]


def encode_answer(views: Sequence[ViewRow]) -> bytes:
    """Return sessions as the index keeps them."""
    columns = [list(map(of, views)) for of in _COLUMNS.values()]
    few = [(number, *(getattr(view, name) for name in _OF_FEW)) for number, view in enumerate(views) if view.sides]
    return orjson.dumps([columns, few])


def decode_answer(answer: bytes) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return the columns of an answer, and the rows of what only few have."""
    end = answer.find(b"\n")
    columns, few = orjson.loads(answer if end < 0 else memoryview(answer)[:end])
    return columns, few


class Previews:
    """The previews of an answer, by the names of its sessions."""

    def __init__(self, names: Sequence[str], answer: bytes) -> None:
        self._names = names
        self._answer = answer

    def __call__(self, name: str) -> Preview:
        line = self._lines.get(name)
        return Preview() if line is None else Preview(*decode_note(line))

    @cached_property
    def _lines(self) -> dict[str, bytes]:
        return dict(zip(self._names, self._answer.split(b"\n")[2:], strict=True))


def preview_of(row: Row) -> Preview:
    return Preview(row.first, row.last, row.role)


def infos_of(
    columns: list[list[Any]], few: list[list[Any]], previews: Previews | Preview = _NO_PREVIEW
) -> list[SessionInfo]:
    """Return sessions whose metadata is the caller's own."""
    known: dict[str, Iterable[Any]] = dict(zip(_COLUMNS, columns, strict=True), preview=repeat(previews))
    known |= {name: map(local_moment, known[name]) for name in _TIMES}
    # By place: by name, a long list takes twice as long.
    infos = list(map(SessionInfo, *(known.get(each.name, repeat(each.default)) for each in fields(SessionInfo))))
    for number, sides, diverged_at in few:
        infos[number].sides, infos[number].diverged_at = tuple(sides), diverged_at
    return infos


def local_moment(microseconds: int) -> datetime:
    """Return a moment, counted from 1970-01-01 UTC, as naive local time."""
    if abs(microseconds) < _EXACT:
        return datetime.fromtimestamp(microseconds / 1_000_000)
    return (_EPOCH + timedelta(microseconds=microseconds)).astimezone().replace(tzinfo=None)
