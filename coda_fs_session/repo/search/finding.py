"""From texts that have what is looked for to the messages of sessions, as they are now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ...backends.base import Token
from ...errors import SessionError
from .results import SearchHit, SearchPlace
from .said import said
from .snippets import snippet
from .sources import UNREADABLE, Content, Shown, Source
from .terms import Query

if TYPE_CHECKING:
    from .tables import Tables

_MOST_PLACES = 10_000
"""Of a unit: a small store can say that it has any number."""
_MOST_STEPS = 10 * _MOST_PLACES
_TRIES = 3
_MOST_KEPT = 64
"""Sessions, of which at most what is in no object is kept."""


class Filter(NamedTuple):
    """Which messages are asked for.

    Attributes:
        view: the sessions that are searched, by their keys.
        since, until: microseconds since 1970-01-01 UTC.
    """

    view: Mapping[str, Shown]
    role: str | None = None
    since: int | None = None
    until: int | None = None

    def has(self, role: str, time: int | None, shown: Shown) -> bool:
        moment = shown.updated if time is None else time
        return (
            (self.role is None or role == self.role)
            and (self.since is None or moment >= self.since)
            and (self.until is None or moment < self.until)
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is.

    Attributes:
        position: with hidden messages counted; index: without.
    """

    shown: Shown
    position: int
    index: int


@dataclass(slots=True)
class Group:
    """All messages of one text and role.

    Attributes:
        rank: the less, the better it fits.
    """

    rank: float
    role: str
    places: list[Place] = field(default_factory=list)

    def sort(self) -> None:
        self.places.sort(key=lambda place: (-place.shown.updated, place.shown.name, place.index))

    @property
    def order(self) -> tuple[float, int]:
        return self.rank, -self.places[0].shown.updated

    def hit(self, text: str, query: Query) -> SearchHit:
        places = tuple(SearchPlace(place.shown.name, place.index) for place in self.places)
        return SearchHit(snippet(text, query), self.role, places, -self.rank or 0.0)


class Climb:
    """From units to the sessions that have them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._above: dict[int, list[tuple[int, int, int]]] = {}

    def load(self, units: Iterable[int]) -> None:
        pending = [unit for unit in set(units) if unit not in self._above]
        while pending:
            self._above.update((unit, []) for unit in pending)
            above = set()
            for child, parent, first, messages in self._tables.edges(pending):
                self._above[child].append((parent, first, messages))
                above.add(parent)
            pending = [unit for unit in above if unit not in self._above and unit not in self._tables.sessions]

    def places(self, unit: int, number: int) -> Iterator[tuple[str, int]]:
        """Yield the keys of sessions that have a message, with its positions."""
        pending = [
            (parent, first + number) for parent, first, messages in self._above.get(unit, ()) if number < messages
        ]
        for _ in range(_MOST_STEPS):
            if not pending:
                return
            above, position = pending.pop()
            key = self._tables.sessions.get(above)
            if key is not None:
                yield key, position
            else:
                pending += [(parent, first + position) for parent, first, _ in self._above.get(above, ())]


class Candidates(NamedTuple):
    """Messages that the index finds, the best first; and whether there are no more."""

    groups: list[Group]
    are_last: bool


def candidates(tables: Tables, expression: str, wanted: Filter) -> Iterator[Candidates]:
    """Yield the messages that the index finds, the best first, some at a time."""
    climb, roles = Climb(tables), tables.roles()
    for some, are_last in tables.texts(expression):
        ranks = dict(some)
        lines = tables.lines(list(ranks))
        climb.load(unit for _, unit, _, _, _ in lines)
        found: dict[tuple[int, int], Group] = {}
        for text, unit, number, role, time in lines:
            for key, position in islice(climb.places(unit, number), _MOST_PLACES):
                shown, start = wanted.view.get(key), tables.rows[key].start
                if shown is None or position < start:
                    continue
                if wanted.has(roles.get(role, ""), time, shown):
                    group = found.get((text, role))
                    if group is None:
                        group = found[text, role] = Group(ranks[text], roles.get(role, ""))
                    group.places.append(Place(shown, position, position - start))
        for group in found.values():
            group.sort()
        yield Candidates(sorted(found.values(), key=lambda group: group.order), are_last)


class Reading:
    """Reads messages that were found, each session once.

    Args:
        kept: what sessions had that were read before, with the tokens of these states.

    Attributes:
        failed: some could not be read.
    """

    def __init__(self, source: Source, kept: dict[str, tuple[Token, Content]] | None = None) -> None:
        self._source = source
        self._kept = {} if kept is None else kept
        self._contents: dict[str, Content | None] = {}
        self.failed = False

    def content(self, key: str) -> Content | None:
        """Return what a session has, None where that cannot be read."""
        if key not in self._contents:
            try:
                self._contents[key] = self._source.content(key)
            except UNREADABLE:
                self._contents[key], self.failed = None, True
        return self._contents[key]

    def _content(self, shown: Shown) -> Content | None:
        """Do as `content`, for a session of which more may be asked in the next search."""
        kept = self._kept.get(shown.key)
        if kept is not None and kept[0] == shown.token:
            return kept[1]
        content = self.content(shown.key)
        if content is not None and shown.token.settled:
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[shown.key] = (shown.token, content)
        return content

    def text(self, group: Group) -> str | None:
        """Return the text of a group, None where it cannot be read or is not there any more."""
        for place in group.places[:_TRIES]:
            content = self._content(place.shown)
            try:
                found = None if content is None else said(content.line(place.position))
            except IndexError:
                continue
            except (SessionError, ValueError):
                self.failed = True
                continue
            if found is not None and found.role == group.role:
                return found.text
        return None
