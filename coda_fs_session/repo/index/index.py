"""The index: what every ref says, kept so that listing sessions reads only the refs that changed.

A derived table: deleting it loses nothing and changes no answer. A row is trusted as long as the backend
gives the same token for its ref.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

import orjson

from ...backends.base import Backend, MachineState, RefKey, Token
from ...errors import CorruptionError, SessionError, StoreFormatError, printable
from ...format.names import key_of_ref, session_key
from ...format.records import Parent, decode_time
from ...process.interrupts import Section
from ..content.state import Head
from ..notes import decode_note, encode_note

_VERSION = 8

_FEW, _SHARE = 16, 1 / 50
"""Reading a ref takes as long as writing down the rows of some fifty."""

_A_MOMENT = 0.1
"""Seconds; sync tools take longer to notice that something is new."""

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


class Row(NamedTuple):
    """What the index knows of one ref.

    Attributes:
        name: the session's name; of a ref whose header cannot be read, the key in its file name.
        key: what the name's file key is.
        created, updated: microseconds since 1970-01-01 UTC; None for a ref that cannot be read.
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
    created: int | None = None
    updated: int | None = None
    metadata: str = "{}"
    parent: str | None = None
    forked_at: int | None = None
    deleted: bool = False
    problem: str = ""
    readable: bool = True
    uneven: bool = False


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
    """One session, or tombstone, of what several refs add up to; see `repo.resolve.Shown`.

    Attributes:
        row: of its head, with the metadata of refs that it covers.
        refs: the head and what it covers; empty where that was not asked, since there is nothing else of the name.
        sides, diverged_at: see `repo.sides.Sides`.
    """

    label: str
    row: Row
    diverged_from: str | None = None
    undecided: bool = False
    survived_delete: bool = False
    refs: tuple[KnownRef, ...] = ()
    sides: tuple[str, ...] = ()
    diverged_at: int | None = None


class Index:
    """Rows of all refs, by path and by name.

    As kept, it has three lines: the tokens, what answers a listing as long as these are the same, and the rows, which
    only the rest needs.

    Args:
        read: reads and folds one ref; raises KeyError where it is gone, SessionError where it is bad.
        horizon: tells from when on stamps are not believed. What refs add up to can depend on it, their rows cannot.
    """

    _answer: bytes | None
    _changes: int
    _beside: tuple[object, int] | None

    def __init__(
        self, backend: Backend, machine: MachineState, read: Callable[[RefKey], Head], horizon: Callable[[], str]
    ) -> None:
        self._backend = backend
        self._machine = machine
        self._read = read
        self._horizon_now = horizon
        self._section = Section(self._forget_all)
        self._forget_all()

    def rows(self) -> list[Row]:
        """Return the row of every ref, as of now."""
        with self._section:
            self._refresh()
            return list(self._rows.values())

    def listing(self) -> bytes | None:
        """Return what `keep_listing` was given the last time, if no ref has changed since."""
        with self._section:
            self._open()
            self._look_at_the_horizon()
            if self._rest is None:
                self._refresh()
            elif self._backend.ref_tokens() != self._tokens:
                return None
            return self._answer

    def keep_listing(self, answer: bytes) -> None:
        """Keep JSON of what is told of all sessions, until a ref changes."""
        with self._section:
            self._answer = answer
            self._dirty = True

    def named(self, *names: str, maker: str | None = None) -> list[Row]:
        """Return the rows of refs that have, or had, one of these names, or may have had it before they were damaged.

        Args:
            maker: the replica that is to make a ref of the name if it is free. Names looked at a moment ago then do,
                so that many can be made in a row; what a sync tool has put among that replica's own refs meanwhile
                counts as having come a moment later.
        """
        with self._section:
            if maker is None:
                self._refresh_names()
            elif not self.was_just_looked_at(maker):
                # Before the look: what happens between the two is a reason to look again.
                self._beside, self._made = self._backend.state_beside(maker), 0
                self._refresh_names()
            by_name = self._paths_by_name()
            found = dict.fromkeys(chain.from_iterable(filter(None, map(by_name.get, names))))
            unreadable = [self._rows[path] for path in self._unreadable]
            if unreadable:
                # Those are known by their keys alone.
                keys = set(map(session_key, names))
                found.update((row.path, None) for row in sorted(unreadable) if row.name in keys)
            return [self._rows[path] for path in found]

    def was_just_looked_at(self, maker: str) -> bool:
        """Tell whether nobody but a sync tool, and only among the refs of `maker`, can have changed a name since."""
        with self._section:
            if self._beside is None or time.monotonic() >= self._good_until:
                return False
            before, made = self._beside
            # Made through this index, that is, and so among its rows.
            return self._backend.state_beside(maker) == (before, made + self._made)

    def fresh(self, row: Row) -> Row:
        """Return a row as of now, reading its ref again."""
        with self._section:
            self._read_row(RefKey(row.path), row.token)
            return self._rows.get(row.path, row)

    def has_come(self, key: RefKey) -> bool:
        """Take in a ref that has come since names were looked at; False for any other one."""
        with self._section:
            # Under just this name: where names differ only in case, another one may stand for it.
            token = None if key.path in self._rows else self._backend.ref_tokens().get(key.path)
            if token is not None:
                self._read_row(key, token)
            return token is not None and key.path in self._rows

    def look_again(self, keys: Iterable[RefKey]) -> None:
        """Read refs whose record has changed, or which may have been replaced."""
        with self._section:
            tokens = self._backend.ref_tokens()
            for key in keys:
                if key.path in tokens:
                    self._read_row(key, tokens[key.path])
                else:
                    self._forget(key.path)

    def view(self, rows: Iterable[Row]) -> list[ViewRow] | None:
        """Return what refs add up to, if that is known and none of them was found to have changed since."""
        with self._section:
            self._look_at_the_horizon()
            view = self._views.get(_paths_of(rows))
            # It depends on other refs only in that none may have a name that was derived.
            derived = [each.label for each in view or () if each.diverged_from is not None]
            return None if any(self._paths_by_name().get(label) for label in derived) else view

    def keep_view(self, rows: Iterable[Row], view: list[ViewRow]) -> None:
        """Keep what refs add up to, until one of them changes."""
        with self._section:
            self._add_view(_paths_of(rows), view)
            self._dirty = True

    def _add_view(self, paths: tuple[str, ...], view: list[ViewRow]) -> None:
        self._views[paths] = view
        for path in paths:
            self._views_with.setdefault(path, set()).add(paths)

    def note(self, head: Head) -> None:
        """Take in a ref that was just written."""
        with self._section:
            self._made += head.key.path not in self._rows
            self._set(row_of(head))
            self._noted = True
            changes = self._machine.record.changes()
            if changes == self._changes + 1:
                # Nobody else's.
                self._changes = changes

    def replicas(self) -> set[str]:
        """Return the ids of the replicas that have refs in the store."""
        with self._section:
            self._refresh_names()
            return {path.partition("/")[0] for path in self._rows}

    def keep(self) -> None:
        """Keep the rows for the next process, if any changed."""
        with self._section:
            if self._dirty and self._rest is None:
                tokens = _settled(row.token for row in self._rows.values())
                views = [(paths, [self._encode_view(each) for each in view]) for paths, view in self._views.items()]
                # Columns, since a process that lists ten thousand sessions would otherwise begin with as many lists.
                first = encode_note([_VERSION, self._horizon, self._marker, list(self._rows), _columns(tokens)])
                rest = encode_note([_columns(row[2:] for row in self._rows.values()), views])
                self._machine.keep_index(b"\n".join((first, self._answer or b"", rest)))
                self._dirty = False

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._section.after_fork()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        self._section.recover()

    def _forget_all(self) -> None:
        self._rows: dict[str, Row] = {}
        self._by_name: dict[str, dict[str, None]] | None = None
        self._suspect: set[str] = set()  # paths of rows with a problem that may be over though the file is the same
        self._unreadable: set[str] = set()  # paths of rows that only the file's name tells the key of
        # What groups of refs add up to, by their paths; and which groups each path is in.
        self._views: dict[tuple[str, ...], list[ViewRow]] = {}
        self._views_with: dict[str, set[tuple[str, ...]]] = {}
        self._marker: object = None
        self._horizon = ""  # when the views, and the answer, were made
        self._noted = False  # a ref of our own since names were last looked at
        self._changes = -1  # of all processes, when they were
        self._recent = False  # names were last looked at right after some change
        self._good_until = 0.0  # by the monotonic clock: so long what was seen then will do for making new ones
        self._beside = None  # what stood beside the refs of one who makes new ones, before the last look for that
        self._made = 0  # new refs since
        self._answer = None
        self._tokens: dict[str, Token] = {}  # as kept, while the rows are not decoded
        self._rest: bytes | None = b""  # the rows as kept; None once the rows are decoded
        self._opened = False
        self._dirty = False

    def _refresh(self) -> None:
        """Bring every row up to date."""
        self._load()
        self._compare(self._backend.ref_tokens())

    def _compare(self, tokens: dict[str, Token]) -> int:
        """Bring every row up to date; return how many refs had to be read."""
        known = {path: row.token for path, row in self._rows.items()}
        # A ref that could not be read may be readable now without having changed: permissions, a disk's hiccup.
        if known == tokens and not self._suspect:
            return 0
        # What it vouches for are other rows: another store may have come to stand here, and go again.
        self._marker = None
        changed = [path for path, token in tokens.items() if known.get(path) != token or path in self._suspect]
        for path in changed:
            self._read_row(RefKey(path), tokens[path])
        for path in known.keys() - tokens.keys():
            self._forget(path)
        return len(changed)

    def _refresh_names(self) -> None:
        """Bring up to date which ref has which name: a header changes only when its ref is replaced."""
        began = time.monotonic()
        self._load()
        for path in list(self._unreadable):
            key, row = RefKey(path), self._rows[path]
            # Whose it is the file's name hardly tells: one that was mended in place must not be missed.
            if path in self._suspect or self._backend.ref_token(key) != row.token:
                self._read_row(key, row.token)
        # Before the listing: what happens between the two is a reason to look again, not one that was looked at.
        changes = self._machine.record.changes()
        marker, identities = self._backend.ref_identities(self._marker)
        # Some time that grows with what a look takes: who makes many sessions spends a tenth of it on looking.
        self._good_until = began + max(_A_MOMENT, 10 * (time.monotonic() - began))
        noted, self._noted = self._noted, False
        if identities is None:
            return
        alone, self._changes = changes == self._changes, changes
        recent, self._recent = self._recent, marker is None
        known = {path: row.token[0] for path, row in self._rows.items()}
        # A file that somebody else has replaced twice may have its first inode again: that takes a look at sizes and
        # times. What other machines did can wait while the times of folders do not tell yet: the first look after
        # that finds them changed.
        read = 0
        if known != identities or not alone or not (noted or (recent and self._recent)):
            read = self._compare(self._backend.ref_tokens())
        self._dirty = self._dirty or marker != self._marker
        self._marker = marker
        if read > _FEW + len(self._rows) * _SHARE:
            # Not everybody closes a manager, or lists: the next program need not read all this again.
            self.keep()

    def _read_row(self, key: RefKey, token: Token) -> None:
        self._suspect.discard(key.path)
        try:
            # Before the ref: a save writes the record last.
            end = self._machine.record.end(key)
            row = row_of(self._read(key))
            self._set(row if end is None or end == self._backend.ref_end(key) else row._replace(uneven=True))
        except KeyError:
            self._forget(key.path)
        except SessionError as error:
            # Permissions, a disk's hiccup; or this version of the package, for what an earlier one has kept.
            may_pass = not isinstance(error, CorruptionError)
            guess = key_of_ref(key.path)
            if guess is None and not isinstance(error, StoreFormatError):
                # Garbage beside the refs: no name of ours, no header of ours.
                self._set(Row(key.path, token, "", "", problem="not a ref"))
            else:
                name = guess or printable(key.path)
                self._set(Row(key.path, token, name, name, problem=str(error), readable=False))
            if may_pass:
                self._suspect.add(key.path)

    def _set(self, row: Row) -> None:
        if self._rows.get(row.path) == row:
            return
        self._forget(row.path)
        self._answer = None
        self._rows[row.path] = row
        if not row.readable:
            self._unreadable.add(row.path)
        if self._by_name is not None:
            for name in (row.name, *row.former_names):
                self._by_name.setdefault(name, {})[row.path] = None
        self._dirty = True

    def _forget(self, path: str) -> None:
        row = self._rows.pop(path, None)
        if row is None:
            return
        self._answer = None
        self._suspect.discard(path)
        self._unreadable.discard(path)
        for paths in self._views_with.pop(path, ()):
            self._views.pop(paths, None)
        if self._by_name is not None:
            for name in (row.name, *row.former_names):
                self._by_name.get(name, {}).pop(path, None)
        self._dirty = True

    def _paths_by_name(self) -> dict[str, dict[str, None]]:
        """Return which refs have or had each name; made when it is first asked for, as listing does not need it."""
        if self._by_name is None:
            self._by_name = {}
            for row in self._rows.values():
                for name in (row.name, *row.former_names):
                    self._by_name.setdefault(name, {})[row.path] = None
        return self._by_name

    def _open(self) -> None:
        """Read what was kept, without decoding the rows."""
        if self._opened:
            return
        self._opened = True
        try:
            first, answer, self._rest = (self._machine.load_index() or b"[0,0,0,0,0]\n\n").split(b"\n")
            version, horizon, marker, paths, tokens = decode_note(first)
            if version == _VERSION:
                self._horizon, self._marker = horizon, marker
                self._answer = answer or None
                self._tokens = dict(zip(paths, map(Token, zip(*tokens, strict=True)), strict=True)) if paths else {}
        except (ValueError, TypeError):
            # The index is only a copy of what the refs say: read those again.
            self._start_anew()

    def _load(self) -> None:
        """Have the rows."""
        self._open()
        if self._rest is None:
            return
        rest, self._rest = self._rest, None
        tokens, self._tokens = self._tokens, {}
        try:
            columns, views = decode_note(rest) if tokens else ([], [])
            rows = zip(tokens.items(), zip(*columns, strict=True), strict=True)
            self._rows = {
                path: Row(path, token, name, key, tuple(former), *more)
                for (path, token), (name, key, former, *more) in rows
            }
            for paths, view in views:
                self._add_view(tuple(paths), [self._decode_view(each) for each in view])
        except (ValueError, TypeError, LookupError):
            self._start_anew()
        self._suspect = {path for path, row in self._rows.items() if row.problem}
        self._unreadable = {path for path in self._suspect if not self._rows[path].readable}

    def _look_at_the_horizon(self) -> None:
        """Forget what refs add up to where that was found out when other stamps were believed."""
        horizon = self._horizon_now()
        if horizon != self._horizon:
            # Before the views are forgotten: those that were kept are still to come.
            self._load()
            self._horizon, self._answer = horizon, None
            self._views, self._views_with = {}, {}
            self._dirty = True

    def _start_anew(self) -> None:
        self._rows, self._views, self._views_with = {}, {}, {}
        self._tokens, self._marker, self._answer = {}, None, None

    def _encode_view(self, view: ViewRow) -> tuple[object, ...]:
        label, row, *rest = view
        return label, row.path if self._rows.get(row.path) == row else row, *rest

    def _decode_view(self, fields: list[Any]) -> ViewRow:
        row = fields[1]
        fields[1] = self._rows[row] if isinstance(row, str) else _decode_row(row)
        view = ViewRow._make(fields)
        return view._replace(refs=tuple(KnownRef(*ref) for ref in view.refs), sides=tuple(view.sides))


def _paths_of(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(sorted(row.path for row in rows))


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _settled(tokens: Iterable[Token]) -> Iterable[tuple[int, ...]]:
    """Return tokens of one length: longer ones mark what changed just now, and are good for no later comparison."""
    tokens = list(tokens)
    length = min(filter(None, map(len, tokens)), default=0)
    return [token if len(token) == length else (-1,) * length for token in tokens]


def _decode_row(fields: list[Any]) -> Row:
    fields[1] = tuple(fields[1])
    fields[4] = tuple(fields[4])
    return Row._make(fields)


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
        created=(decode_time(header.created) - _EPOCH) // _MICROSECOND,
        updated=(decode_time(head.updated) - _EPOCH) // _MICROSECOND,
        metadata=(b"{%b}" % values).decode(),
        parent=parent.name if parent else None,
        forked_at=parent.messages if parent else None,
        deleted=head.deleted,
        problem=str(head.damage) if head.damage else "",
    )
