"""The index: what every ref says, kept so that listing sessions reads only the refs that changed.

A derived table: deleting it loses nothing and changes no answer. A row is trusted as long as the backend
gives the same token for its ref.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

from ...backends.base import Backend, MachineState, RefKey, Token
from ...errors import CorruptionError, SessionError, StoreFormatError, printable
from ...format.names import key_of_ref, session_key
from ...process.interrupts import Section
from ..content.state import State
from .file import Kept, Views, decode, decode_rest, encode
from .freshness import Freshness
from .rows import Row, ViewRow, row_of

_FEW, _SHARE = 16, 1 / 50
"""Reading a ref takes as long as writing down the rows of some fifty."""


class Index:
    """Rows of all refs, by path and by name.

    Args:
        read: reads and folds one ref; raises KeyError where it is gone, SessionError where it is bad.
        horizon: tells from when on stamps are not believed. What refs add up to can depend on it, their rows cannot.
    """

    _answer: bytes | None

    def __init__(
        self, backend: Backend, machine: MachineState, read: Callable[[RefKey], State], horizon: Callable[[], str]
    ) -> None:
        self._backend = backend
        self._machine = machine
        self._read = read
        self._horizon_now = horizon
        self._freshness = Freshness(backend, machine.record)
        self._making = threading.local()
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
            if self._kept is None:
                self._refresh()
            elif self._backend.ref_tokens() != self._kept.tokens:
                return None
            return self._answer

    def keep_listing(self, answer: bytes) -> None:
        """Keep JSON of what is told of all sessions, until a ref changes."""
        with self._section:
            self._answer = answer
            self._dirty = True

    def named(self, *names: str) -> list[Row]:
        """Return the rows of refs that have or had one of these names, or may have had it before they were damaged."""
        with self._section:
            self._refresh_names()
            by_name = self._paths_by_name()
            found = dict.fromkeys(chain.from_iterable(filter(None, map(by_name.get, names))))
            unreadable = [self._rows[path] for path in self._unreadable]
            if unreadable:
                # Those are known by their keys alone.
                keys = set(map(session_key, names))
                found.update((row.path, None) for row in sorted(unreadable) if row.name in keys)
            return [self._rows[path] for path in found]

    @contextmanager
    def making(self, maker: str | None) -> Iterator[None]:
        """Let look-ups of this thread in the block serve a replica that is to make a ref: see `Freshness.look`.

        So that many can be made in a row, whose time does not grow with how many there are.
        """
        self._making.maker = maker
        try:
            yield
        finally:
            self._making.maker = None

    @property
    def is_recent(self) -> bool:
        """Whether a look-up in `making` is likely to be quick."""
        return self._freshness.is_recent

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

    def note(self, head: State) -> None:
        """Take in a ref that was just written."""
        with self._section:
            self._set(row_of(head))
            self._freshness.note()

    def replicas(self) -> set[str]:
        """Return the ids of the replicas that have refs in the store."""
        with self._section:
            self._refresh_names()
            return {path.partition("/")[0] for path in self._rows}

    def keep(self) -> None:
        """Keep the rows for the next process, if any changed."""
        with self._section:
            if self._dirty and self._kept is None:
                marker = self._freshness.marker
                self._machine.keep_index(encode(self._horizon, marker, self._rows, self._views, self._answer))
                self._dirty = False

    def moved(self, tokens: Iterable[tuple[RefKey, Token, Token]]) -> None:
        """Take note that refs have other tokens now: each with the one before."""
        with self._section:
            for key, before, after in tokens:
                row = self._rows.get(key.path)
                if row is not None and row.token == before:
                    self._set(row._replace(token=after))
            self._freshness.note()

    def use(self, backend: Backend) -> None:
        """Look into another backend from now on: see `Repository.use`."""
        self._backend = self._freshness.backend = backend

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._section.after_fork()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        self._making.maker = None
        self._section.recover()

    def _forget_all(self) -> None:
        self._rows: dict[str, Row] = {}
        self._by_name: dict[str, dict[str, None]] | None = None
        self._suspect: set[str] = set()  # paths of rows with a problem that may be over though the file is the same
        self._unreadable: set[str] = set()  # paths of rows that only the file's name tells the key of
        self._views: Views = {}
        self._views_with: dict[str, set[tuple[str, ...]]] = {}  # by path: the groups that it is in
        self._freshness.forget()
        self._horizon = ""  # when the views, and the answer, were made
        self._answer = None
        self._kept: Kept | None = Kept()  # None once the rows are decoded
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
        self._freshness.marker = None
        changed = [path for path, token in tokens.items() if known.get(path) != token or path in self._suspect]
        for path in changed:
            self._read_row(RefKey(path), tokens[path])
        for path in known.keys() - tokens.keys():
            self._forget(path)
        return len(changed)

    def _refresh_names(self) -> None:
        """Bring up to date which ref has which name: a header changes only when its ref is replaced."""
        self._load()
        for path in list(self._unreadable):
            key, row = RefKey(path), self._rows[path]
            # Whose it is the file's name hardly tells: one that was mended in place must not be missed.
            if path in self._suspect or self._backend.ref_token(key) != row.token:
                self._read_row(key, row.token)
        before, read = self._freshness.marker, 0
        maker = getattr(self._making, "maker", None)
        if self._freshness.look(lambda: {path: row.token.identity for path, row in self._rows.items()}, maker=maker):
            marker = self._freshness.marker
            read = self._compare(self._backend.ref_tokens())
            self._freshness.marker = marker
        self._dirty = self._dirty or self._freshness.marker != before
        if read > _FEW + len(self._rows) * _SHARE:
            # Not everybody closes a manager, or lists: the next program need not read all this again.
            self.keep()

    def _read_row(self, key: RefKey, token: Token) -> None:
        self._suspect.discard(key.path)
        try:
            # Before the ref: a save writes the record last.
            end = self._machine.record.end(key)
            row = row_of(self._read(key))
            self._set(row if end is None or end == self._backend.ref_end(key) else row._replace(differs=True))
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
        self._kept = kept = decode(self._machine.load_index())
        self._horizon, self._freshness.marker, self._answer = kept.horizon, kept.marker, kept.answer

    def _load(self) -> None:
        """Have the rows."""
        self._open()
        if self._kept is None:
            return
        kept, self._kept = self._kept, None
        decoded = decode_rest(kept)
        if decoded is None:
            # The index is only a copy of what the refs say: those are read again.
            decoded, self._freshness.marker, self._answer = ({}, {}), None, None
        self._rows, views = decoded
        for paths, view in views.items():
            self._add_view(paths, view)
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


def _paths_of(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(sorted(row.path for row in rows))
