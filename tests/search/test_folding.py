"""What texts have in common is found piece by piece, as it is of the whole text."""

from __future__ import annotations

import random

import pytest

from coda_fs_session.repo.search import folding
from coda_fs_session.repo.search.folding import folded, indexed, words

from .oracle import fold

PIECES = [
    *("a", "E", "I", "o", "=", "<", " ", "\n", "\u0301", "\u0308", "\u0338", "\u0323", "\u200b", "\ufe0f", "\u00ad"),
    *(
        "é",
        "É",
        "Å",
        "ß",
        "İ",
        "ﬁ",
        "Σ",
        "ς",
        "й",
        "ё",
        "ά",
        "ｶ",
        "ﾞ",
        "が",
        "\u3099",
        "한",
        "\u1112",
        "\u1161",
        "\u11ab",
    ),
    *("竹", "，", "Ｃ", "＋", "ไ", "ท", "\u0e48", "क", "\u093c", "٣", "①", "™", "🙂", "’", "“", "\u2011", "≠"),
]


@pytest.mark.parametrize("most", [folding._MOST_RUNS, 2])
def test_pieces_are_folded_as_the_whole_is(monkeypatch: pytest.MonkeyPatch, seed: int, most: int) -> None:
    """Accents after ASCII, what is gone between two characters, long runs and short ones; with room for few, too."""
    known = (folding._FOLDED, folding._SPREAD)
    for each in known:
        each.clear()
    monkeypatch.setattr(folding, "_MOST_RUNS", most)
    rng = random.Random(seed)
    for _ in range(3000):
        text = "".join(rng.choices(PIECES, k=rng.choice((1, 2, 3, 5, 8, 40))))
        assert folded(text) == fold(text), ascii(text)
        assert words(folded(indexed(text)[0])) == words(folded(text)), ascii(text)
    assert all(0 < len(each) <= most and max(map(len, each)) <= folding._LONGEST_RUN for each in known)
