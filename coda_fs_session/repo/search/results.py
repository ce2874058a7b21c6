"""What a search tells: while the index is brought up to date, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchPlace:
    """Where a message is.

    Attributes:
        session: the name of the session.
        index: of the message in it: ``session.messages[index]``.
    """

    session: str
    index: int


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A message that was found.

    Attributes:
        snippet: some words of it around what was looked for, on one line.
        role: who says it: "system", "developer", "user", "assistant" or "tool", or as it is in the message.
        places: every place that has a message of this role and text, newest session first: branches that share it, and
            others that say the same.
        rank: how well it fits, the larger the better; 0.0 where it was found within words, newest first.
    """

    snippet: str
    role: str
    places: tuple[SearchPlace, ...]
    rank: float

    @property
    def session(self) -> str:
        """The name of the session that changed last among those that have it."""
        return self.places[0].session

    @property
    def index(self) -> int:
        """Where in that session it is."""
        return self.places[0].index


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found: iterate over it, or take its `hits`.

    Attributes:
        hits: the best first.
        complete: everything was looked at. False where messages could not be read, or where it would have taken too
            long to look through all.
        total: how many hits there are without the limit; None where there may be many more, which are not
            counted.
    """

    hits: tuple[SearchHit, ...] = ()
    complete: bool = True
    total: int | None = 0

    def __iter__(self) -> Iterator[SearchHit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, place: int) -> SearchHit:
        return self.hits[place]


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far a search has read what is new since the one before.

    Attributes:
        done, total: sessions that were read, and that are to be.
    """

    done: int
    total: int


SearchProgressCallback = Callable[[SearchProgress], object]
