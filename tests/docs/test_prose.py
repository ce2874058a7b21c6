"""Sentences are short: one fact each, and at most 25 words."""

from __future__ import annotations

from pathlib import Path

import pytest

from .manual import ALL, names
from .prose import LONGEST, sentences, too_long, words


@pytest.mark.parametrize("page", ALL, ids=names)
def test_no_sentence_is_too_long(page: Path) -> None:
    """A sentence of more than 25 words says two things: make two of it."""
    assert too_long(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("page", "counts"),
    [
        ("One two.\nThree four\nfive.", [2, 3]),
        ("# A heading\n\nText `some code here` ends. `code` begins.", [3, 2]),
        ("- one two\n- three\n  four.\n\n1. five", [2, 2, 1]),
        ("| a b | c |\n|---|---|\n| d e f. G. | h |", [2, 1, 3, 1, 1]),
        ("```python\nnot. A. Sentence.\n```\n\n[a link](https://x.y/z) here: and on; so.", [6]),
        ("Version 1.5 of e.g. this – one (with a dot. Inside) it.", [9, 2]),
    ],
)
def test_what_counts_as_a_sentence(page: str, counts: list[int]) -> None:
    """The measure sees through lists, tables, links and code; a semicolon ends nothing."""
    assert [words(sentence) for sentence in sentences(page)] == counts


def test_a_long_sentence_is_found() -> None:
    """One word more than may be is found, and one less is not."""
    assert too_long(f"{'word ' * LONGEST}.") == []
    assert len(too_long(f"{'word ' * (LONGEST + 1)}.")) == 1
