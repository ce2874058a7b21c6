"""Searching: the index is brought up to date, what it finds is confirmed in the messages themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ...errors import SessionNotFoundError
from ...format.records import given_time
from ...process import forks
from ...process.interrupts import Section
from ...process.uncopied import Uncopied
from ...session.info import microseconds_of
from .finding import Candidates, Filter, Group, Reading, candidates
from .results import SearchHit, SearchProgressCallback, SearchResult
from .scanning import Scan
from .sources import Content, Source
from .terms import Query, query_of

if TYPE_CHECKING:
    from ...backends.base import MachineState, Token
    from .database import Database
    from .tables import Tables

_SCAN_SECONDS = 3.0


class Asked(NamedTuple):
    """The arguments of a search, checked.

    Attributes:
        session: the name of the only session that is searched.
        since, until: microseconds since 1970-01-01 UTC.
    """

    query: Query
    session: str | None
    role: str | None
    since: int | None
    until: int | None
    limit: int | None


def asked(text: object, session: str | None, role: object, since: object, until: object, limit: object) -> Asked:
    """Check the arguments of `SessionManager.search`; raises as that."""
    if not isinstance(text, str):
        raise TypeError(f"text must be text, not {type(text).__name__}")
    if role is not None and not isinstance(role, str):
        raise TypeError(f"role must be text, not {type(role).__name__}")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise TypeError(f"limit must be a whole number, not {type(limit).__name__}")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be 0 or more, not {limit}")
    times = (given_time(since, "since"), given_time(until, "until"))
    first, last = (None if moment is None else microseconds_of(moment) for moment in times)
    return Asked(query_of(text), session, role, first, last, limit)


class Search(Uncopied):
    """Searches the sessions of one store.

    Args:
        machine: has the state folder, in which the index is kept; None to keep it in memory.
        clock: tells seconds that pass.
    """

    def __init__(
        self, source: Source, machine: MachineState | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._clock = clock
        self._database = _database(machine)
        self._kept: dict[str, tuple[Token, Content]] = {}
        self._section = Section(self.close)
        forks.renew(self, forks.Floor.FRONT)

    def search(self, wanted: Asked, progress: SearchProgressCallback | None = None) -> SearchResult:
        """Return what is found; see `SessionManager.search`."""
        shown = self._source.sessions()
        view = {each.key: each for each in shown if wanted.session in (None, each.name)}
        if wanted.session is not None and not view:
            raise SessionNotFoundError(wanted.session)
        if not wanted.query.terms:
            return SearchResult()
        which = Filter(view, wanted.role, wanted.since, wanted.until)
        with self._section:
            found = self._by_index(wanted, which, progress)
        if not found.hits and not found.total and (wanted.limit != 0 or found.total == 0):
            # Perhaps it is within words.
            found = self._by_scan(wanted, which)
        if not all(each.is_good for each in view.values()):
            return SearchResult(found.hits, complete=False, total=found.total)
        return found

    def _by_index(self, wanted: Asked, which: Filter, progress: SearchProgressCallback | None) -> SearchResult:
        database = self._database
        if database is None:
            return SearchResult()
        from .database import UNUSABLE
        from .gathering import gather

        # A damaged file is made anew once; the last resort is memory.
        for attempt in range(3):
            if attempt == 2:
                database.go_without_file()
            try:
                tables = database.open()
                unread = gather(tables, self._source, list(which.view.values()), progress)
                found = self._in_tables(tables, wanted, which)
                if unread.isdisjoint(which.view):
                    return found
                return SearchResult(found.hits, complete=False, total=found.total)
            except UNUSABLE as error:
                if not database.give_up(error):
                    break
        return SearchResult(complete=False, total=None)

    def _in_tables(self, tables: Tables, wanted: Asked, which: Filter) -> SearchResult:
        found = Finding(Reading(self._source, self._kept), wanted)
        if expression := wanted.query.expression():
            found.add(candidates(tables, expression, which), as_prefix=False)
            if wanted.query.is_open and found.is_short:
                longer = wanted.query.expression(as_prefix=True)
                found.add(candidates(tables, longer, which), as_prefix=True)
        return found.result()

    def _by_scan(self, wanted: Asked, which: Filter) -> SearchResult:
        over = self._clock() + _SCAN_SECONDS
        reading = Reading(self._source)
        scan = Scan(wanted.query, which, reading, lambda: self._clock() > over)
        found = [group.hit(text, wanted.query) for group, text in scan.groups(wanted.limit)]
        complete = scan.complete and not reading.failed
        hits = tuple(found[: wanted.limit])
        return SearchResult(hits, complete=complete, total=len(found) if scan.complete else None)

    def close(self) -> None:
        """Close what is open; a search opens it again."""
        self._kept.clear()
        if self._database is not None:
            self._database.close()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        self._section.recover()

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        if self._database is not None:
            self._database.after_fork()
        self._section.after_fork()


def _database(machine: MachineState | None) -> Database | None:
    """Return where the tables are, None for a Python without SQLite."""
    try:
        from .database import Database
    except ModuleNotFoundError as error:
        if error.name not in ("sqlite3", "_sqlite3"):
            raise
        return None
    return Database(machine)


class Finding:
    """Confirms what an index finds, until there is enough.

    Attributes:
        is_short: fewer were found than are wanted.
    """

    def __init__(self, reading: Reading, wanted: Asked) -> None:
        self._reading = reading
        self._query, self._limit = wanted.query, wanted.limit
        self._hits: list[SearchHit] = []
        self._known: set[tuple[str, str, int]] = set()
        self._count = 0
        self._is_counted = True

    @property
    def is_short(self) -> bool:
        return self._limit is None or len(self._hits) < self._limit

    def add(self, found: Iterator[Candidates], *, as_prefix: bool) -> None:
        for some in found:
            for group in some.groups:
                if self.is_short or some.are_last:
                    self._add(group, as_prefix=as_prefix)
            if not self.is_short and not some.are_last:
                # Nobody asked for more.
                self._is_counted = False
                return

    def _add(self, group: Group, *, as_prefix: bool) -> None:
        first = group.places[0]
        known = (group.role, first.shown.key, first.position)
        if known in self._known:
            return
        if self.is_short or self._query.is_literal:
            text = self._reading.text(group)
            if text is None or not self._query.is_in(text, as_prefix=as_prefix):
                return
            if self.is_short:
                self._hits.append(group.hit(text, self._query))
                self._known.add(known)
        self._count += 1

    def result(self) -> SearchResult:
        total = self._count if self._is_counted else None
        return SearchResult(tuple(self._hits), complete=not self._reading.failed, total=total)
