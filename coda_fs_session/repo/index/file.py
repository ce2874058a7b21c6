"""The index as it is kept for the next process: a summary, and a part for each folder of refs.

The summary has what tells whether a folder is as it was, and which names are in its part. So a process reads the parts
of folders that changed, and of names that it looks for. The answer to a listing is a third kind of file, complete in
itself: the token of each ref, and what was told while the refs had those.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import accumulate, repeat
from typing import Any, NamedTuple
from zlib import crc32

from ...backends.base import NO_TOKEN, Token
from ..notes import decode_note, encode_note
from .rows import KnownRef, Row, ViewRow

_VERSION = 14

SUMMARY = "index"
LISTING = "index/listing"
NAMES = "index/names"

HASH_BYTES = 4

Paths = tuple[str, ...]


class View(NamedTuple):
    """What a group of refs adds up to, as long as they have these tokens."""

    tokens: tuple[Token, ...]
    rows: list[ViewRow]


Views = dict[Paths, View]
"""By the paths of the groups."""


class KeptPart(NamedTuple):
    """What the summary says of a part.

    Attributes:
        state: of the folder, as the rows were; see `Backend.ref_folders`.
        rows: how many there are.
        crc: of the file; 0 for no rows, which have none, None for what is not known.
        troubled: some of the refs cannot be used.
        hashes: of all names in it, `HASH_BYTES` each, as bytes.
    """

    state: object
    rows: int
    crc: int | None
    troubled: bool
    hashes: bytes | memoryview

    @property
    def is_empty(self) -> bool:
        return self.rows == 0 and self.crc == 0


NOT_KEPT = KeptPart(None, 0, None, False, b"")


class Summary(NamedTuple):
    """What is known of all parts, without reading one.

    Attributes:
        parts: by folder.
        hashes: those of all parts, one after the other.
        folders: those of the parts in this order; ends: of their hashes.
        troubled: the folders of parts in which some refs cannot be used.
        data: what it was read from.
    """

    parts: dict[str, KeptPart]
    hashes: bytes = b""
    folders: Sequence[str] = ()
    ends: Sequence[int] = ()
    troubled: Set[str] = frozenset()
    data: bytes | None = None

    def folders_of(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the folders whose parts may have one of these names."""
        for wanted in map(hash_of, names):
            place = -1
            while (place := self.hashes.find(wanted, place + 1)) >= 0:
                if place % HASH_BYTES == 0:
                    yield self.folders[bisect_right(self.ends, place)]


def topic_of(folder: str) -> str:
    """Return what the part of a folder is kept as."""
    return f"index/{hashlib.sha256(_encoded(folder)).hexdigest()[:16]}"


def hash_of(name: str) -> bytes:
    """Return what stands for a name in a summary: a few names in a billion share one."""
    return crc32(_encoded(name)).to_bytes(HASH_BYTES, "big")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def encode_summary(parts: Mapping[str, KeptPart]) -> bytes:
    """Return the summary of the parts by folder."""
    fields = [(folder, *part[:-1], len(part.hashes)) for folder, part in parts.items()]
    return encode_note([_VERSION, _columns(fields)]) + b"\n" + b"".join(part.hashes for part in parts.values())


def decode_summary(data: bytes | None) -> Summary:
    """Return what a summary says; nothing for one that is missing, damaged or older."""
    try:
        first, hashes = (data or b"").split(b"\n", 1)
        version, columns = decode_note(first)
        if version != _VERSION:
            return Summary({})
        parts = {}
        folders, *_, sizes = columns
        ends, end = list(accumulate(sizes)), 0
        # Most names are looked for in a few parts: the hashes of the others are not copied.
        view = memoryview(hashes)
        for folder, state, rows, crc, troubled, size in zip(*columns, strict=True):
            start, end = end, end + size
            parts[folder] = KeptPart(state, rows, crc, troubled, view[start:end])
    except (ValueError, TypeError):
        # The index is only a copy of what the refs say: those are read again.
        return Summary({})
    return Summary(parts, hashes, folders, ends, {folder for folder, part in parts.items() if part.troubled}, data)


def encode_part(horizon: str, rows: Mapping[str, Row], views: Views) -> bytes:
    """Return the rows of a folder, and the views that are kept with them.

    Args:
        horizon: from when on stamps were not believed when the views were made.
    """
    kept = [
        (paths, tokens, [_encode_view(each, rows) for each in view])
        for paths, (tokens, view) in views.items()
        if all(token.settled for token in tokens)
    ]
    # Columns, since a process would otherwise begin with as many lists as there are rows.
    tokens = _columns(_numbers(row.token) for row in rows.values())
    return encode_note([_VERSION, horizon, list(rows), tokens, _columns(row[2:] for row in rows.values()), kept])


def decode_part(data: bytes | None) -> tuple[str, dict[str, Row], Views] | None:
    """Return what `encode_part` was given; None for what is missing, damaged or older."""
    try:
        version, horizon, paths, tokens, columns, views = decode_note(data or b"")
        if version != _VERSION:
            return None
        rows: dict[str, Row] = {}
        if paths:
            names, keys, former, *more = columns
            all_former = [tuple(each) if each else () for each in former]
            # Not by the names of their fields, which takes twice as long.
            made = map(Token._make, zip(*tokens, repeat(0), strict=False))
            fields = zip(paths, made, names, keys, all_former, *more, strict=True)
            rows = dict(zip(paths, map(Row._make, fields), strict=True))
        found = {
            tuple(paths): View(tuple(Token(*token) for token in tokens), [_decode_view(each, rows) for each in view])
            for paths, tokens, view in views
        }
    except (ValueError, TypeError, LookupError):
        return None
    return horizon, rows, found


def encode_names(names: Mapping[str, tuple[int, str]]) -> bytes:
    """Return the names in each part by its folder: the CRC of the part, and the names with a newline before each."""
    return encode_note([_VERSION, _columns((folder, *each) for folder, each in names.items())])


def decode_names(data: bytes | None) -> dict[str, tuple[int, str]]:
    """Return what `encode_names` was given; nothing for what is missing, damaged or older."""
    try:
        version, columns = decode_note(data or b"")
        if version != _VERSION:
            return {}
        return {folder: (crc, text) for folder, crc, text in zip(*columns, strict=True)}
    except (ValueError, TypeError):
        return {}


def encode_listing(horizon: str, tokens: Mapping[str, Token], answer: bytes) -> bytes:
    """Return an answer, with the token of every ref that it was made of."""
    return encode_note([_VERSION, horizon, list(tokens), _columns(map(_numbers, tokens.values()))]) + b"\n" + answer


def decode_listing(data: bytes | None) -> tuple[str, dict[str, Token], bytes] | None:
    """Return what `encode_listing` was given; None for what is missing, damaged or older."""
    try:
        first, answer = (data or b"").split(b"\n", 1)
        version, horizon, paths, tokens = decode_note(first)
        if version != _VERSION:
            return None
        # Tuples that equal tokens: those take several times as long to make.
        found: Any = dict(zip(paths, zip(*tokens, repeat(0)), strict=True)) if paths else {}
    except (ValueError, TypeError):
        return None
    return horizon, found, answer


def _numbers(token: Token) -> tuple[int, int, int]:
    # One that is not settled is good for no later comparison.
    return (token if token.settled else NO_TOKEN)[:3]


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _encode_view(view: ViewRow, rows: Mapping[str, Row]) -> tuple[object, ...]:
    label, row, *rest = view
    known = rows.get(row.path)
    # What it shows of messages is that of the ref.
    return label, row.path if known is not None and known.plain() == row.plain() else row.plain(), *rest


def _decode_view(fields: list[Any], rows: Mapping[str, Row]) -> ViewRow:
    row = fields[1]
    fields[1] = rows[row] if isinstance(row, str) else _decode_row(row)
    view = ViewRow._make(fields)
    return view._replace(refs=tuple(KnownRef(*ref) for ref in view.refs), sides=tuple(view.sides))


def _decode_row(fields: list[Any]) -> Row:
    fields[1] = Token(*fields[1])
    fields[4] = tuple(fields[4])
    return Row._make(fields)
