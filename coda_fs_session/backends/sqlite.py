"""The SQLite backend: a store in one database, `sessions.db` in the folder that is the store.

Every verb is one transaction, durable when it returns. Inside `hold` objects are the exception: they are committed
with the ref that names them, so that a save is one transaction also where it makes objects.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Select, UpdateBase, bindparam, case, func, literal_column, select
from sqlalchemy.dialects.sqlite import dialect, insert

from ..errors import CorruptionError, ObjectNotYetHereError, StoreError
from ._compression import compress, decompress, largest_frame
from ._files import Files
from ._sqlite_database import Database
from ._sqlite_schema import new_number, objects, ref_lines, refs, sessions, store
from ._sqlite_sessions import describe, growth, merged
from .base import (
    Backend,
    Capabilities,
    NewObject,
    Place,
    RefChangedError,
    RefKey,
    RefTakenError,
    Snapshot,
    Token,
)

PATIENCE_SECONDS = 60.0
_BYTES_AT_ONCE = 16 * 1024 * 1024
_GROUP_DIGITS = 2
_TAG_DIGITS = 10
_PLAIN, _ZSTD = "plain", "zstd"
_MARK_BYTES = 7

_TOKEN = (refs.c.version, refs.c.size, refs.c.mark)

_READ_REF = (
    select(*_TOKEN, ref_lines.c.data)
    .select_from(refs.outerjoin(ref_lines, ref_lines.c.ref == refs.c.id))
    .where(refs.c.path == bindparam("path"))
    .order_by(ref_lines.c.position)
)
_LIST_REFS = select(refs.c.path, *_TOKEN)
_IDENTITIES = select(refs.c.path, refs.c.version)
_CREATE_REF = insert(refs).on_conflict_do_nothing().returning(refs.c.id)
_CHANGE_REF = (
    refs.update()
    .where(
        refs.c.path == bindparam("key"),
        refs.c.version == bindparam("old_version"),
        refs.c.size == bindparam("old_size"),
        refs.c.mark == bindparam("old_mark"),
    )
    .values(version=bindparam("version"), size=bindparam("size"), mark=bindparam("mark"))
    .returning(refs.c.id)
)
_ADD_LINES = ref_lines.insert()
_REMOVE_LINES = ref_lines.delete().where(ref_lines.c.ref == bindparam("of"))
_LINES = select(ref_lines.c.data).where(ref_lines.c.ref == bindparam("of")).order_by(ref_lines.c.position)

_STORE = select(store.c.id, store.c.changed)
_NOTE_CHANGE = store.update().values(changed=bindparam("now"))

_SIZE = func.length(objects.c.data)
_READ_OBJECT = select(
    objects.c.form, _SIZE, case((_SIZE <= bindparam("limit"), objects.c.data), else_=None).label("data")
).where(objects.c.id == bindparam("key"))
_PUT_OBJECT = insert(objects).prefix_with("OR REPLACE")
_OBJECTS = select(objects.c.id, _SIZE)
_GROUP = func.substr(objects.c.id, 1, _GROUP_DIGITS)
_GROUPS = select(_GROUP, func.count(), func.sum(objects.c.tag)).group_by(literal_column("1"))
_IDS = select(objects.c.id).where(objects.c.id >= bindparam("first"), objects.c.id < bindparam("after"))

_OF_REF = sessions.c.ref == bindparam("of")
_AT_LINE = sessions.c.line == bindparam("previous")
_GROW = (
    sessions.update()
    .where(_OF_REF, _AT_LINE)
    .values(
        messages=sessions.c.messages + bindparam("more_messages"),
        bytes=sessions.c.bytes + bindparam("more_bytes"),
        updated=bindparam("now"),
        line=bindparam("last"),
    )
)
_METADATA = select(sessions.c.metadata).where(_OF_REF, _AT_LINE)
_SET_METADATA = sessions.update().where(_OF_REF).values(metadata=bindparam("changed"))
_SET_ROW = insert(sessions).prefix_with("OR REPLACE")
_REMOVE_ROW = sessions.delete().where(_OF_REF)


class SqliteBackend(Backend):
    """Bytes under keys in a database.

    Args:
        folder: the folder of `sessions.db`; neither need exist before the first write.
        files: makes folder and file; says whether commits are to be durable.
        compress: keep objects compressed where the engine hints that it pays.
        connections: how many the process keeps open at most.
        patience: seconds to wait while other programs keep the database locked; a minute by default.

    Raises:
        StoreFormatError: the folder holds something else, or a database of another program or a newer version.
        StoreError: it cannot be read; see `CorruptionError`.
    """

    capabilities = Capabilities(persistent=True, shared=True)

    def __init__(
        self,
        folder: Path,
        *,
        files: Files | None = None,
        compress: bool = True,
        connections: int = 5,
        patience: float | None = None,
    ) -> None:
        self._compress = compress
        self._database = Database(
            str(folder), files or Files(), connections=connections, patience=patience or PATIENCE_SECONDS
        )

    def prepare(self) -> None:
        self._database.prepare()

    def place(self) -> Place:
        path = os.path.realpath(self._database.folder)
        if not self._database.exists():
            return Place(path, None)
        _, inode = self._database.identity() or (0, 0)
        with self._database.reading() as connection:
            number, _ = self._store(connection)
        return Place(path, Token((number, inode)))

    def locate(self, key: RefKey | str) -> str:
        within = f"refs/{key.path}" if isinstance(key, RefKey) else f"objects/{key}"
        return f"{self._database.path}:{within}"

    def _store(self, connection: Connection) -> tuple[int, int]:
        row = connection.execute(_STORE).first()
        if row is None:
            raise CorruptionError("the database has lost its row in the table store", self._database.path)
        return row[0], row[1]

    # Objects

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        if not self._database.exists():
            raise ObjectNotYetHereError(identity, self._database.path)
        at_most = limit if size is None else size
        with self._database.reading() as connection:
            row = connection.execute(_READ_OBJECT, {"key": identity, "limit": largest_frame(at_most)}).first()
        if row is None:
            raise ObjectNotYetHereError(identity, self.locate(identity))
        form, stored, data = row
        try:
            if data is None:
                raise ValueError(f"{stored} bytes")
            found = decompress(data, size=size, limit=limit) if form == _ZSTD else bytes(data)
        except (ValueError, TypeError) as error:
            raise self._bad_object(identity, f"{at_most} bytes", error) from error
        if len(found) > limit or (size is not None and len(found) != size):
            raise self._bad_object(identity, f"{at_most} bytes", len(found))
        actual = hashlib.sha256(found).hexdigest()
        if actual != identity:
            raise self._bad_object(identity, f"sha256 {identity}", actual)
        return found

    def _bad_object(self, identity: str, expected: object, actual: object) -> CorruptionError:
        return CorruptionError(
            "the object does not hold what was written: restore the database from a backup, or sync it from another "
            "store, which mends it",
            self.locate(identity),
            expected=expected,
            actual=actual,
        )

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        batch: list[NewObject] = []
        size = 0
        # Not in one transaction: where objects come from takes its time, and others wait to write.
        for new in objects:
            batch.append(new)
            size += len(new.data)
            if size >= _BYTES_AT_ONCE:
                self._put_batch(batch)
                batch, size = [], 0
        if batch:
            self._put_batch(batch)

    def _put_batch(self, batch: list[NewObject]) -> None:
        rows = [self._row(new) for new in batch]
        with self._database.writing("write objects into", ends_hold=False) as connection:
            for new, row in zip(batch, rows, strict=True):
                there = connection.execute(_READ_OBJECT, {"key": new.id, "limit": largest_frame(len(new.data))}).first()
                if there is None or not _holds(there[0], there[2], new.data):
                    connection.execute(_PUT_OBJECT, row)

    def _row(self, new: NewObject) -> dict[str, object]:
        form, data = _PLAIN, new.data
        if self._compress and new.compress:
            form, data = _ZSTD, compress(new.data)
        return {
            "id": new.id,
            "tag": int(new.id[_GROUP_DIGITS : _GROUP_DIGITS + _TAG_DIGITS], 16),
            "form": form,
            "data": data,
        }

    def objects(self) -> Iterator[tuple[str, int]]:
        yield from self._all_of(_OBJECTS)

    def object_groups(self) -> Iterator[tuple[str, Token]]:
        for group, count, tags in self._all_of(_GROUPS):
            yield group, Token((count, tags))

    def object_ids(self, group: str) -> Iterator[str]:
        for (identity,) in self._all_of(_IDS, {"first": group, "after": group + "g"}):
            yield identity

    # Refs

    def ref_tokens(self) -> dict[str, Token]:
        return {path: Token((version, size, mark)) for path, version, size, mark in self._all_of(_LIST_REFS)}

    def ref_identities(self, marker: object) -> tuple[object, dict[str, int] | None]:
        if not self._database.exists():
            return None, {}
        with self._database.reading() as connection:
            # Before the list: what changes in between must not pass for seen.
            now = list(self._store(connection))
            if marker == now:
                return marker, None
            return now, {row.path: row.version for row in connection.execute(_IDENTITIES)}

    def ref_sizes(self) -> Iterator[int]:
        for token in self.ref_tokens().values():
            yield token[1]

    def read_ref(self, key: RefKey) -> Snapshot:
        rows = self._all_of(_READ_REF, {"path": _text(key.path)})
        if not rows:
            raise KeyError(key)
        version, size, mark, _ = rows[0]
        # One of an empty ref stands there without a line.
        lines = [row[3] for row in rows if row[3] is not None]
        # Not left to the ids in the lines: what looks like a write that was cut short is damage here.
        if _mark(0, lines) != mark:
            raise CorruptionError(
                "the lines of the ref are not those that were written: restore the database from a backup, or sync it "
                "from another store",
                self.locate(key),
            )
        return Snapshot(b"".join(lines), Token((version, size, mark)))

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        (token,) = self.create_refs([(key, data)])
        if token is None:
            raise RefTakenError(key)
        return token

    def create_refs(self, refs: Sequence[tuple[RefKey, bytes]]) -> list[Token | None]:
        if not refs:
            return []
        for key, _ in refs:
            if not _text(key.path):
                where = self.locate(key).encode(errors="backslashreplace").decode()
                raise StoreError(f"{where}: a database keeps only text as a path") from OSError(errno.EILSEQ, where)
        self.prepare()
        tokens: list[Token | None] = []
        with self._database.writing("create refs in") as connection:
            for key, data in refs:
                token = _new_token(data)
                row = connection.execute(_CREATE_REF, {"path": key.path, **_fields(token)}).first()
                if row is not None:
                    _place(connection, row[0], data)
                tokens.append(token if row is not None else None)
        return tokens

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        version, size, mark = _expected(key, expected)
        token = Token((version, size + len(data), _mark(mark, _lines(data))))
        self._exists_for(key)
        with self._database.writing("append to") as connection:
            ref = _change(connection, key, expected, token)
            _add_lines(connection, ref, size, data)
            _grow_row(connection, ref, data)
        return token

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        _expected(key, expected)
        token = _new_token(data)
        self._exists_for(key)
        with self._database.writing("replace a ref in") as connection:
            ref = _change(connection, key, expected, token)
            connection.execute(_REMOVE_LINES, {"of": ref})
            _place(connection, ref, data)
        return token

    def hold(self, key: RefKey) -> AbstractContextManager[None]:
        self._exists_for(key)
        return self._database.hold("write to")

    def _exists_for(self, key: RefKey) -> None:
        if not self._database.exists():
            raise RefChangedError(key)

    def _all_of(self, statement: Select[Any], parameters: dict[str, object] | None = None) -> Sequence[Any]:
        """Return all rows: a connection must not be taken while somebody goes through them one by one."""
        if not self._database.exists():
            return []
        with self._database.reading() as connection:
            return connection.execute(statement, parameters).all()

    def close(self) -> None:
        self._database.close()


def _change(connection: Connection, key: RefKey, expected: Token, token: Token) -> int:
    """Give a ref another token, if it still has the expected one, and return its number."""
    version, size, mark = expected
    old = {"key": key.path, "old_version": version, "old_size": size, "old_mark": mark}
    found = _run(connection, _CHANGE_REF, {**old, **_fields(token)}).fetchall()
    if not found:
        raise RefChangedError(key)
    return int(found[0][0])


def _run(connection: Connection, statement: UpdateBase, parameters: dict[str, object]) -> sqlite3.Cursor:
    """Execute a statement without what SQLAlchemy does for each: every save has three of them."""
    driver = cast(sqlite3.Connection, connection.connection.driver_connection)
    return driver.execute(_sql(statement), parameters)


@cache
def _sql(statement: UpdateBase) -> str:
    return str(statement.compile(dialect=dialect(paramstyle="named")))


def _place(connection: Connection, ref: int, data: bytes) -> None:
    """Write the bytes of a ref that has none."""
    _add_lines(connection, ref, 0, data)
    _describe(connection, ref, data)
    connection.execute(_NOTE_CHANGE, {"now": new_number()})


def _add_lines(connection: Connection, ref: int, position: int, data: bytes) -> None:
    for line in _lines(data):
        _run(connection, _ADD_LINES, {"ref": ref, "position": position, "data": line})
        position += len(line)


def _grow_row(connection: Connection, ref: int, data: bytes) -> None:
    """Bring the row of a session up to date with lines that were appended."""
    grown = growth(data)
    if grown is not None:
        where = {"of": ref, "previous": grown.previous}
        metadata = connection.execute(_METADATA, where).scalar() if grown.metadata else None
        more = {"more_messages": grown.messages, "more_bytes": grown.size, "now": grown.updated, "last": grown.line}
        if _run(connection, _GROW, {**where, **more}).rowcount:
            if metadata is not None:
                connection.execute(_SET_METADATA, {"of": ref, "changed": merged(metadata, grown.metadata)})
            return
    _describe(connection, ref, b"".join(connection.execute(_LINES, {"of": ref}).scalars()))


def _describe(connection: Connection, ref: int, data: bytes) -> None:
    row = describe(data)
    if row is None:
        connection.execute(_REMOVE_ROW, {"of": ref})
    else:
        connection.execute(_SET_ROW, {"ref": ref, **row})


def _holds(form: str, stored: bytes | None, data: bytes) -> bool:
    """Tell whether a row of objects is the object."""
    if stored is None or form != _ZSTD:
        return stored == data
    try:
        return decompress(stored, size=len(data), limit=len(data)) == data
    except ValueError:
        return False


def _expected(key: RefKey, token: Token) -> tuple[int, int, int]:
    if len(token) != 3:
        raise RefChangedError(key)
    return token[0], token[1], token[2]


def _new_token(data: bytes) -> Token:
    return Token((new_number(), len(data), _mark(0, _lines(data))))


def _mark(mark: int, lines: Iterable[bytes]) -> int:
    """Return a hash of all lines of a ref, from that of those before: a restored backup has no new version."""
    for line in lines:
        digest = hashlib.sha256(mark.to_bytes(_MARK_BYTES) + line).digest()
        mark = int.from_bytes(digest[:_MARK_BYTES])
    return mark


def _lines(data: bytes) -> Iterable[bytes]:
    """Return what is kept in a row each: lines with their newlines."""
    return io.BytesIO(data)


def _fields(token: Token) -> dict[str, int]:
    return {"version": token[0], "size": token[1], "mark": token[2]}


def _text(path: str) -> str:
    """Return a path, or nothing for one that is no text: the names of files may be any bytes."""
    return "" if any("\ud800" <= each <= "\udfff" for each in path) else path
