"""What is looked for: a user's text, taken apart into terms."""

from __future__ import annotations

import re
from typing import NamedTuple

from .folding import folded, humps, is_word, signed_word, words

_MOST_TERMS = 64
"""So many are looked up in the index; of more, the others are looked for in what that finds."""
_MOST_WORDS = 64
_LEAST_OF_A_PREFIX = 3
_ENDS = ",.;:!?\u3001\u3002\u2026"
"""What ends a part of a sentence, and is hardly meant by somebody who looks for its last word."""
_IMPOSSIBLE = re.compile("[\0\ud800-\udfff]")
_PARTS = re.compile(r'"([^"]*)"?|([^\s"]+)')


class Term(NamedTuple):
    """A part of what is looked for.

    Attributes:
        text: folded, with single blanks.
        words: its words, in order; none for one that has signs only.
        is_literal: it has signs, or more words than are looked up: the text must have it as it is.
        is_open: a word at the end of which something may follow, at the end of what was typed.
    """

    text: str
    words: tuple[str, ...]
    is_literal: bool
    is_open: bool = False

    def expression(self, *, as_prefix: bool) -> str:
        """Return what finds it in the index, in the language of FTS5; "" where nothing does."""
        signed = signed_word(self.text)
        if signed is not None:
            return f'extra : "{signed}"'
        if not self.words:
            return ""
        phrase = f'"{" ".join(self.words[:_MOST_WORDS])}"'
        if as_prefix and self.is_open:
            phrase += " *"
        # What is within words is not next to each other.
        return phrase if len(self.words) == 1 and not self.is_literal else f"text : {phrase}"

    def is_in(self, text: Words, *, as_prefix: bool = False) -> bool:
        """Tell whether a text has it, by words."""
        if self.is_literal and self.text not in text.line:
            return False
        if not self.words:
            return True
        signed = signed_word(self.text)
        if signed is not None:
            return signed in text.all()
        prefix = as_prefix and self.is_open
        if len(self.words) > 1 or self.is_literal:
            return text.has_phrase(self.words, prefix=prefix)
        (word,) = self.words
        if text.has_phrase((word,), prefix=prefix):
            return True
        known = text.all()
        return word in known or (prefix and any(each.startswith(word) for each in known))


class Words:
    """A text, and its words once they are needed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded = folded(text)
        self.line = " ".join(self._folded.split())
        self._words: list[str] | None = None
        self._all: set[str] | None = None
        self._row: str | None = None

    def all(self) -> set[str]:
        """Return all words, also those within words."""
        if self._all is None:
            self._all = {*self.in_order(), *humps(self._text)}
        return self._all

    def in_order(self) -> list[str]:
        if self._words is None:
            self._words = words(self._folded)
        return self._words

    def has_phrase(self, phrase: tuple[str, ...], *, prefix: bool) -> bool:
        """Tell whether words follow each other in the text; of the last one perhaps only the beginning."""
        if self._row is None:
            self._row = f" {' '.join(self.in_order())} "
        return f" {' '.join(phrase)}{'' if prefix else ' '}" in self._row


class Query(NamedTuple):
    """All terms of what is looked for: a message has to have each of them."""

    terms: tuple[Term, ...]

    @property
    def is_literal(self) -> bool:
        """Whether the index alone cannot tell."""
        return any(term.is_literal for term in self.terms) or len(self.terms) > _MOST_TERMS

    @property
    def is_open(self) -> bool:
        return any(term.is_open for term in self.terms)

    def expression(self, *, as_prefix: bool = False) -> str:
        """Return what finds it in the index, in the language of FTS5; "" where nothing does."""
        found = [term.expression(as_prefix=as_prefix) for term in self.terms]
        return " AND ".join(f"({each})" for each in list(filter(None, found))[:_MOST_TERMS])

    def is_in(self, text: str, *, as_prefix: bool = False) -> bool:
        """Tell whether a message that says this has every term, by words."""
        known = Words(text)
        return all(term.is_in(known, as_prefix=as_prefix) for term in self.terms)

    def occurs_in(self, text: str) -> bool:
        """Tell whether every term occurs in a text, be it within a word."""
        line = Words(text).line
        return all(term.text in line for term in self.terms)


def query_of(text: str) -> Query:
    """Take apart what a user typed: terms between blanks, and phrases in quotes; one that is open ends at the end.

    Nothing else is syntax, and any text is possible.
    """
    plain = folded(_IMPOSSIBLE.sub(" ", text))
    terms: dict[str, Term] = {}
    end = len(plain.rstrip())
    for found in _PARTS.finditer(plain):
        phrase, word = found.groups()
        term = " ".join((phrase if word is None else word.rstrip(_ENDS) or word).split())
        if term:
            is_last = word is not None and found.end() == end and word == term
            # Of two that are alike the last one may be open.
            terms[term] = _term(term, is_last=is_last)
    return Query(tuple(terms.values()))


def _term(text: str, *, is_last: bool) -> Term:
    found = tuple(words(text))
    signs = any(not is_word(character) and not character.isspace() for character in text)
    is_open = is_last and bool(found) and len(found[-1]) >= _LEAST_OF_A_PREFIX and is_word(text[-1])
    return Term(text, found, signs or len(found) > _MOST_WORDS, is_open)
