"""Refs as rows: a row for its token, one for each of its lines, and one for people in the table `sessions`.

Each function is one part of a transaction that its caller begins and ends.
"""

from __future__ import annotations

import hashlib
import io
import re
import sqlite3
from collections.abc import Iterable, Sequence

from ..base import RefKey, RefRefusedError, Token
from .schema import new_number
from .sessions import describe, growth, merged

_MARK_BYTES = 7
NO_PATH = "?"
"""The folder in which refs are listed whose paths are none."""
_ROW = re.compile(r"\?/row-(-?[0-9]{1,18})\.jsonl\Z")

READ_REF = """
SELECT refs.version, refs.size, refs.mark, ref_lines.data FROM refs LEFT JOIN ref_lines ON ref_lines.ref = refs.id
WHERE refs.path = :path ORDER BY ref_lines.position
"""
FIND_REF = "SELECT id FROM refs WHERE path = :path"
HAS_NUMBER = "SELECT id FROM refs WHERE id = :number"
HAS_BELOW = "SELECT 1 FROM refs WHERE path > :start AND path < :end LIMIT 1"
COUNT_BELOW = "SELECT count(*) FROM (SELECT 1 FROM refs WHERE path > :start AND path < :end LIMIT :most)"
LIST_REFS = "SELECT id, path, version, size, mark FROM refs"
FIND_TOKEN = "SELECT version, size, mark FROM refs WHERE path = :path"
_CREATE = """
INSERT INTO refs (path, version, size, mark) VALUES (:path, :version, :size, :mark)
ON CONFLICT DO NOTHING RETURNING id
"""
_CHANGE = """
UPDATE refs SET version = :version, size = :size, mark = :mark
WHERE path = :key AND version = :old_version AND size = :old_size AND mark = :old_mark RETURNING id
"""
_ADD_LINE = "INSERT INTO ref_lines (ref, position, data) VALUES (:ref, :position, :data)"
_REMOVE_LINES = "DELETE FROM ref_lines WHERE ref = :of"
_LINES = "SELECT data FROM ref_lines WHERE ref = :of ORDER BY position"
_END = """
SELECT refs.version, refs.size, refs.mark, ref_lines.data FROM refs JOIN ref_lines ON ref_lines.ref = refs.id
WHERE refs.path = :path ORDER BY ref_lines.position DESC
"""
"""The last line comes first."""

_ALL_LINES = "SELECT data FROM ref_lines WHERE ref = (SELECT id FROM refs WHERE path = :path) ORDER BY position"
_NOTE_CHANGE = "UPDATE store SET changed = :now"
_NOTE_FOLDER = """
INSERT INTO folders SELECT folder, :now FROM refs WHERE id = :of
ON CONFLICT DO UPDATE SET changed = excluded.changed
"""

_GROW = """
UPDATE sessions SET messages = messages + :more_messages, bytes = bytes + :more_bytes, updated = :now, line = :last
WHERE ref = :of AND line = :previous
"""
_METADATA = "SELECT metadata FROM sessions WHERE ref = :of AND line = :previous"
_SET_METADATA = "UPDATE sessions SET metadata = :changed WHERE ref = :of"
_SET_ROW = """
INSERT OR REPLACE INTO sessions
(ref, name, replica, messages, bytes, created, updated, metadata, parent, forked_at, deleted, line) VALUES
(:ref, :name, :replica, :messages, :bytes, :created, :updated, :metadata, :parent, :forked_at, :deleted, :line)
"""
_REMOVE_ROW = "DELETE FROM sessions WHERE ref = :of"


def create(connection: sqlite3.Connection, path: str, data: bytes) -> Token | None:
    """Write a new ref and return its token; None where the path is not free."""
    token = _new_token(data)
    found = connection.execute(_CREATE, {"path": path, **_fields(token)}).fetchall()
    if not found:
        return None
    _fill(connection, found[0][0], data)
    return token


def append(connection: sqlite3.Connection, key: RefKey, expected: Token, data: bytes) -> Token:
    """Add lines to a ref, if it still has the expected token, and return the new one."""
    version, size, mark, _ = expected
    token = Token(version, size + len(data), mark_of(_lines(data), mark))
    ref = _change(connection, key, expected, token)
    _add_lines(connection, ref, size, data)
    _grow_row(connection, ref, data)
    return token


def replace(connection: sqlite3.Connection, key: RefKey, expected: Token, data: bytes) -> Token:
    """Write a ref anew, if it still has the expected token, and return the new one."""
    token = _new_token(data)
    ref = _change(connection, key, expected, token)
    connection.execute(_REMOVE_LINES, {"of": ref})
    _fill(connection, ref, data)
    return token


def joined(lines: Sequence[object]) -> bytes | None:
    """Return the bytes of a ref; None where a line is no bytes, which nobody of ours has written."""
    kept = [line for line in lines if isinstance(line, bytes)]
    return b"".join(kept) if len(kept) == len(lines) else None


def read_all(connection: sqlite3.Connection, path: str) -> bytes:
    """Return the bytes of a ref; those of a damaged one are left out."""
    return joined([line for (line,) in connection.execute(_ALL_LINES, {"path": as_text(path)})]) or b""


def read_end(connection: sqlite3.Connection, path: str, length: int) -> tuple[Token, bytes] | None:
    """Return the token of a ref and its last bytes, as many as there are of `length`; None where it has none."""
    found = connection.execute(_END, {"path": as_text(path)}).fetchone()
    if found is None:
        return None
    *token, last = found
    if not isinstance(last, bytes) or len(last) < length:
        last = read_all(connection, path)
    return token_of(*token), last[-length:]


def mark_of(lines: Iterable[bytes], mark: int = 0) -> int:
    """Return a hash of all lines of a ref, from that of those before: a restored backup has no new version."""
    for line in lines:
        digest = hashlib.sha256(mark.to_bytes(_MARK_BYTES) + line).digest()
        mark = int.from_bytes(digest[:_MARK_BYTES])
    return mark


def below(folder: str) -> dict[str, str]:
    """Return between which texts the paths in a folder come."""
    return {"start": f"{folder}/", "end": f"{folder}{chr(ord('/') + 1)}"}


def path_of(number: int, path: object) -> str:
    """Return the path of a row, as it is listed; one that is no path of a ref goes by the number of its row."""
    good = isinstance(path, str) and "\0" not in path and as_text(path)
    return good or f"{NO_PATH}/row-{number}.jsonl"


def row_without_path(path: str) -> int | None:
    """Return the number of the row that `path_of` made a path for; None for any other path."""
    match = _ROW.match(path)
    return int(match[1]) if match else None


def token_of(version: object, size: object, mark: object) -> Token:
    """Return the token of a row; of one with something else than numbers, one that no good row has."""
    return Token(number_of(version), number_of(size), number_of(mark))


def number_of(value: object) -> int:
    """Return a number of a row; -1, which no good row has, for something else."""
    return value if type(value) is int else -1


def as_text(path: str) -> str:
    """Return a path, or nothing for one that is no text: the names of files may be any bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return ""
    return path


def _change(connection: sqlite3.Connection, key: RefKey, expected: Token, token: Token) -> int:
    """Give a ref another token, if it still has the expected one, and return its number."""
    version, size, mark, _ = expected
    old = {"key": as_text(key.path), "old_version": version, "old_size": size, "old_mark": mark}
    found = connection.execute(_CHANGE, {**old, **_fields(token)}).fetchall()
    if not found:
        raise RefRefusedError(key)
    return int(found[0][0])


def _new_token(data: bytes) -> Token:
    return Token(new_number(), len(data), mark_of(_lines(data)))


def _fields(token: Token) -> dict[str, int]:
    return {"version": token.identity, "size": token.size, "mark": token.stamp}


def _lines(data: bytes) -> Iterable[bytes]:
    """Return what is kept in a row each: lines with their newlines."""
    return io.BytesIO(data)


def _fill(connection: sqlite3.Connection, ref: int, data: bytes) -> None:
    """Write the bytes of a ref that has none."""
    _add_lines(connection, ref, 0, data)
    _describe(connection, ref, data)
    now = new_number()
    connection.execute(_NOTE_CHANGE, {"now": now})
    connection.execute(_NOTE_FOLDER, {"now": now, "of": ref})


def _add_lines(connection: sqlite3.Connection, ref: int, position: int, data: bytes) -> None:
    for line in _lines(data):
        connection.execute(_ADD_LINE, {"ref": ref, "position": position, "data": line})
        position += len(line)


def _grow_row(connection: sqlite3.Connection, ref: int, data: bytes) -> None:
    """Bring the row of a session up to date with lines that were appended."""
    grown = growth(data)
    if grown is not None:
        where = {"of": ref, "previous": grown.previous}
        metadata = connection.execute(_METADATA, where).fetchone() if grown.metadata else None
        more = {"more_messages": grown.messages, "more_bytes": grown.size, "now": grown.updated, "last": grown.line}
        if connection.execute(_GROW, {**where, **more}).rowcount:
            changed = merged(metadata[0], grown.metadata) if metadata is not None else None
            if changed is not None:
                connection.execute(_SET_METADATA, {"of": ref, "changed": changed})
            if changed is not None or metadata is None:
                return
    _describe(connection, ref, joined([line for (line,) in connection.execute(_LINES, {"of": ref})]) or b"")


def _describe(connection: sqlite3.Connection, ref: int, data: bytes) -> None:
    row = describe(data)
    if row is None:
        connection.execute(_REMOVE_ROW, {"of": ref})
    else:
        connection.execute(_SET_ROW, {"ref": ref, **row})
