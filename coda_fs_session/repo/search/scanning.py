"""Looking through the messages themselves, for what no index finds: signs, and what is within words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from itertools import chain
from typing import NamedTuple

import orjson

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
    """Tells quickly that messages do not have what is looked for."""

    def __init__(self, query: Query) -> None:
        pieces = sorted({piece for term in query.terms for piece in term.text.split()}, key=len, reverse=True)
        # As it is in JSON, and in JSON in JSON.
        forms = [(piece, _escaped(piece), _escaped(_escaped(piece))) for piece in pieces]
        self._folded = [tuple(dict.fromkeys(each)) for each in forms]
        self._forms = [tuple(form.encode() for form in each) for each in self._folded]
        self._has_letters = any(each.isalpha() for piece in pieces for each in piece)
        self._is_ascii = all(piece.isascii() for piece in pieces)

    @cached_property
    def _stand_for(self) -> re.Pattern[str]:
        return _stand_for(frozenset(filter(_is_sign, "".join(forms[0] for forms in self._folded))))

    def lines(self, lines: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """Return those of some message lines that may have it, with their numbers."""
        data = b"\n".join(lines)
        if self._is_ascii and not self._has_letters and not self._may_stand_for(data):
            # Then it is there as it is, or not at all.
            return [
                (number, line)
                for number, line in enumerate(lines)
                if all(any(form in line for form in forms) for forms in self._forms)
            ]
        return [(number, line) for number, line in enumerate(lines) if self.may_have(line)]

    def _may_stand_for(self, data: bytes) -> bool:
        """Tell whether something else may stand for the signs that are looked for."""
        if b"\\\\u" in data:
            return True
        return not data.isascii() and self._stand_for.search(data.decode("utf-8", "replace")) is not None

    def may_have(self, data: bytes) -> bool:
        """Tell whether message lines may have it, taken together."""
        if b"\\\\u" in data:
            # It may stand for anything.
            return True
        if data.isascii():
            if not self._is_ascii:
                return False
            data = data.lower() if self._has_letters else data
            return all(any(form in data for form in forms) for forms in self._forms)
        if self._is_ascii and not self._has_letters:
            # Whatever surrounds them, these signs are the same in every text; but for those that stand for them.
            if all(any(form in data for form in forms) for forms in self._forms):
                return True
            return self._stand_for.search(data.decode("utf-8", "replace")) is not None
        text = folded(data.decode("utf-8", "replace"))
        return all(any(form in text for form in forms) for forms in self._folded)


def _escaped(piece: str) -> str:
    return orjson.dumps(piece).decode()[1:-1]


@cache
def _signs_by_character() -> dict[str, frozenset[str]]:
    """Return characters that are other, or several, ASCII signs once they are folded, with these."""
    every = chain(range(0xA0, 0x3400), range(0xF900, 0x10000), range(0x1F100, 0x1F200))
    found = {chr(each): frozenset(filter(_is_sign, folded(chr(each)))) for each in every}
    return {character: signs for character, signs in found.items() if signs}


def _is_sign(character: str) -> bool:
    return character.isascii() and not character.isalnum() and not character.isspace()


def _stand_for(signs: frozenset[str]) -> re.Pattern[str]:
    """Return what finds characters that stand for any of some ASCII signs."""
    found = [character for character, stands_for in _signs_by_character().items() if stands_for & signs]
    return re.compile(f"[{''.join(map(re.escape, found))}]") if found else re.compile("(?!)")


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
        inline = self._in_lines(content.inline)
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
                self._seen[piece.name] = self._in_lines(data.split(b"\n")[:-1]) if self._sieve.may_have(data) else []
            yield from (
                (first + each.number, each.said)
                for each in reversed(self._seen[piece.name])
                if each.number < piece.messages
            )

    def _in_lines(self, lines: Sequence[bytes]) -> list[Found]:
        found = []
        for number, line in self._sieve.lines(lines):
            try:
                words = said(line)
            except ValueError:
                self._reading.failed = True
                continue
            if self._query.occurs_in(words.text):
                found.append(Found(number, words))
        return found
