"""The words of a message around what was looked for."""

from __future__ import annotations

import re

from ...session.shapes import visible
from .folding import folded
from .terms import Query

WIDTH = 160
_BEFORE = 40


def snippet(text: str, query: Query) -> str:
    """Return some words of a text around the first that was looked for, on one line of about 160 characters."""
    start = max(_place(text, query) - _BEFORE, 0)
    if start:
        # At the beginning of a word, if there is one near.
        blank = re.search(r"\s", text[start : start + _BEFORE])
        start += blank.end() if blank else 0
    end = min(start + WIDTH, len(text))
    if end < len(text):
        blank = re.search(r"\s\S*$", text[start:end])
        end = start + blank.start() if blank and blank.start() > WIDTH // 2 else end
    return f"{'…' if start else ''}{visible(text[start:end])}{'…' if end < len(text) else ''}"


def _place(text: str, query: Query) -> int:
    """Return about where in a text the first of the terms is; 0 where none is as it was typed."""
    plain = folded(text)
    places = [place for term in query.terms if (place := _first(plain, term.text)) >= 0]
    if not places:
        places = [place for term in query.terms for word in term.words if (place := plain.find(word)) >= 0]
    place = min(places, default=0)
    if len(plain) == len(text):
        return place
    # Folding has made the text shorter or longer: look for where as much lies before.
    low, high = 0, len(text)
    while low < high:
        middle = (low + high) // 2
        if len(folded(text[:middle])) < place:
            low = middle + 1
        else:
            high = middle
    return low


def _first(text: str, term: str) -> int:
    """Return where a term is in a folded text, as a word if it is one somewhere; -1 where it is not."""
    found = re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text)
    return found.start() if found else text.find(term)
