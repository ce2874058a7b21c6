"""Looking through the messages themselves, for what no index finds: signs, and what is within words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from typing import AnyStr, NamedTuple

from ...errors import SessionError
from .finding import Filter, Group, Place, Reading
from .folding import folded
from .said import Said, said
from .sources import Content, chunks_of
from .terms import Query


class Found(NamedTuple):
    """A message that has what is looked for."""

    number: int
    said: Said


class Sieve:
    """Tells quickly which messages do not have what is looked for, from the bytes of many."""

    def __init__(self, query: Query) -> None:
        # What JSON escapes, perhaps twice, parts them: the rest is there as it is.
        pieces = {piece for term in query.terms for piece in _ESCAPED.split(term.text) if piece}
        self._pieces = sorted(pieces, key=len, reverse=True) or ["\\"]
        self._bytes = [piece.encode() for piece in self._pieces]
        self._characters = frozenset("".join(self._pieces))
        self._is_ascii = all(map(str.isascii, self._characters))
        self._has_letters = any(map(str.isalpha, self._characters))

    @cached_property
    def _stand_for(self) -> re.Pattern[str]:
        return _stand_for(self._characters)

    def lines(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return those of some message lines that may have it, with their numbers."""
        if b"\\\\u" in data:
            # It may stand for anything.
            return [*enumerate(data.removesuffix(b"\n").split(b"\n"))]
        if self._is_ascii and not self._may_stand_for(data):
            # Then it is there as it is, but for case, or not at all.
            numbers = _numbers(data.lower() if self._has_letters else data, self._bytes, b"\n")
        elif data.isascii():
            return []
        else:
            numbers = _numbers(folded(data.decode("utf-8", "replace")), self._pieces, "\n")
        if not numbers:
            return []
        lines = data.split(b"\n")
        return [(number, lines[number]) for number in numbers]

    def _may_stand_for(self, data: bytes) -> bool:
        """Tell whether something else may stand for the characters that are looked for."""
        others = data.translate(None, _ASCII)
        return bool(others) and self._stand_for.search(others.decode("utf-8", "replace")) is not None


_ESCAPED = re.compile(r'[\s"\\\0-\x1f]+')
_ASCII = bytes(range(128))


def _numbers(data: AnyStr, pieces: Sequence[AnyStr], newline: AnyStr) -> list[int]:
    """Return the numbers of the lines that have all of some pieces."""
    first, others = pieces[0], pieces[1:]
    found = []
    number = start = 0
    place = data.find(first)
    while place >= 0:
        number += data.count(newline, start, place)
        start = data.rfind(newline, 0, place) + 1
        end = data.find(newline, place)
        end = len(data) if end < 0 else end
        if all(data.find(each, start, end) >= 0 for each in others):
            found.append(number)
        number, start = number + 1, end + 1
        place = data.find(first, start)
    return found


@cache
def _ascii_by_character() -> dict[str, str]:
    """Return characters with what they are once they are folded: all that are then ASCII in part, or gone."""
    return {chr(each): folded(chr(each)) for first, end in _BLOCKS for each in range(first, end)}


_BLOCKS = (
    *((0xA0, 0x400), (0x1D2C, 0x2200), (0x2460, 0x2500), (0x2A74, 0x2A77), (0x2C7C, 0x2C7E), (0x3000, 0x30A0)),
    *((0x3200, 0x3400), (0xA7F2, 0xA7F5), (0xFB00, 0xFB2A), (0xFC5E, 0xFC64), (0xFDFA, 0x10000), (0x107A5, 0x107A6)),
    *((0x1CCD6, 0x1CCFA), (0x1D400, 0x1D800), (0x1F100, 0x1F1A0), (0x1FBF0, 0x1FBFA)),
)
"""Where such characters are."""


def _stand_for(wanted: frozenset[str]) -> re.Pattern[str]:
    """Return what finds characters that stand for any of some in ASCII, or are gone from between them."""
    found = [character for character, text in _ascii_by_character().items() if not text or not wanted.isdisjoint(text)]
    return re.compile(f"[{''.join(map(re.escape, found))}]")


class Scan:
    """Looks through sessions, the newest first, until there is no time left or enough was found.

    Args:
        is_over: tells that there is no time left.

    Attributes:
        complete: everything was looked at.
    """

    def __init__(self, query: Query, wanted: Filter, reading: Reading, is_over: Callable[[], bool]) -> None:
        self._query, self._wanted, self._reading = query, wanted, reading
        self._sieve = Sieve(query)
        self._is_over = is_over
        self._seen: dict[bytes, list[Found]] = {}
        self.complete = True

    def groups(self, limit: int | None) -> Iterator[tuple[Group, str]]:
        """Return what was found, newest first, each with its text."""
        found: dict[tuple[str, str], Group] = {}
        sessions = list(self._wanted.view.values())
        for shown in sessions:
            content = self._reading.content(shown.key)
            if content is None:
                continue
            for position, words in self._messages(content):
                if position < content.start or not self._wanted.has(words.role, words.time, shown):
                    continue
                group = found.setdefault((words.role, words.text), Group(0.0, words.role))
                group.places.append(Place(shown, position, position - content.start))
            if self._is_over() or (limit is not None and len(found) >= limit):
                self.complete = self.complete and shown is sessions[-1]
                break
        for (_, text), group in found.items():
            group.sort()
            yield group, text

    def _messages(self, content: Content) -> Iterator[tuple[int, Said]]:
        """Yield the messages of a session that have it, the newest first, with their positions."""
        inline = self._in_lines(b"\n".join(content.inline))
        yield from ((content.base + each.number, each.said) for each in reversed(inline))
        for found in chunks_of(content):
            if isinstance(found, SessionError):
                self._reading.failed = True
                continue
            if self._is_over():
                self.complete = False
                return
            piece, first = found
            if piece.name not in self._seen:
                try:
                    data = content.data_of(piece)
                except SessionError:
                    self._reading.failed = True
                    continue
                self._seen[piece.name] = self._in_lines(data)
            yield from (
                (first + each.number, each.said)
                for each in reversed(self._seen[piece.name])
                if each.number < piece.messages
            )

    def _in_lines(self, data: bytes) -> list[Found]:
        found = []
        for number, line in self._sieve.lines(data):
            try:
                words = said(line)
            except ValueError:
                self._reading.failed = True
                continue
            if self._query.occurs_in(words.text):
                found.append(Found(number, words))
        return found
