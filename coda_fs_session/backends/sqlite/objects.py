"""Objects as rows: write-once, named by the hash of what they hold, plain or compressed."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator

from ...errors import CorruptionError, ObjectNotYetHereError
from ..base import OBJECT_LIMIT, NewObject, Sign, StoredObject, mismatch
from ..disk.zstd import compress, compressed, decompress, decompressed, largest_frame
from .database import Database
from .schema import new_number

_BYTES_AT_ONCE = 16 * 1024 * 1024
_GROUP_DIGITS = 2
_TAG_DIGITS = 10
_PLAIN, _ZSTD = "plain", "zstd"
_CONDEMNED = "condemned "
"""What stands before the form of an object that gc has condemned: whoever puts it again takes that away."""
_HEX = re.compile(r"[0-9a-f]*\Z")

_READ = """
SELECT form, length(data), CASE WHEN length(data) <= :limit THEN data END FROM objects WHERE id = :key
"""
_PUT = "INSERT OR REPLACE INTO objects (id, tag, form, data) VALUES (:id, :tag, :form, :data)"
_DISCARD = "DELETE FROM objects WHERE id = :key"
_CONDEMN = "UPDATE objects SET form = :condemned || form WHERE id = :id AND form IN ('plain', 'zstd')"
_REMOVE = "DELETE FROM objects WHERE id = :id AND substr(form, 1, length(:condemned)) = :condemned"
_ALL = "SELECT id, length(data) FROM objects"
_FORMS = "SELECT id, length(data), form FROM objects"
_GROUPS = f"SELECT substr(id, 1, {_GROUP_DIGITS}), count(*), sum(tag) FROM objects GROUP BY 1"
_IDS = "SELECT id FROM objects WHERE id >= :first AND id < :after"


class ObjectRows:
    """The objects of one store.

    Args:
        compress: keep them compressed where the engine hints that it pays.
    """

    def __init__(self, database: Database, *, compress: bool) -> None:
        self._database = database
        self._compress = compress

    def locate(self, identity: str) -> str:
        return f"{self._database.path}:objects/{identity}"

    def get(self, identity: str, *, size: int | None, limit: int) -> bytes:
        """Return an object, verified; see `Backend.get_object`."""
        at_most = limit if size is None else size
        form, kept = self._row_of(identity, at_most)
        try:
            data = decompress(kept, size=size, limit=limit) if form == _ZSTD else kept
        except ValueError as error:
            raise self._bad(identity, f"{at_most} bytes", error) from error
        if wrong := mismatch(identity, data, size=size, limit=limit):
            raise self._bad(identity, *wrong)
        return data

    def pieces(self, identity: str) -> Iterator[bytes]:
        """Yield an object of any size; see `Backend.object_pieces`. What is stored of it is held in memory."""
        form, kept = self._row_of(identity, OBJECT_LIMIT)
        digest = hashlib.sha256()
        try:
            for piece in decompressed(io.BytesIO(kept)) if form == _ZSTD else (kept,):
                digest.update(piece)
                yield piece
        except ValueError as error:
            raise self._bad(identity, "one zstd frame of the right size", error) from error
        if digest.hexdigest() != identity:
            raise self._bad(identity, f"sha256 {identity}", digest.hexdigest())

    def _row_of(self, identity: str, at_most: int) -> tuple[object, bytes]:
        found = self._database.rows(_READ, {"key": identity, "limit": largest_frame(at_most)})
        if not found:
            raise ObjectNotYetHereError(identity, self.locate(identity))
        form, stored, kept = found[0]
        if not isinstance(kept, bytes):
            actual = f"{stored} bytes" if kept is None else type(kept).__name__
            raise self._bad(identity, f"{at_most} bytes", actual)
        return _form_of(form), kept

    def put_large(self, identity: str, size: int, pieces: Iterable[bytes], *, compress: bool) -> None:
        """Keep an object of any size; see `Backend.put_large_object`. What is stored of it is held in memory."""
        digest = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            for piece in pieces:
                digest.update(piece)
                yield piece

        form = _ZSTD if self._compress and compress else _PLAIN
        try:
            data = b"".join(compressed(hashed(), size=size) if form == _ZSTD else hashed())
        except ValueError as error:
            raise self._bad(identity, f"{size} bytes", error) from error
        if digest.hexdigest() != identity:
            raise self._bad(identity, f"sha256 {identity}", digest.hexdigest())
        with self._database.writing("write objects into") as connection:
            connection.execute(_PUT, _row(identity, form, data))

    def _bad(self, identity: str, expected: object, actual: object) -> CorruptionError:
        return CorruptionError(
            "the object does not hold what was written: restore the database from a backup, or sync it from another "
            "store, which mends it",
            self.locate(identity),
            expected=expected,
            actual=actual,
        )

    def put(self, new_objects: Iterable[NewObject]) -> None:
        """Keep objects, durably; see `Backend.put_objects`."""
        batch: list[NewObject] = []
        size = 0
        # Not in one transaction: where objects come from takes its time, and others wait to write.
        for new in new_objects:
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
                there = connection.execute(_READ, {"key": new.id, "limit": largest_frame(len(new.data))}).fetchone()
                if there is None or _form_of(there[0]) != there[0] or not _holds(there[0], there[2], new.data):
                    connection.execute(_PUT, row)

    def _row(self, new: NewObject) -> dict[str, object]:
        form, data = _PLAIN, new.data
        if self._compress and new.compress:
            form, data = _ZSTD, compress(new.data)
        return _row(new.id, form, data)

    def condemn(self, identities: Iterable[str]) -> None:
        """Mark objects; see `Backend.condemn_objects`."""
        with self._database.writing("condemn objects in") as connection:
            for identity in identities:
                connection.execute(_CONDEMN, {"id": identity, "condemned": _CONDEMNED})

    def remove(self, identity: str) -> bool:
        """Remove the row of an object that is condemned; see `Backend.remove_object`."""
        with self._database.writing("remove an object from") as connection:
            return connection.execute(_REMOVE, {"id": identity, "condemned": _CONDEMNED}).rowcount > 0

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield each object's id and the bytes it takes up."""
        for identity, size in self._database.rows(_ALL):
            if _is_hex(identity, 64):
                yield identity, size

    def stored(self) -> Iterator[StoredObject]:
        """Yield each row; see `Backend.stored_objects`."""
        for identity, size, form in self._database.rows(_FORMS):
            if _is_hex(identity, 64):
                yield StoredObject(identity, self.locate(identity), size or 0, _form_of(form) == _PLAIN)

    def discard(self, identity: str) -> None:
        """Remove a row; see `Backend.discard_object`."""
        with self._database.writing("remove an object from") as connection:
            connection.execute(_DISCARD, {"key": identity})

    def groups(self) -> Iterator[tuple[str, Sign]]:
        """Yield each group with its sign; see `Backend.object_groups`."""
        for group, count, tags in self._database.rows(_GROUPS):
            if _is_hex(group, _GROUP_DIGITS):
                # Where a tag is no number nobody can tell whether it is the same group: it is not.
                yield group, Sign((count, tags if type(tags) is int else new_number()))

    def ids(self, group: str) -> Iterator[str]:
        """Yield the ids of a group."""
        for (identity,) in self._database.rows(_IDS, {"first": group, "after": group + "g"}):
            if _is_hex(identity, 64):
                yield identity


def _form_of(form: object) -> object:
    """Return in which form the bytes are, be the object condemned or not."""
    return form.removeprefix(_CONDEMNED) if isinstance(form, str) else form


def _row(identity: str, form: str, data: bytes) -> dict[str, object]:
    tag = int(identity[_GROUP_DIGITS : _GROUP_DIGITS + _TAG_DIGITS], 16)
    return {"id": identity, "tag": tag, "form": form, "data": data}


def _is_hex(value: object, digits: int) -> bool:
    """Tell an id, or the beginning of one, from what else somebody has put into a row."""
    return isinstance(value, str) and len(value) == digits and _HEX.match(value) is not None


def _holds(form: object, stored: object, data: bytes) -> bool:
    """Tell whether a row of objects is the object."""
    if not isinstance(stored, bytes) or form != _ZSTD:
        return stored == data
    try:
        return decompress(stored, size=len(data), limit=len(data)) == data
    except ValueError:
        return False
