"""Looking through messages: what is left out unread has nothing that is looked for."""

from __future__ import annotations

import random
import sys

import orjson
import pytest
from storekit import Opener

from coda_fs_session.repo.search.folding import folded
from coda_fs_session.repo.search.scanning import Sieve, _ascii_by_character
from coda_fs_session.repo.search.terms import query_of


def test_all_characters_that_stand_for_ascii_are_known(long_size: bool) -> None:
    """Every character of Unicode that is ASCII once it is folded, or gone, is among those that are looked for."""
    every = [*range(0x80, 0x3400), *range(0xA000, 0xAC00), *range(0xF900, 0x13000), *range(0x1B000, 0x20000)]
    if long_size:
        every = [each for each in range(0x80, sys.maxunicode + 1) if not 0xD800 <= each < 0xE000]
    known = _ascii_by_character()
    missing = [chr(each) for each in every if chr(each) not in known and _is_ascii_in_part(folded(chr(each)))]
    assert missing == []


def _is_ascii_in_part(text: str) -> bool:
    return not text or any(each < "\x80" for each in text)


PIECES = [
    *("->", "a", "B", "é", "e\u0301", "-\u200b>", "＞", "\u2010>", "\\", "＼", '"', "＂"),
    *("\n", "\t", "ﬁ", "\u0301", "竹", "/", "\x01"),
]
QUERIES = ["->", "->a", "a->", "fi", "e", "a\\b", "\\", "竹", "竹a", "é->", "b\\\\", "/a b", "\x01", "a\\"]


@pytest.mark.parametrize("number", range(4))
def test_the_sieve_lets_through_all_that_has_it(number: int, seed: int) -> None:
    """Of random messages, also JSON in JSON: each that has what is looked for comes through, with its number."""
    rng = random.Random(f"{seed} {number}")
    for _ in range(25):
        texts = ["".join(rng.choices(PIECES, k=rng.randint(0, 12))) for _ in range(rng.randint(1, 6))]
        contents = [text if rng.random() < 0.7 else {"arguments": text} for text in texts]
        lines = [orjson.dumps({"role": "user", "content": each}) for each in contents]
        data = b"\n".join(lines) + rng.choice((b"", b"\n"))
        for text in QUERIES:
            query = query_of(text)
            found = dict(Sieve(query).lines(data))
            assert all(found[each] == lines[each] for each in found)
            have = {each for each, said in enumerate(texts) if query.occurs_in(said)}
            assert have <= found.keys(), (text, texts)


def test_the_sieve_leaves_out_what_has_it_not() -> None:
    """Of many messages those are read that may have it, and in English no other."""
    lines = [orjson.dumps({"content": f"number {each} – “quoted”" + " a->b" * (each == 7)}) for each in range(50)]
    for text in ("->", "a->b", "A->B", "number 7"):
        found = [number for number, _ in Sieve(query_of(text)).lines(b"\n".join(lines))]
        assert found == ([7, 17, 27, 37, 47] if text == "number 7" else [7])


@pytest.mark.parametrize("text", ["a-\u200b>b", "a -\u0301> b", "a－＞b", "a\\u002d>b"])
def test_signs_are_found_however_they_are_written(again: Opener, text: str) -> None:
    """With marks that nobody sees between them, in full width."""
    with again() as manager:
        session = manager.create_session("chat")
        session.add_message({"role": "user", "content": text})
        manager.save_session(session)
        result = manager.search("->")
        assert (len(result), result.complete) == (int("\\" not in text), True)
