"""The index as it is kept for the next process: three lines.

The first has what tells whether the second still holds: which refs there are, each with its token. The second answers a
listing as long as they do. The third has the rows, which only the rest needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...backends.base import NO_TOKEN, Token
from ..notes import decode_note, encode_note
from .rows import KnownRef, Row, ViewRow

_VERSION = 10

Views = dict[tuple[str, ...], list[ViewRow]]
"""What groups of refs add up to, by their paths."""


class Kept(NamedTuple):
    """What the first two lines say, and the third one as it is.

    Attributes:
        horizon: from when on stamps were not believed when the answer and the views were made.
        marker: see `Backend.ref_identities`.
        tokens: of all refs, by path.
        answer: what `Index.keep_listing` was given; None for nothing.
    """

    horizon: str = ""
    marker: object = None
    tokens: Mapping[str, Token] = {}
    answer: bytes | None = None
    rest: bytes = b""


def encode(horizon: str, marker: object, rows: Mapping[str, Row], views: Views, answer: bytes | None) -> bytes:
    """Return the file."""
    # One that is not settled is good for no later comparison.
    tokens = [(row.token if row.token.settled else NO_TOKEN)[:3] for row in rows.values()]
    kept = [(paths, [_encode_view(each, rows) for each in view]) for paths, view in views.items()]
    # Columns, since a process that lists ten thousand sessions would otherwise begin with as many lists.
    first = encode_note([_VERSION, horizon, marker, list(rows), _columns(tokens)])
    rest = encode_note([_columns(row[2:] for row in rows.values()), kept])
    return b"\n".join((first, answer or b"", rest))


def decode(data: bytes | None) -> Kept:
    """Return what a file has, without decoding its rows; nothing for one that is missing, damaged or older."""
    try:
        first, answer, rest = (data or b"").split(b"\n")
        version, horizon, marker, paths, tokens = decode_note(first)
        if version != _VERSION:
            return Kept()
        by_path = dict(zip(paths, map(Token, *tokens), strict=True)) if paths else {}
    except (ValueError, TypeError):
        # The index is only a copy of what the refs say: those are read again.
        return Kept()
    return Kept(horizon, marker, by_path, answer or None, rest)


def decode_rest(kept: Kept) -> tuple[dict[str, Row], Views] | None:
    """Return the rows by path and the views; None where they are damaged."""
    if not kept.tokens:
        return {}, {}
    try:
        columns, views = decode_note(kept.rest)
        fields = zip(kept.tokens.items(), zip(*columns, strict=True), strict=True)
        rows = {
            path: Row(path, token, name, key, tuple(former), *more)
            for (path, token), (name, key, former, *more) in fields
        }
        return rows, {tuple(paths): [_decode_view(each, rows) for each in view] for paths, view in views}
    except (ValueError, TypeError, LookupError):
        return None


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _encode_view(view: ViewRow, rows: Mapping[str, Row]) -> tuple[object, ...]:
    label, row, *rest = view
    return label, row.path if rows.get(row.path) == row else row, *rest


def _decode_view(fields: list[Any], rows: Mapping[str, Row]) -> ViewRow:
    row = fields[1]
    fields[1] = rows[row] if isinstance(row, str) else _decode_row(row)
    view = ViewRow._make(fields)
    return view._replace(refs=tuple(KnownRef(*ref) for ref in view.refs), sides=tuple(view.sides))


def _decode_row(fields: list[Any]) -> Row:
    fields[1] = Token(*fields[1])
    fields[4] = tuple(fields[4])
    return Row._make(fields)
