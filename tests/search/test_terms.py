"""What is looked for is found in a text, or not, as in plain Python, whatever both are made of."""

from __future__ import annotations

import random

from coda_fs_session.repo.search.terms import query_of

from .oracle import Oracle

PIECES = [
    *("kit", "Kit", "kitchen", "c", "C", "C++", "c#", "+", "#", "++", "getUser", "HTTPServer", "userName", "_", "7"),
    *("don't", "a->b", "naïve", "Naive", "\u0301", "\u00ad", "豆", "腐", "🙂", "ไม่", "한", "≠", "=", "…", ",", "."),
    *("-", " ", " ", " ", " ", " ", " ", "\n", '"', '"'),
]


def some(rng: random.Random, most: int) -> str:
    return "".join(rng.choices(PIECES, k=rng.randint(1, most)))


def test_terms_are_found_as_in_plain_python(seed: int) -> None:
    """Of random texts and queries: as words, as beginnings of words, and within words."""
    rng = random.Random(seed)
    for _ in range(1500):
        text = some(rng, 12)
        oracle = Oracle({"chat": [{"role": "user", "content": text}]})
        beginning = text[rng.randrange(len(text)) :][: rng.randint(1, 6)]
        ending = rng.choice((",", "…", " ", '"', f" {beginning}"))
        for asked in (some(rng, 4), beginning, beginning + ending):
            query = query_of(asked)
            if query.terms:
                has = query.is_in(text) or query.is_in(text, as_prefix=True)
                assert has == bool(oracle.by_words(asked)), (asked, text)
                assert query.occurs_in(text) == bool(oracle.within_words(asked)), (asked, text)
            else:
                assert not oracle.find(asked), asked
