"""The index: what every ref says, kept so that listing sessions reads only the refs that changed.

Deleting it loses nothing, and changes no answer. A row is trusted as long as the backend gives its ref the same token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from itertools import chain

from ...backends.base import Backend, MachineState, RefKey, Snapshot, Token, folder_of
from ...format.names import identity_of, session_key
from ...process.interrupts import Section
from ..content.state import State
from .file import SUMMARY, Paths, Summary, View, Views, decode_summary
from .freshness import Freshness
from .last_purge import LastPurge
from .listed import Listed, Listing, most_changed
from .parts import Names, Part, drop_view, keep_parts, load_part
from .reader import Reader
from .rows import Row, ViewRow, ordered

_FEW, _SHARE = 16, 1 / 50
"""Reading a ref takes as long as writing down the rows of some fifty."""


class Index:
    """Rows of all refs, by path and by name.

    Args:
        read: reads and folds one ref; raises KeyError where it is gone, SessionError where it is bad.
        horizon: tells from when on stamps are not believed. What refs add up to can depend on it, their rows cannot.
    """

    by_key = False
    _kept_states: Mapping[str, object]

    def __init__(
        self, backend: Backend, machine: MachineState, read: Callable[..., State], horizon: Callable[[], str]
    ) -> None:
        self._backend, self._machine = backend, machine
        self.reader = Reader(backend, machine.record, read)
        self._horizon_now = horizon
        self.freshness = Freshness(backend, machine.record)  # of the names
        self.last_purge = LastPurge(machine)
        self._making = threading.local()
        self._section = Section(self._forget_all)
        self.forget = self._section.renew  # all that is known: words may be in it that are to be nowhere
        self.forget()

    def rows(self) -> list[Row]:
        """Return the row of every ref, as of now."""
        with self._section:
            self._refresh()
            return [row for part in self._parts.values() for row in (part.rows or {}).values()]

    def listing(self) -> Listing | None:
        """Return what `keep_listing` was given once, if few refs have changed since: their rows are as of now."""
        with self._section:
            self._look_at_the_horizon()
            if not self._listed.known(self._horizon):
                return None
            listing = self._listed.since(self._backend.ref_tokens())
            if len(listing.changed) > most_changed(len(listing.tokens)):
                return None
            if listing.changed:
                self.reader.make_previews()
                # So that names are looked up in parts that are as the files are.
                self._refresh_names()
                folders = set(map(folder_of, listing.changed))
                self._doubt(self._compare(self._backend.ref_tokens_in(folders), folders))
            return listing if self._listed.known(self._horizon) else None

    def keep_listing(self, answer: bytes, rows: Iterable[Row], heads: Iterable[str], unsure: Set[str]) -> None:
        """Keep what is told of all sessions by these rows; see `Listed.set` for the rest."""
        with self._section:
            tokens = {row.path: row.token for row in rows}
            if len(unsure) <= most_changed(len(tokens)):
                self._listed.set(tokens, answer, heads, unsure)

    def named(self, *names: str) -> list[Row]:
        """Return the rows of refs that have or had one of these names, or may have had it before they were damaged."""
        with self._section:
            self._refresh_names()
            return self._named(*names)

    def at(self, paths: Iterable[str]) -> list[Row]:
        """Return the rows of the refs at some paths, as of the last look."""
        with self._section:
            self._open()
            return [row for path in paths if (row := self._row(path)) is not None]

    def last_named(self, *names: str) -> list[Row]:
        """Return what `named` does, as of the last time that something was asked of names."""
        with self._section:
            self._open()
            return self._named(*names)

    def starting(self, prefix: str) -> tuple[list[str], int]:
        """Return the names, also former ones, that begin with a text, and how many names there are in all."""
        with self._section:
            self._refresh_names()
            return self._names.starting(prefix, self._parts, self._part, lambda: self.keep(forget=False))

    def _named(self, *names: str) -> list[Row]:
        for folder in self._kept.folders_of(names):
            if folder in self._parts:
                self._part(folder)
        found = dict.fromkeys(path for name in names for path in self._names.paths(name, self._parts.values()))
        unreadable = [row for path in self._unreadable if (row := self._row(path)) is not None]
        if unreadable:
            # Those are known by their keys alone.
            keys = {identity_of(session_key(name)) for name in names}
            found.update((row.path, None) for row in sorted(unreadable) if row.key in keys)
        return [row for path in found if (row := self._row(path)) is not None]

    def previewed(self, row: Row) -> Row:
        """Return a row with its preview, as far as that can be read now."""
        if row.is_previewed or not row.readable or row.deleted:
            return row
        with self._section:
            row = self.reader.with_preview(row)
            known = self._row(row.path)
            if row.is_previewed and known is not None and known.plain() == row.plain():
                self._part(folder_of(row.path)).put(row)
            return row

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

    def fresh(self, row: Row, *, as_listed: bool = False) -> Row:
        """Return a row as of now, reading its ref again; as a list does, only where the ref has another token."""
        with self._section:
            token = self._backend.ref_token(RefKey(row.path)) if as_listed and row.path not in self._suspect else None
            if token is None or token != row.token:
                self._read_row(RefKey(row.path), token or row.token)
            return self._row(row.path) or row

    def has_come(self, key: RefKey) -> bool:
        """Take in a ref that has come since names were looked at; False for any other one."""
        with self._section:
            # Under just this name: where names differ only in case, another one may stand for it.
            known = self._row(key.path) is not None
            token = None if known else self._backend.ref_tokens_in([folder_of(key.path)]).get(key.path)
            if token is not None:
                self._read_row(key, token)
            return token is not None and self._row(key.path) is not None

    def look_again(self, keys: Collection[RefKey]) -> None:
        """Read refs whose record has changed, or which may have been replaced."""
        with self._section:
            self._listed.forget()
            tokens = self._backend.ref_tokens_in({folder_of(key.path) for key in keys})
            for key in keys:
                if key.path in tokens:
                    self._read_row(key, tokens[key.path])
                else:
                    self._forget(key.path)

    def view(self, rows: Iterable[Row]) -> list[ViewRow] | None:
        """Return what refs add up to, if that is known and none of them was found to have changed since."""
        with self._section:
            self._look_at_the_horizon()
            rows = ordered(rows)
            kept = self._views.get(tuple(row.path for row in rows))
            if kept is None or kept.tokens != tuple(row.token for row in rows):
                return None
            # It depends on other refs only in that none may have a name that was derived.
            derived = [each.label for each in kept.rows if each.diverged_from is not None]
            return None if derived and self._named(*derived) else kept.rows

    def keep_view(self, rows: Iterable[Row], view: list[ViewRow]) -> None:
        """Keep what refs add up to, until one of them changes."""
        with self._section:
            rows = ordered(rows)
            self._part(folder_of(rows[0].path)).is_dirty = True
            self._add_view(tuple(row.path for row in rows), View(tuple(row.token for row in rows), view))

    def _add_view(self, paths: Paths, view: View) -> None:
        self._views[paths] = view
        for path in paths:
            self._views_with.setdefault(path, set()).add(paths)

    def note(self, head: State) -> None:
        """Take in a ref that was just written."""
        with self._section:
            self._set(self.reader.row_of(head, inline=True))
            self.freshness.note([head.key.path])

    def replicas(self, *, look: bool = True) -> set[str]:
        """Return the ids of the replicas that have refs in the store; as of the last look where none is asked for."""
        with self._section:
            if look or not self.freshness.has_looked:
                self._refresh_names()
            # What lies among the replicas counts by its own name.
            paths = self._part("").rows or {} if len(self._parts.get("", ())) else {}
            return {folder.partition("/")[0] for folder, part in self._parts.items() if folder and len(part)} | {*paths}

    def keep(self, *, forget: bool = True) -> None:
        """Keep what changed for the next process; if another one has purged something since it was read, forget it."""
        with self._section:
            if self._opened and self.last_purge.is_past():
                return self._forget_all() if forget else None
            states, dirty = self.freshness.states, {folder for folder, part in self._parts.items() if part.is_dirty}
            self._listed.keep(self._horizon, drop=self.last_purge.may_go_on_in(dirty))
            if self._opened and (states != self._kept_states or dirty):
                keep_parts(self._machine, self._kept, self._parts, states, self._gone, self._horizon, self._views)
                self._gone.clear()
                self._kept_states = dict(states)

    def moved(self, refs: Sequence[tuple[RefKey, Token, Snapshot]], fold: Callable[..., State]) -> None:
        """Take in refs that have other tokens now: each with the token before, and what it is; for `fold` to read."""
        with self._section:
            for key, before, now in refs:
                row = self._row(key.path)
                if row is None or row.token != before:
                    # Appended to since, which nobody has told.
                    row = self.reader.row_of(fold(key, now), inline=True)
                self._set(row._replace(token=now.token))
            self.freshness.note(key.path for key, _, _ in refs)

    def use(self, backend: Backend) -> None:
        """Look into another backend from now on: see `Repository.use`."""
        self._backend = self.freshness.backend = self.reader.backend = backend

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._section.after_fork()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        self._making.maker = None
        self._section.recover()

    def _forget_all(self) -> None:
        self._parts: dict[str, Part] = {}  # by folder
        self._kept = Summary({})  # as it was when it was opened
        self._names = Names(self._machine)
        self._suspect: set[str] = set()  # paths of rows with a problem that may be over though the file is the same
        self._unreadable: set[str] = set()  # paths of rows that only the file's name tells the key of
        self._views: Views = {}
        self._views_with: dict[str, set[Paths]] = {}  # by path: the groups that it is in
        self.freshness.forget()
        self._kept_states = {}
        self._horizon = ""  # when the views, and the answer, were made
        self._listed = Listed(self._machine)
        self._gone: set[str] = set()  # folders that are not there any more
        self._opened = False

    def _row(self, path: str) -> Row | None:
        folder = folder_of(path)
        rows = self._part(folder).rows if folder in self._parts else None
        return rows.get(path) if rows else None

    def _part(self, folder: str) -> Part:
        """Return the part of a folder, with its rows."""
        part = self._parts.get(folder)
        if part is None:
            part = self._parts[folder] = Part()
            # So that the next look tells when it is gone.
            self.freshness.states.setdefault(folder, None)
        if part.rows is None:
            self._load(folder, part)
        return part

    def _load(self, folder: str, part: Part) -> None:
        horizon, part.rows, views, is_good = load_part(self._machine, folder, part.kept)
        self._names.add(part.rows.values())
        if horizon == self._horizon:
            for paths, view in views.items():
                self._add_view(paths, view)
        troubled = {path for path, row in part.rows.items() if row.problem}
        self._suspect |= troubled
        self._unreadable |= {path for path in troubled if not part.rows[path].readable}
        if not is_good:
            # It is damaged, or another process has kept it since: its rows are good as far as their tokens are.
            part.is_dirty = True
            self._compare(self._backend.ref_tokens_in([folder]), [folder])

    def _refresh(self) -> None:
        """Bring every row up to date."""
        self._open()
        tokens = self._backend.ref_tokens()
        self._doubt(self._compare(tokens, dict.fromkeys(chain(self._parts, map(folder_of, tokens)))))

    def _doubt(self, paths: Iterable[str]) -> None:
        """Look again into the folders of refs that were found to have changed."""
        for folder in set(map(folder_of, paths)):
            # What its state vouches for are other rows: another store may have come to stand here, and go again.
            self.freshness.doubt(folder)

    def _compare(self, tokens: Mapping[str, Token], folders: Iterable[str]) -> set[str]:
        """Bring the rows of some folders up to date; return the paths of the refs that are not as they were.

        Args:
            tokens: of all refs in them.
        """
        known = {path: row.token for folder in folders for path, row in (self._part(folder).rows or {}).items()}
        # A ref that could not be read may be readable now without having changed: permissions, a disk's hiccup.
        if known == tokens and not self._suspect:
            return set()
        changed = [path for path, token in tokens.items() if known.get(path) != token or path in self._suspect]
        # Of a store that a sync tool has brought, nothing is recorded: it takes as long to find that out as to read it.
        recorded = self._machine.record.replicas() if len(changed) > _FEW else None
        for key in self._backend.ahead(map(RefKey, changed)):
            self._read_row(key, tokens[key.path], recorded)
        for path in (gone := known.keys() - tokens.keys()):
            self._forget(path)
        return gone.union(changed)

    def _refresh_names(self) -> None:
        """Bring up to date which ref has which name: a header changes only when its ref is replaced."""
        self._open()
        for folder in self._kept.troubled & self._parts.keys():
            self._part(folder)
        for path in list(self._unreadable):
            key, row = RefKey(path), self._row(path)
            # Whose it is the file's name hardly tells: one that was mended in place must not be missed.
            if row is not None and (path in self._suspect or self._backend.ref_token(key) != row.token):
                self._read_row(key, row.token)
        for folder in (look := self.freshness.look(maker=getattr(self._making, "maker", None))).gone:
            self._forget_part(folder)
        # What is explained needs no look at sizes and times.
        known = {folder: self._part(folder).identities() for folder in look.explained}
        changed = [folder for folder, found in look.contents.items() if known.get(folder) != found]
        if changed:
            read = self._compare(self._backend.ref_tokens_in(changed), changed)
            few = _FEW + sum(map(len, map(self._part, changed))) * _SHARE
            if len(read) > few or (look.is_first and len(changed) > _FEW):
                # Not everybody closes a manager, or lists: the next program need not read, or look at, all this again.
                self.keep(forget=False)

    def _read_row(self, key: RefKey, token: Token, recorded: Collection[str] | None = None) -> None:
        self._suspect.discard(key.path)
        found = self.reader.read(key, token, self._row(key.path), recorded)
        if found.row is None:
            return self._forget(key.path)
        self._set(found.row)
        if found.may_pass:
            self._suspect.add(key.path)

    def _set(self, row: Row) -> None:
        part = self._part(folder_of(row.path))
        before = part.rows.get(row.path) if part.rows else None
        if before == row:
            return
        if before is not None and before.token == row.token:
            # Nothing else tells that a list which has it is of no use any more.
            self._listed.forget()
        self._forget(row.path)
        part.put(row)
        self._names.add([row])
        if not row.readable:
            self._unreadable.add(row.path)

    def _forget(self, path: str) -> None:
        folder = folder_of(path)
        row = self._part(folder).pop(path) if folder in self._parts else None
        if row is None:
            return
        self._names.drop(row)
        self._suspect.discard(path)
        self._unreadable.discard(path)
        for paths in self._views_with.pop(path, ()):
            drop_view(self._views, self._parts, paths)

    def _forget_part(self, folder: str) -> None:
        for path in list(self._parts.get(folder, Part()).rows or ()):
            self._forget(path)
        self._parts.pop(folder, None)
        self._gone.add(folder)

    def _open(self) -> None:
        """Read what was kept, without any rows."""
        if self._opened:
            return
        self._opened = True
        self.last_purge.look()
        self._horizon = self._horizon or self._horizon_now()
        self._kept = decode_summary(self._machine.recall(SUMMARY))
        self._parts = {folder: Part(part) for folder, part in self._kept.parts.items()}
        self.freshness.states = {folder: part.state for folder, part in self._kept.parts.items()}
        self._kept_states = dict(self.freshness.states)

    def _look_at_the_horizon(self) -> None:
        """Forget what refs add up to where that was found out when other stamps were believed."""
        before, self._horizon = self._horizon, self._horizon_now()
        if before not in ("", self._horizon):
            self._listed.forget()
            self._views, self._views_with = {}, {}
