"""Take the sentences out of a page in Markdown, and count their words."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 25
"""Words that a sentence may have."""

_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?^[ \t]*\1[`~]*[ \t]*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+\.)\s+")
_ROW = re.compile(r"\s*\|.*\|\s*")
_RULE = re.compile(r"[\s|:-]+")
# A full stop within a word (`e.g`, 1.5) or before a small letter ends no sentence.
_END = re.compile(r"""(?<=[.!?])["')*_]*\s+(?=["'(*_]*[^a-z\s])""")
_WORD = re.compile(r"\w")


def sentences(page: str) -> Iterator[str]:
    """Yield the sentences of a page: what is code counts as one word, and headings and code blocks are left out.

    An item of a list, and a cell of a table, begins a sentence; it may hold several.
    """
    for passage in _passages(_FENCED.sub("\n\n", page)):
        text = _LINK.sub(r"\1", _CODE.sub("`code`", passage))
        for sentence in _END.split(" ".join(text.split())):
            if _WORD.search(sentence):
                yield sentence


def words(sentence: str) -> int:
    """Count the words of a sentence; a sign that stands alone is none."""
    return sum(_WORD.search(each) is not None for each in sentence.split())


def too_long(page: str) -> list[str]:
    """Return the sentences of more than `LONGEST` words."""
    return [sentence for sentence in sentences(page) if words(sentence) > LONGEST]


def _passages(page: str) -> Iterator[str]:
    gathered: list[str] = []
    for line in [*page.split("\n"), ""]:
        row, item = _ROW.fullmatch(line), _ITEM.match(line)
        if gathered and (row or item or not line.strip() or line.startswith("#")):
            yield " ".join(gathered)
            gathered = []
        if row:
            if not _RULE.fullmatch(line):
                yield from re.split(r"(?<!\\)\|", line.strip().strip("|"))
        elif line.strip() and not line.startswith("#"):
            gathered.append(line[item.end() :] if item else line)
