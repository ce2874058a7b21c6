"""The tables of the index: which texts there are, and where. Only what sessions are now is ever changed in them.

A document is a distinct text. Messages lie in units: those of an object, or those that a session has in no object.
Edges lead from a unit to what holds it, up to sessions; so what branches share is indexed once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count, islice
from typing import Any, NamedTuple

import orjson

from ...backends.base import Token
from .folding import indexed
from .said import Said, hash_of

VERSION = 2
_TABLES = """
CREATE TABLE unit (id INTEGER PRIMARY KEY, name BLOB UNIQUE);
CREATE TABLE edge (child INTEGER, parent INTEGER, first INTEGER, messages INTEGER, PRIMARY KEY (child, parent, first))
    WITHOUT ROWID;
CREATE TABLE line (text INTEGER, unit INTEGER, number INTEGER, role INTEGER, time INTEGER,
    PRIMARY KEY (text, unit, number)) WITHOUT ROWID;
CREATE TABLE text (hash INTEGER PRIMARY KEY, id INTEGER NOT NULL);
CREATE TABLE role (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE session (key TEXT PRIMARY KEY, token TEXT, head TEXT, unit INTEGER, inline INTEGER, messages INTEGER,
    digest BLOB, start INTEGER) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (text, extra, content='',
    tokenize="unicode61 remove_diacritics 0 categories 'L* M* N* Co So'");
INSERT INTO words (words, rank) VALUES ('hashsize', 16777216)
"""
"""The categories are those of `folding.is_word`. What is not ASCII comes without case and accents."""
_KNOWN = "token, head, unit, inline, messages, digest, start"
"""The columns of a `SessionRow`, in its order."""
_KINDS = (str, int, int, int, bytes, int)
"""What these are after the token. SQLite keeps a value of any kind in a column of any."""
_FEW, _AT_A_TIME = 32, 500
_FREE_OF, _PAGES_AT_ONCE = 20, 2000
"""Pages may be free that are one of so many; and how many are given back while nobody else can write."""
_WHOLE = frozenset((int,))
_WHOLE_OR_NOTHING = frozenset((int, type(None)))

Below = tuple[bytes, int, int]
"""The name of a unit, the position of its first message in what holds it, and how many of its messages that has."""


class DamagedTablesError(Exception):
    """The tables hold what nobody wrote."""


class SessionRow(NamedTuple):
    """What is known of a session.

    Attributes:
        token: of the state that the rest is of; that of no ref where some of it could not be read.
        head: changes when anything but the messages in `inline` does.
        unit: the session; inline: its messages that are in no object.
        messages: how many of those are known; digest: their hash.
        start: how many messages at the front are hidden.
    """

    token: Token
    head: str
    unit: int
    inline: int
    messages: int
    digest: bytes
    start: int


class NewUnit(NamedTuple):
    """An object that is new, with the messages or the units in it."""

    name: bytes
    lines: Sequence[Said] = ()
    below: Sequence[Below] = ()


class NewState(NamedTuple):
    """What a session is now.

    Attributes:
        before: what was known of it.
        below: None where only messages came after those in `inline`.
        base: the position of the first message in no object.
        lines: those that are new; messages: how many are in no object, with these.
    """

    key: str
    before: SessionRow | None
    token: Token
    head: str
    start: int
    below: Sequence[Below] | None
    base: int
    lines: Sequence[Said]
    messages: int
    digest: bytes


class _Adding(NamedTuple):
    """What is to be added to the tables.

    Attributes:
        texts: the ids of the texts of messages to be added, and these messages, in the order in which they are.
    """

    units: list[tuple[int, bytes | None]]
    edges: list[tuple[int, int, int, int]]
    lines: list[tuple[int, int, int, int, int | None]]
    texts: Iterator[tuple[int, Said]]
    role: Callable[[str], int]

    def add_unit(self, number: int, name: bytes | None) -> None:
        self.units.append((number, name))

    def add_lines(self, unit: int, first: int, messages: int) -> None:
        for number, (text, each) in enumerate(islice(self.texts, messages), first):
            if text:
                self.lines.append((text, unit, number, self.role(each.role), each.time))


class Tables:
    """The tables in a database.

    Raises, from everything:
        sqlite3.Error, DamagedTablesError: they are of no use now, or any more.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.rows: dict[str, SessionRow] = {}
        self.sessions: dict[int, str] = {}
        """The keys of sessions by their units."""
        self._version: int | None = None
        self._units: dict[bytes, int] = {}
        self._roles: dict[str, int] = {}

    def prepare(self) -> bool:
        """Make the tables where there are none; False where there are those of another version."""
        version = self._number("PRAGMA user_version")
        if not version:
            with self._writing():
                if not self._number("PRAGMA user_version"):
                    for each in _TABLES.split(";"):
                        self.connection.execute(each)
                    self.connection.execute(f"PRAGMA user_version = {VERSION}")
            version = self._number("PRAGMA user_version")
        return version == VERSION

    def look(self) -> None:
        """Take in what other connections have written."""
        version = self._number("PRAGMA data_version")
        if version == self._version:
            return
        rows = {key: _known(*row) for key, *row in self.connection.execute(f"SELECT key, {_KNOWN} FROM session")}
        self.rows, self.sessions = rows, {row.unit: key for key, row in rows.items()}
        self._version = version

    def compact(self) -> None:
        """Give back pages in which nothing is any more, where these are many: merging leaves them."""
        if (self._number("PRAGMA freelist_count") or 0) > (self._number("PRAGMA page_count") or 0) // _FREE_OF:
            # As a script: `execute` gives back one page only.
            self.connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")

    def has(self, name: bytes) -> bool:
        """Tell whether an object is known with all that is in it."""
        return self._unit(name) is not None

    def _unit(self, name: bytes) -> int | None:
        if name not in self._units:
            found = self.connection.execute("SELECT id FROM unit WHERE name = ?", (name,)).fetchone()
            if found is None:
                return None
            self._units[name] = found[0]
        return self._units[name]

    def write(self, units: Sequence[NewUnit], states: Sequence[NewState]) -> set[str]:
        """Take in what is new, and return the keys of sessions that are not as they were before.

        What another process has taken in meanwhile is left as it is.
        """
        try:
            with self._writing():
                written = self._write(units, states)
        except BaseException:
            self._units.clear()
            self._roles.clear()
            raise
        for key, row in written:
            before = self.rows.get(key)
            if before is not None:
                self.sessions.pop(before.unit, None)
            self.rows[key], self.sessions[row.unit] = row, key
        return {state.key for state in states} - {key for key, _ in written}

    def _write(self, units: Sequence[NewUnit], states: Sequence[NewState]) -> list[tuple[str, SessionRow]]:
        if self._number("PRAGMA data_version") != self._version:
            # Another process was faster with some.
            self._units.clear()
            units = [unit for unit in units if self._unit(unit.name) is None]
            states = [state for state in states if self._row(state.key) == state.before]
        new: list[Said] = [*chain.from_iterable(unit.lines for unit in units)]
        new += chain.from_iterable(state.lines for state in states)
        numbers = count((self._number("SELECT max(id) FROM unit") or 0) + 1)
        adding = _Adding([], [], [], zip(self._texts(new), new, strict=True), self._role)
        for unit in units:
            number = self._units[unit.name] = next(numbers)
            adding.add_unit(number, unit.name)
            adding.add_lines(number, 0, len(unit.lines))
            self._add_edges(adding, number, unit.below)
        rows = [(state.key, self._row_of(state, adding, numbers)) for state in states]
        for table, values in (("unit", adding.units), ("edge", adding.edges), ("line", adding.lines)):
            self._insert(table, values)
        self._insert("session", [(key, orjson.dumps(row.token.numbers()).decode(), *row[1:]) for key, row in rows])
        return rows

    def _insert(self, table: str, values: Sequence[tuple[object, ...]]) -> None:
        if values:
            places = ",".join("?" * len(values[0]))
            self.connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({places})", values)

    def _row_of(self, state: NewState, adding: _Adding, numbers: Iterator[int]) -> SessionRow:
        """Return the row of a session, once what it has is among what is added."""
        before = state.before
        if state.below is None:
            assert before is not None
            unit, inline, first = before.unit, before.inline, before.messages
        else:
            unit, inline, first = next(numbers), next(numbers), 0
            adding.add_unit(unit, None)
            adding.add_unit(inline, None)
            self._add_edges(adding, unit, state.below)
            adding.edges.append((inline, unit, state.base, 2**62))
        adding.add_lines(inline, first, len(state.lines))
        return SessionRow(state.token, state.head, unit, inline, state.messages, state.digest, state.start)

    def _add_edges(self, adding: _Adding, parent: int, below: Iterable[Below]) -> None:
        for name, first, messages in below:
            child = self._unit(name)
            if child is None:
                # Another process has made the database anew since it was looked at.
                raise DamagedTablesError
            adding.edges.append((child, parent, first, messages))

    def _row(self, key: str) -> SessionRow | None:
        found = self.connection.execute(f"SELECT {_KNOWN} FROM session WHERE key = ?", (key,)).fetchone()
        return None if found is None else _known(*found)

    def _texts(self, lines: Sequence[Said]) -> list[int]:
        """Return the ids of the texts of messages, 0 for none; those that are new are indexed."""
        hashes = [hash_of(each.text) if each.text else 0 for each in lines]
        distinct = list(dict.fromkeys(filter(None, hashes)))
        ids: dict[int, int] = {0: 0}
        ids.update(self._in("SELECT hash, id FROM text WHERE hash IN", distinct))
        new, last = {}, self._number("SELECT max(id) FROM words_docsize") or 0
        for number, each in zip(hashes, lines, strict=True):
            if number not in ids:
                ids[number] = last = last + 1
                new[number] = each.text
        self._insert("text", [(each, ids[each]) for each in new])
        self.connection.executemany(
            "INSERT INTO words (rowid, text, extra) VALUES (?, ?, ?)",
            ((ids[number], *indexed(text)) for number, text in new.items()),
        )
        return [ids[each] for each in hashes]

    def _role(self, name: str) -> int:
        if name not in self._roles:
            self.connection.execute("INSERT OR IGNORE INTO role (name) VALUES (?)", (name,))
            (self._roles[name],) = self.connection.execute("SELECT id FROM role WHERE name = ?", (name,)).fetchone()
        return self._roles[name]

    def roles(self) -> dict[int, str]:
        return dict(self.connection.execute("SELECT id, name FROM role"))

    def texts(self, expression: str) -> Iterator[tuple[list[tuple[int, float]], bool]]:
        """Yield texts that have what is looked for, with their ranks: the least first, some at a time.

        With each some, whether they are the last.
        """
        found = self.connection.execute(
            "SELECT rowid, rank FROM words WHERE words MATCH ? ORDER BY rank", (expression,)
        )
        # Few at first: mostly that is enough.
        size = _FEW
        some = found.fetchmany(size)
        while some:
            size = min(2 * size, _AT_A_TIME)
            more = found.fetchmany(size)
            yield some, not more
            some = more

    def lines(self, texts: Sequence[int]) -> list[tuple[int, int, int, int, int | None]]:
        """Return where texts are: each as text, unit, number, role and time."""
        return self._in("SELECT text, unit, number, role, time FROM line WHERE text IN", texts, may_be_none=4)

    def edges(self, units: Sequence[int]) -> list[tuple[int, int, int, int]]:
        """Return what holds units: each as child, parent, first position and count."""
        return self._in("SELECT child, parent, first, messages FROM edge WHERE child IN", units)

    def _in(self, query: str, values: Sequence[int], *, may_be_none: int | None = None) -> list[Any]:
        """Return rows of whole numbers; one column may have none, by its place."""
        found: list[Any] = []
        for start in range(0, len(values), _AT_A_TIME):
            some = values[start : start + _AT_A_TIME]
            rows = self.connection.execute(f"{query} ({','.join('?' * len(some))})", some).fetchall()
            for number, column in enumerate(zip(*rows, strict=True)):
                if not (_WHOLE_OR_NOTHING if number == may_be_none else _WHOLE).issuperset(map(type, column)):
                    raise DamagedTablesError
            found += rows
        return found

    def _number(self, query: str) -> int | None:
        found = self.connection.execute(query).fetchone()[0]
        if found is not None and not isinstance(found, int):
            raise DamagedTablesError
        return found

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock of the database for a block, which is committed at its end."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors, such as a full disk.
            if self.connection.in_transaction:
                self.connection.rollback()
            raise


def _known(token: str, *rest: Any) -> SessionRow:
    if tuple(map(type, rest)) != _KINDS:
        raise DamagedTablesError
    try:
        return SessionRow(Token(*orjson.loads(token)), *rest)
    except (ValueError, TypeError) as error:
        raise DamagedTablesError from error
