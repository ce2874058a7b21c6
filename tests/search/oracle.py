"""What a search has to find, said once more in plain Python over all messages: slow, and independent of the package.

What a message says comes from `session.shapes`, which has its own tests.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from coda_fs_session import SessionManager
from coda_fs_session.session import shapes

Places = dict[tuple[str, str], list[tuple[str, int]]]
"""By role and text: the sessions that have a message that says it, and where."""

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "TIBETAN", "MYANMAR", "KHMER", "BOPOMOFO", "IDEOG")
QUOTES = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u00b4\u2032", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
    **dict.fromkeys("\u2010\u2011", "-"),
}
UNSEEN = {"\u00ad", "\u200b", "\u2060", "\ufeff", *map(chr, range(0xFE00, 0xFE10))}
SIGNED = re.compile(r"(?<![A-Za-z0-9_])([A-Za-z](?:\+\+|#))(?![+#])")


def fold(text: str) -> str:
    text = "".join(QUOTES.get(each, each) for each in text if each not in UNSEEN)
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    text = "".join(each for each in text if not "\u0300" <= each <= "\u036f" or each == "\u0338")
    return unicodedata.normalize("NFC", text)


def tokens(folded: str) -> list[str]:
    found = [""]
    for each in folded:
        kind = unicodedata.category(each)
        name = unicodedata.name(each, "")
        word = kind[0] in "LMN" or kind in ("So", "Co", "Cn")
        if word and (kind == "So" or name.startswith(UNSPACED)):
            found += [each, ""]
        elif word:
            found[-1] += each
        else:
            found.append("")
    return [each for each in found if each]


def within(text: str) -> set[str]:
    """The words within the words of a text."""
    found = {each.lower() for each in SIGNED.findall(text)}
    for word in re.findall("[A-Za-z]+", text):
        if re.search("[a-z][A-Z]", word):
            found |= {each.lower() for each in re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", word)}
    return found


def terms(query: str) -> list[tuple[str, bool]]:
    """The terms of a query, each with whether it was in quotes."""
    query = fold(re.sub("[\0\ud800-\udfff]", " ", query))
    found = []
    for number, part in enumerate(query.split('"')):
        if number % 2:
            found.append((" ".join(part.split()), True))
        else:
            found += [(each.rstrip(",.;:!?、。…") or each, False) for each in part.split()]
    return [each for each in found if each[0]]


class Message:
    """A text, looked at once."""

    def __init__(self, text: str) -> None:
        self.folded = fold(text)
        self.line = " ".join(self.folded.split())
        self.tokens = tokens(self.folded)
        self.row = f" {' '.join(self.tokens)} "
        self.within = within(text)
        self.known = {*self.tokens, *self.within}
        self.beginnings = f" {' '.join(self.known)}"

    def has(self, term: str, *, prefix: bool = False) -> bool:
        words = tokens_of(term)
        literal = is_literal(term)
        if literal and term not in self.line:
            return False
        if not words:
            return True
        if re.fullmatch(SIGNED, term):
            return term in self.within
        if len(words) > 1 or literal:
            return f" {' '.join(words)}{'' if prefix else ' '}" in self.row
        return words[0] in self.known or (prefix and f" {words[0]}" in self.beginnings)


tokens_of = cache(tokens)


@cache
def is_literal(term: str) -> bool:
    return any(not tokens_of(each) and not each.isspace() for each in term)


class Oracle:
    """All messages of some sessions."""

    def __init__(self, sessions: Mapping[str, Iterable[dict[str, Any]]]) -> None:
        self.places: Places = {}
        for name, messages in sessions.items():
            for index, message in enumerate(messages):
                said = shapes.searched_text(message)
                if said:
                    self.places.setdefault((shapes.role(message), said), []).append((name, index))
        self._messages = {said: Message(said) for _, said in self.places}

    def find(self, query: str) -> Places:
        """Return all that a search without a limit has to find."""
        return self.by_words(query) or self.within_words(query)

    def by_words(self, query: str) -> Places:
        """Return what has all terms as words; the last one perhaps as the beginning of one."""
        wanted = terms(query)
        if not wanted:
            return {}
        found = self._select(lambda each: all(each.has(term) for term, _ in wanted))
        last, quoted = wanted[-1]
        words = tokens(last)
        ends = fold(query).rstrip().endswith(last)
        if not quoted and ends and words and len(words[-1]) >= 3 and last.endswith(words[-1]):
            front = [term for term, _ in wanted if term != last]
            found |= self._select(lambda each: all(map(each.has, front)) and each.has(last, prefix=True))
        return found

    def within_words(self, query: str) -> Places:
        """Return what has all terms, be it within words."""
        wanted = terms(query)
        return self._select(lambda each: all(term in each.line for term, _ in wanted)) if wanted else {}

    def _select(self, has: Any) -> Places:
        return {key: places for key, places in self.places.items() if has(self._messages[key[1]])}


def sessions_of(manager: SessionManager) -> Iterator[tuple[str, Sequence[dict[str, Any]]]]:
    for info in manager.list_sessions(hidden=True):
        yield info.name, manager.load_session(info.name).get_messages()


def found_by(manager: SessionManager, query: str, **options: Any) -> dict[str, list[list[tuple[str, int]]]]:
    """Return what a search finds as `told` does."""
    result = manager.search(query, limit=None, **options)
    assert result.complete, query
    assert result.total == len(result)
    found: dict[str, list[list[tuple[str, int]]]] = {}
    for hit in result:
        assert (hit.session, hit.index) == (hit.places[0].session, hit.places[0].index)
        found.setdefault(hit.role, []).append(sorted((place.session, place.index) for place in hit.places))
    return {role: sorted(places) for role, places in found.items()}


def told(places: Places) -> dict[str, list[list[tuple[str, int]]]]:
    """Return the places of each message that was found, by role."""
    found: dict[str, list[list[tuple[str, int]]]] = {}
    for (role, _), each in places.items():
        found.setdefault(role, []).append(sorted(each))
    return {role: sorted(each) for role, each in found.items()}
