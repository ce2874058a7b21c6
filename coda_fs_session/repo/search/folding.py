"""What texts have in common however they are written: case, accents, width; and which words are in them.

A text and what is looked for in it go through the same functions, so they need only agree with themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from unicodedata import category, normalize

_ACCENTED = re.compile(
    "[\u0300-\u0337\u0339-\u036f\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u052f\u1e00-\u1fff]"
)
# The stroke through a sign makes it another one: that of \u2260 is no accent.
_ACCENTS = re.compile("[\u0300-\u0337\u0339-\u036f]+")


class _Each(dict[int, str]):
    """What becomes of each character, found out once: `str.translate` takes long for one that is not there."""

    def __init__(self, become: Callable[[str], str], known: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__({ord(each): other for each, other in known})
        self._become = become

    def __missing__(self, code: int) -> str:
        self[code] = found = self._become(chr(code))
        return found


class _Runs(dict[str, str]):
    """What becomes of each run of characters that are not ASCII: most texts have few, many times."""

    def __init__(self, become: Callable[[str], str]) -> None:
        super().__init__()
        self._become = become

    def __missing__(self, run: str) -> str:
        found = self._become(run)
        if len(run) <= _LONGEST_RUN:
            if len(self) >= _MOST_RUNS:
                self.clear()
            self[run] = found
        return found


class _GoesWithBefore(Exception):
    """A run begins with an accent or the like of the ASCII character before it."""


# Quotes as editors set them; and what nobody sees: soft hyphens, variation selectors, spaces without width.
_PLAIN = _Each(
    lambda character: character,
    (
        *((each, "'") for each in "\u2018\u2019\u201a\u201b\u02bc\u00b4\u2032"),
        *((each, '"') for each in "\u201c\u201d\u201e\u201f\u2033"),
        *((each, "-") for each in "\u2010\u2011"),
        *((each, "") for each in "\u00ad\u200b\u2060\ufeff"),
        *((chr(each), "") for each in range(0xFE00, 0xFE10)),
    ),
)
_TO_TRANSLATE = re.compile("[\u00ad\u00b4\u02bc\u200b\u2010\u2011\u2018-\u201f\u2032\u2033\u2060\ufe00-\ufe0f\ufeff]")

_NOT_ASCII = re.compile("([^\0-\x7f]+)")
_LONGEST_RUN, _MOST_RUNS = 24, 50_000
"""A run that is longer is hardly there twice."""

_APART = (
    "\u00a6\u00a9\u00ae\u00b0\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2190-\u2bff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029"
    "\u3031-\u318f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001f000-\U0001fbff\U00020000-\U0003ffff"
)
"""Characters that are words by themselves: of scripts without spaces between words, and signs such as emoji."""
_RUN = re.compile(f"[{_APART}]+")

_CASES = bytes(
    ord("a") if chr(each).islower() and each < 128 else ord("A") if 65 <= each < 91 else 32 for each in range(256)
)
_ASCII_WORD = re.compile("[0-9a-z]+")
_HUMPS = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SIGNED = re.compile(r"(?<![A-Za-z0-9_])([A-Za-z])(\+\+|#)(?![+#])")
_SIGNS_OF_WORDS = re.compile(r"\+\+|#")
_SIGNS = {"++": "plusplus", "#": "sharp"}


def folded(text: str) -> str:
    """Return a text without case, accents and width, with plain quotes, and without what nobody sees."""
    if text.isascii():
        return text.lower()
    pieces = _NOT_ASCII.split(text)
    try:
        pieces[1::2] = map(_FOLDED.__getitem__, pieces[1::2])
    except _GoesWithBefore:
        return _folded(text)
    pieces[::2] = map(str.lower, pieces[::2])
    return "".join(pieces)


def _folded(text: str) -> str:
    if _TO_TRANSLATE.search(text):
        text = text.translate(_PLAIN)
    text = normalize("NFKC", text).casefold()
    if _ACCENTED.search(text):
        text = normalize("NFC", _ACCENTS.sub("", normalize("NFD", text)))
    return text


def _folded_alone(run: str) -> str:
    """Return what becomes of characters between ASCII, which never change what comes after them."""
    plain = run.translate(_PLAIN)
    if plain and category(normalize("NFKD", plain)[0])[0] == "M":
        raise _GoesWithBefore
    return _folded(run)


_FOLDED = _Runs(_folded_alone)


def spread(text: str) -> str:
    """Return a folded text with blanks around each character that is a word by itself."""
    return text if text.isascii() else _RUN.sub(_spread, text)


def _spread(run: re.Match[str]) -> str:
    return f" {' '.join(run.group())} "


_SPREAD = _Runs(lambda run: spread(_FOLDED[run]))


def _prepared(text: str) -> str:
    """Return a text as `spread` and `folded` would, but for case in ASCII, which the index takes away by itself."""
    if text.isascii():
        return text
    pieces = _NOT_ASCII.split(text)
    try:
        pieces[1::2] = map(_SPREAD.__getitem__, pieces[1::2])
    except _GoesWithBefore:
        return spread(_folded(text))
    return "".join(pieces)


def indexed(text: str) -> tuple[str, str]:
    """Return what an index is to have of a text: the text, and words that are within its words.

    Those are the parts of ``camelCase``, and ``C++`` and ``C#`` as words.
    """
    return _prepared(text), " ".join(_within_words(text))


def _within_words(text: str) -> Iterable[str]:
    extra = dict.fromkeys(_parts_of_words(text))
    if "++" in text or "#" in text:
        extra.update(dict.fromkeys(_signed_words(text)))
    return extra


def _parts_of_words(text: str) -> Iterator[str]:
    """Yield the parts of words in ``camelCase``."""
    # Regular expressions would take as long for this as the index for the text.
    data = text.encode("utf-8", "replace")
    cases = data.translate(_CASES)
    hump = cases.find(b"aA")
    while hump >= 0:
        end = cases.find(b" ", hump)
        end = len(data) if end < 0 else end
        yield from _HUMPS.findall(data[cases.rfind(b" ", 0, hump) + 1 : end].decode())
        hump = cases.find(b"aA", end)


def _signed_words(text: str) -> Iterator[str]:
    # Signs first: they are fewer than letters.
    for signs in _SIGNS_OF_WORDS.finditer(text):
        found = _SIGNED.match(text, signs.start() - 1) if signs.start() else None
        if found:
            yield word_of(*found.groups())


def word_of(letter: str, signs: str) -> str:
    """Return as a word what is a letter and signs, such as ``C++``."""
    return f"{letter.lower()}{_SIGNS[signs]}"


def signed_word(term: str) -> str | None:
    """Return as a word a term that is nothing but a letter and signs, None for any other."""
    found = _SIGNED.fullmatch(term)
    return word_of(*found.groups()) if found else None


def is_word(character: str) -> bool:
    """Tell whether a character of a folded text belongs to words, for the index as for us."""
    kind = category(character)
    return kind[0] in "LMN" or kind in ("So", "Co", "Cn")


def words(text: str) -> list[str]:
    """Return the words of a folded text, in order."""
    if text.isascii():
        return _ASCII_WORD.findall(text)
    return spread(text).translate(_WORDS_ALONE).split()


_WORDS_ALONE = _Each(lambda character: character if is_word(character) else " ")


def humps(text: str) -> set[str]:
    """Return the words that `indexed` adds to those of a text, folded."""
    return {each.lower() for each in _within_words(text)}
