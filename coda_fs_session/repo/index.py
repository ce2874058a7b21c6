"""The index: what every ref says, kept so that listing sessions reads only the refs that changed.

A derived table: deleting it loses nothing and changes no answer. A row is trusted as long as the backend
gives the same token for its ref.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from ..backends.base import Backend, MachineState, RefKey, Token
from ..errors import SessionError, StoreFormatError
from ..format.names import key_of_ref, session_key
from ..format.records import Parent
from .state import Head

_VERSION = 2

_Tokens = tuple[tuple[str, Token], ...]


class Row(NamedTuple):
    """What the index knows of one ref.

    Attributes:
        name: the session's name; of a ref whose header cannot be read, the key in its file name.
        key: what the name's file key is.
        metadata: JSON text.
        problem: why the ref cannot be used, "" for a good one; `readable` tells whether its header is good.
        uneven: this machine's record of the ref differs from it.
    """

    path: str
    token: Token
    name: str
    key: str
    former_names: tuple[str, ...] = ()
    replica: str = ""
    messages: int = 0
    size: int = 0
    created: str = ""
    updated: str = ""
    metadata: str = "{}"
    parent: str | None = None
    forked_at: int | None = None
    deleted: bool = False
    problem: str = ""
    readable: bool = True
    uneven: bool = False


class ViewRow(NamedTuple):
    """One session of what several refs add up to; see `repo.resolve.Shown`.

    Attributes:
        row: of its head, with the metadata of refs that it covers.
    """

    label: str
    row: Row
    diverged_from: str | None = None
    undecided: bool = False
    survived_delete: bool = False


class Index:
    """Rows of all refs, by path and by name.

    Args:
        read: reads and folds one ref; raises KeyError where it is gone, SessionError where it is bad.
    """

    def __init__(self, backend: Backend, machine: MachineState, read: Callable[[RefKey], Head]) -> None:
        self._backend = backend
        self._machine = machine
        self._read = read
        self._rows: dict[str, Row] = {}
        self._by_name: dict[str, dict[str, Row]] = {}
        self._unreadable: dict[str, Row] = {}
        self._views: dict[str, tuple[_Tokens, list[ViewRow]]] = {}
        self._marker: object = None
        self._identities: dict[str, int] = {}
        self._loaded = False
        self._dirty = False
        self._mutex = threading.RLock()

    def rows(self) -> list[Row]:
        """Return the row of every ref, as of now."""
        with self._mutex:
            self._refresh()
            return list(self._rows.values())

    def named(self, name: str) -> list[Row]:
        """Return the rows of refs that have, or had, this name, or may have had it before they were damaged."""
        with self._mutex:
            self._refresh_identities()
            found = dict(self._by_name.get(name, {}))
            for path, row in self._by_name.get(session_key(name), {}).items():
                if not row.readable:
                    found[path] = row
            return list(found.values())

    def fresh(self, row: Row) -> Row:
        """Return a row as of now, reading its ref again."""
        with self._mutex:
            self._read_row(RefKey(row.path), row.token)
            return self._rows.get(row.path, row)

    def look_again(self, key: RefKey) -> None:
        """Read a ref whose record has changed."""
        with self._mutex:
            self._read_row(key, Token(()))

    def view(self, rows: Sequence[Row]) -> list[ViewRow] | None:
        """Return what refs add up to, as kept under exactly these rows; None where that is not known."""
        tokens, view = self._views.get(rows[0].path, ((), None))
        return view if view is not None and tokens == _tokens(rows) else None

    def keep_view(self, rows: Sequence[Row], view: list[ViewRow]) -> None:
        """Keep what refs add up to; it depends on nothing else."""
        with self._mutex:
            self._views[rows[0].path] = _tokens(rows), view
            self._dirty = True

    def note(self, head: Head) -> None:
        """Take in a ref that was just read or written."""
        with self._mutex:
            self._set(row_of(head))

    def replicas(self) -> set[str]:
        """Return the ids of the replicas that have refs in the store."""
        with self._mutex:
            self._refresh_identities()
            return {RefKey(path).replica for path in self._rows}

    def keep(self) -> None:
        """Keep the rows for the next process, if any changed."""
        with self._mutex:
            if self._dirty and self._loaded:
                views = {path: view for path, view in self._views.items() if path in self._rows}
                self._machine.keep_index(orjson.dumps([_VERSION, list(self._rows.values()), views], default=tuple))
                self._dirty = False

    def _refresh(self) -> None:
        """Bring every row up to date."""
        self._load()
        seen = set()
        for key, token in self._backend.refs():
            row = self._rows.get(key.path)
            seen.add(key.path)
            # A ref that could not be read may be readable now without having changed: permissions, a disk's hiccup.
            if row is None or row.problem or row.token != token:
                self._read_row(key, token)
        for path in self._rows.keys() - seen:
            self._forget(path)

    def _refresh_identities(self) -> None:
        """Bring up to date which ref has which name: a header changes only with its ref's identity."""
        self._load()
        for row in list(self._unreadable.values()):
            self._read_row(RefKey(row.path), row.token)
        self._marker, identities = self._backend.ref_identities(self._marker)
        if identities is None:
            return
        before = self._identities
        for path, identity in identities.items():
            if before.get(path) != identity:
                known = self._rows.get(path)
                if known is None or known.token[0] != identity:
                    self._read_row(RefKey(path), Token((identity,)))
        for path in self._rows.keys() - identities.keys():
            self._forget(path)
        self._identities = identities

    def _read_row(self, key: RefKey, token: Token) -> None:
        try:
            # Before the ref: a save writes the record last.
            end = self._machine.record.end(key)
            row = row_of(self._read(key))
            self._set(row if end is None or end == self._backend.ref_end(key) else row._replace(uneven=True))
        except KeyError:
            self._forget(key.path)
        except SessionError as error:
            guess = key_of_ref(key.path)
            if guess is None and not isinstance(error, StoreFormatError):
                # Garbage beside the refs: no name of ours, no header of ours.
                self._set(Row(key.path, token, "", "", problem="not a ref"))
            else:
                name = guess or key.path
                self._set(Row(key.path, token, name, name, problem=str(error), readable=False))

    def _set(self, row: Row) -> None:
        old = self._rows.get(row.path)
        if old == row:
            return
        if old is not None:
            self._forget(row.path)
        self._rows[row.path] = row
        if not row.readable:
            self._unreadable[row.path] = row
        for name in {row.name, *row.former_names}:
            self._by_name.setdefault(name, {})[row.path] = row
        self._dirty = True

    def _forget(self, path: str) -> None:
        row = self._rows.pop(path, None)
        self._unreadable.pop(path, None)
        if row is None:
            return
        for name in {row.name, *row.former_names}:
            self._by_name[name].pop(path, None)
            if not self._by_name[name]:
                del self._by_name[name]
        self._dirty = True

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._mutex = threading.RLock()
        self._rows, self._by_name, self._unreadable, self._views = {}, {}, {}, {}
        self._marker, self._identities = None, {}
        self._loaded = self._dirty = False

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        rows, self._views = _decode(self._machine.load_index())
        for row in rows:
            self._set(row)
        self._dirty = False


def _tokens(rows: Sequence[Row]) -> _Tokens:
    return tuple((row.path, row.token) for row in rows)


def _decode(data: bytes | None) -> tuple[list[Row], dict[str, tuple[_Tokens, list[ViewRow]]]]:
    try:
        version, rows, views = orjson.loads(data or b"[0,[],[]]")
        if version != _VERSION:
            return [], {}
        return [_decode_row(*row) for row in rows], {
            path: (
                tuple((other, Token(tuple(token))) for other, token in tokens),
                [ViewRow(label, _decode_row(*row), *rest) for label, row, *rest in view],
            )
            for path, (tokens, view) in views.items()
        }
    except (ValueError, TypeError, AttributeError):
        # The index is only a copy of what the refs say: read those again.
        return [], {}


def _decode_row(path: str, token: list[int], name: str, key: str, former: list[str], *rest: Any) -> Row:
    return Row(path, Token(tuple(token)), name, key, tuple(former), *rest)


def row_of(head: Head) -> Row:
    """Return what the index keeps of a head."""
    header = head.header
    parent: Parent | None = header.parent
    values = b",".join(orjson.dumps(key) + b":" + value for key, value in head.values().items())
    return Row(
        path=head.key.path,
        token=head.token,
        name=header.name,
        key=session_key(header.name),
        former_names=header.former_names,
        replica=header.replica,
        messages=head.live_count,
        size=head.live_bytes,
        created=header.created,
        updated=head.updated,
        metadata=(b"{%b}" % values).decode(),
        parent=parent.name if parent else None,
        forked_at=parent.messages if parent else None,
        deleted=head.deleted,
        problem=str(head.damage) if head.damage else "",
    )
