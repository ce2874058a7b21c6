"""The SQLite backend: a store in one database, `sessions.db` in the folder that is the store.

Every verb is one transaction, durable when it returns. Inside `hold` and `together` objects are the exception: they are
committed with the ref that names them, so that a save or a fork is one transaction also where it makes objects.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial

from ...errors import CorruptionError, StoreError
from ..base import (
    END_BYTES,
    Capabilities,
    NewObject,
    Oddity,
    Place,
    RecordAheadError,
    RefChangedError,
    RefEnd,
    RefFolders,
    RefKey,
    RefRefusedError,
    RefTakenError,
    RefWrite,
    Sign,
    Snapshot,
    StoredObject,
    Token,
)
from ..disk.files import Files
from ..machine.own_refs import FileRecord
from ..spread import Spread
from . import refs as rows
from .database import Database
from .folders import list_folders, tokens_in
from .objects import ObjectRows
from .replica_files import ReplicaFileRows

PATIENCE_SECONDS = 60.0

_STORE = "SELECT id, changed FROM store"


class SqliteBackend(ReplicaFileRows):
    """Bytes under keys in a database.

    Args:
        folder: the folder of `sessions.db`; neither need exist before the first write.
        files: makes folder and file; says whether commits are to be durable.
        compress: keep objects compressed where the engine hints that it pays.
        connections: how many it keeps open at most.
        patience: seconds to wait while other programs keep the database locked; a minute by default.
        record: what this machine has acknowledged; shared with its state.
        read_only: make no file, not even those that SQLite makes for readers; it is not to be asked to write.

    Raises:
        StoreFormatError: the folder holds something else, or a database of another program or a newer version.
        StoreError: it cannot be read; see `CorruptionError`.
    """

    capabilities = Capabilities(persistent=True, shared=True, whole=True, together=True)

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        files: Files | None = None,
        compress: bool = True,
        connections: int = 5,
        patience: float | None = None,
        record: FileRecord | None = None,
        read_only: bool = False,
    ) -> None:
        self._record = record or FileRecord(lambda: "")
        self._database = Database(
            os.fspath(folder),
            files or Files(),
            connections=connections,
            patience=patience or PATIENCE_SECONDS,
            read_only=read_only,
        )
        self._objects = ObjectRows(self._database, compress=compress)
        self._spread = Spread(partial(_count_below, self._database))
        # A replica, a state since which only its refs were created, all here, and the one after the last of them. In
        # one value, so that threads see all of it or nothing.
        self._made: tuple[str, object, object] = ("", None, None)

    def prepare(self) -> None:
        self._database.prepare()

    def place(self) -> Place:
        path = os.path.realpath(self._database.folder)
        if not self._database.exists():
            return Place(path, None)
        _, inode = self._database.identity() or (0, 0)
        number, _ = self._database.read(self._store)
        return Place(path, Sign((number, inode)))

    def _store(self, connection: sqlite3.Connection) -> tuple[int, int]:
        row = connection.execute(_STORE).fetchone()
        if row is None or {type(row[0]), type(row[1])} != {int}:
            raise CorruptionError("the database has lost its row in the table store", self._database.path)
        return row[0], row[1]

    def locate(self, key: RefKey | str) -> str:
        return f"{self._database.path}:refs/{key.path}" if isinstance(key, RefKey) else self._objects.locate(key)

    # Objects

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        return self._objects.get(identity, size=size, limit=limit)

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        self._objects.put(objects)

    def object_pieces(self, identity: str) -> Iterator[bytes]:
        return self._objects.pieces(identity)

    def put_large_object(self, identity: str, size: int, pieces: Iterable[bytes], *, compress: bool) -> None:
        self._objects.put_large(identity, size, pieces, compress=compress)

    def objects(self) -> Iterator[tuple[str, int]]:
        return self._objects.sizes()

    def object_groups(self) -> Iterator[tuple[str, Sign]]:
        return self._objects.groups()

    def object_ids(self, group: str) -> Iterator[str]:
        return self._objects.ids(group)

    def condemn_objects(self, identities: Iterable[str]) -> None:
        self._objects.condemn(identities)

    def remove_object(self, stored: StoredObject) -> bool:
        return self._objects.remove(stored.id)

    def stored_objects(self) -> Iterator[StoredObject]:
        return self._objects.stored()

    def discard_object(self, identity: str) -> None:
        self._objects.discard(identity)

    def scrub(self, holds: Callable[[bytes], bool]) -> list[str]:
        return self._database.rewrite()

    def oddities(self, *, full: bool) -> Iterator[Oddity]:
        for problem in self._database.problems() if full else ():
            yield Oddity("database", self._database.path, problem)

    # Refs

    def ref_tokens(self) -> dict[str, Token]:
        return {
            rows.path_of(number, path): rows.token_of(*token)
            for number, path, *token in self._database.rows(rows.LIST_REFS)
        }

    def ref_token(self, key: RefKey) -> Token | None:
        if rows.row_without_path(key.path) is not None:
            return super().ref_token(key)
        found = self._database.rows(rows.FIND_TOKEN, {"path": rows.as_text(key.path)})
        return rows.token_of(*found[0]) if found else None

    def ref_folders(self, known: Mapping[str, object], *, but: str | None = None) -> RefFolders:
        if not self._database.exists():
            return RefFolders({}, {})

        def read(connection: sqlite3.Connection) -> RefFolders:
            now = list(self._store(connection))
            if but is not None:
                if self._made == (but, known.get(""), now):
                    return RefFolders(dict(known), {})
                self._made = (but, now, now)
            return list_folders(connection, now, known)

        return self._database.read(read)

    def ref_tokens_in(self, folders: Collection[str]) -> dict[str, Token]:
        if not self._database.exists():
            return {}
        return self._database.read(lambda connection: tokens_in(connection, folders))

    def key_folders(self, folders: Sequence[str]) -> Sequence[str]:
        return self._spread.order(folders)

    def read_ref(self, key: RefKey) -> Snapshot:
        found = self._database.rows(rows.READ_REF, {"path": rows.as_text(key.path)})
        if not found:
            self._raise_if_without_path(key)
            raise KeyError(key)
        token = rows.token_of(*found[0][:3])
        # One of an empty ref stands there without a line.
        lines = [row[3] for row in found if row[3] is not None]
        data = rows.joined(lines)
        # Not left to the ids in the lines: what looks like a write that was cut short is damage here.
        if data is None or min(token) < 0 or rows.mark_of(lines) != token.stamp:
            raise CorruptionError(
                "the lines of the ref are not those that were written: restore the database from a backup, or sync it "
                "from another store",
                self.locate(key),
            )
        return Snapshot(data, token)

    def _raise_if_without_path(self, key: RefKey) -> None:
        number = rows.row_without_path(key.path)
        if number is not None and self._database.rows(rows.HAS_NUMBER, {"number": number}):
            raise CorruptionError(
                f"row {number} of the table refs has no path of a ref: restore the database from a backup, or sync it "
                "from another store",
                self.locate(key),
            )

    def ref_end(self, key: RefKey) -> RefEnd:
        if not self._database.exists():
            raise KeyError(key)
        found = self._database.read(lambda connection: rows.read_end(connection, key.path, END_BYTES))
        if found is None:
            raise KeyError(key)
        token, end = found
        return RefEnd(token.size, end)

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        before, (token,), after = self._create([(key, data)], record=True)
        if token is None:
            raise RefTakenError(key)
        replica, marker, last = self._made
        if (replica, last) == (key.replica, before):
            self._made = (replica, marker, after)
        return token

    def create_refs(self, refs: Sequence[tuple[RefKey, bytes]]) -> list[Token | None]:
        return self._create(refs)[1] if refs else []

    def _create(
        self, refs: Sequence[tuple[RefKey, bytes]], *, record: bool = False
    ) -> tuple[list[int], list[Token | None], list[int]]:
        """Make refs, and return with their tokens the store's row before and after."""
        for key, _ in refs:
            if not rows.as_text(key.path):
                where = self.locate(key).encode(errors="backslashreplace").decode()
                raise StoreError(f"{where}: a database keeps only text as a path") from OSError(errno.EILSEQ, where)
        self.prepare()
        with self._database.writing("create refs in") as connection:
            before = list(self._store(connection))
            tokens = [rows.create(connection, key.path, data) for key, data in refs]
            if record and tokens[0] is not None:
                ((key, data),) = refs
                if self._record.read(key) not in (None, data):
                    raise RecordAheadError(key)
            made = [each for each, token in zip(refs, tokens, strict=True) if token is not None]
            self._database.then(lambda _: self._keep_new(made))
            return before, tokens, list(self._store(connection))

    def _keep_new(self, made: list[tuple[RefKey, bytes]]) -> None:
        self._record.note_newest(*(key for key, _ in made))
        for key, data in made:
            # Of one whose ref was gone there may be more.
            if self._record.end(key) is None:
                self._record.keep(key, data)

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        self._exists_for(key)
        with self._database.writing("append to") as connection:
            if not self._is_even(connection, key, expected):
                raise RecordAheadError(key)
            token = rows.append(connection, key, expected, data)
            self._database.then(partial(self._note_append, key, data, token))
            return token

    def _is_even(self, connection: sqlite3.Connection, key: RefKey, expected: Token) -> bool:
        def read_end(length: int) -> bytes:
            found = rows.read_end(connection, key.path, length)
            if found is None or found[0] != expected:
                raise RefRefusedError(key)
            return found[1]

        return self._record.is_even(key, expected, read_end)

    def _note_append(self, key: RefKey, data: bytes, token: Token, connection: sqlite3.Connection) -> None:
        # What it cannot read it does not note, and a record that lacks the end of a ref tells nothing.
        with suppress(sqlite3.Error):
            self._record.note_newest(key)
            self._record.append(key, data, partial(rows.read_all, connection, key.path))
            self._record.appended(key, token)

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        self._exists_for(key)
        with self._database.writing("replace a ref in") as connection:
            if not self._is_even(connection, key, expected) and self._record.read(key) != data:
                raise RecordAheadError(key)
            token = rows.replace(connection, key, expected, data)
            self._database.then(lambda _: self._keep_replaced(key, data))
            return token

    def _keep_replaced(self, key: RefKey, data: bytes) -> None:
        self._record.note_newest(key)
        self._record.keep(key, data)

    def write_refs(self, writes: Sequence[RefWrite]) -> list[Token]:
        self.prepare()
        with self._database.writing("write refs in") as connection:
            tokens = [self._write(connection, write) for write in writes]
            self._database.then(lambda _: self._keep_written(writes))
            return tokens

    def _write(self, connection: sqlite3.Connection, write: RefWrite) -> Token:
        key, expected, data, kept = write
        if expected is None:
            if self._record.read(key) not in (None, data):
                raise RecordAheadError(key)
            token = rows.create(connection, key.path, data)
            if token is None:
                raise RefRefusedError(key)
            return token
        if not self._is_even(connection, key, expected):
            raise RecordAheadError(key)
        if kept:
            return rows.append(connection, key, expected, data[kept:])
        return rows.replace(connection, key, expected, data)

    def _keep_written(self, writes: Sequence[RefWrite]) -> None:
        self._record.note_newest(*(write.key for write in writes))
        for write in writes:
            self._record.keep(write.key, write.data)

    def has_refs(self, replica: str) -> bool:
        return bool(self._database.rows(rows.HAS_BELOW, rows.below(replica)))

    @contextmanager
    def hold(self, key: RefKey) -> Iterator[None]:
        self._exists_for(key)
        with self._database.hold("write to"):
            # Whoever makes a replica's first ref takes another lock before this one: within, it would be too late.
            if not self._database.rows(rows.FIND_REF, {"path": rows.as_text(key.path)}):
                raise RefChangedError(key)
            yield

    def together(self) -> AbstractContextManager[None]:
        self.prepare()
        return self._database.hold("write to")

    def _exists_for(self, key: RefKey) -> None:
        if not self._database.exists():
            raise RefRefusedError(key)

    def watched_folder(self) -> str | None:
        folder = os.path.realpath(self._database.folder)
        # Where it cannot be written no connection is kept open, and to close one is an event too: it would never end.
        is_kept_open = not self._database.read_only and (os.access(folder, os.W_OK) or not os.path.isdir(folder))
        return folder if is_kept_open else None

    def recover(self) -> None:
        self._database.recover()

    def close(self) -> None:
        self._database.close()
        self._record.close()


def _count_below(database: Database, replica: str, most: int) -> int:
    (found,) = database.rows(rows.COUNT_BELOW, {**rows.below(replica), "most": most}) or [(0,)]
    return int(found[0])
