"""Taking a text out of what is stored, at the same length: sizes, counts, and what they tell, stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

Matches = Callable[[str], Iterable[tuple[int, int]]]
"""Tells where in a text something is that must not stay: from where and up to where, in order, none of them empty."""

_MASK = ord("*")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?[0-9][0-9.eE+-]*+|[{}:,\[\]]', re.DOTALL)
_ESCAPE = re.compile(r'\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[bfnrt"\\/])')
_SIMPLE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_MOST_LEVELS = 8
"""How often JSON may stand as a text within JSON: with each level the backslashes double."""


class _Key(NamedTuple):
    """A key of a JSON object: which object it is of, and where its text is."""

    of: int
    start: int
    stop: int


def mask(line: bytes, matches: Matches) -> bytes:
    """Return JSON in compact form with `*` for each byte of what matches in its texts and keys.

    Texts are looked at as they are read, and where they are JSON in turn, as what that holds is read. An escape is
    taken out whole. In a number the digits become 1. A key that would come to equal another one ends in a number. What
    comes out is as long, and is JSON of the same form.

    Args:
        line: a JSON value that is known to be valid.
    """
    masked = bytearray(line)
    keys: list[_Key] = []
    changed: list[tuple[_Key, list[tuple[int, int]]]] = []
    for token, key in _tokens(line):
        start, stop = token.span()
        spans = _spans(line[start:stop], matches)
        if key is not None:
            keys.append(key)
            if spans:
                changed.append((key, [(start + first, start + last) for first, last in spans]))
        for first, last in spans:
            for place in range(start + first, start + last):
                masked[place] = _masked(line[start], masked[place])
    if changed:
        _tell_keys_apart(masked, keys, changed)
    return bytes(masked)


def _masked(first: int, byte: int) -> int:
    if first == ord('"'):
        return _MASK
    return ord("1") if ord("0") <= byte <= ord("9") else byte


def _tokens(line: bytes) -> Iterator[tuple[re.Match[bytes], _Key | None]]:
    """Yield each text and number; with what is a key, that it is one."""
    # Of each array or object that is open: its number where it is an object, and whether a key comes next.
    levels: list[tuple[int, bool]] = []
    objects = 0
    for token in _TOKEN.finditer(line):
        sign = line[token.start()]
        if sign == ord("{"):
            objects += 1
            levels.append((objects, True))
        elif sign == ord("["):
            levels.append((0, False))
        elif sign in b"}]":
            levels.pop()
        elif sign == ord(":"):
            levels[-1] = (levels[-1][0], False)
        elif sign == ord(","):
            number = levels[-1][0]
            levels[-1] = (number, number > 0)
        elif levels and levels[-1][1]:
            yield token, _Key(levels[-1][0], token.start() + 1, token.end() - 1)
        else:
            yield token, None


def _spans(token: bytes, matches: Matches) -> list[tuple[int, int]]:
    """Return which bytes of a text or number match."""
    quoted = token[:1] == b'"'
    text = token[1:-1].decode() if quoted else token.decode()
    # Of each character of what is looked at, where in `text` it begins; and the end.
    places: list[int] | None = None
    found: set[tuple[int, int]] = set()
    level, looked = 0, text
    while True:
        if level or not quoted:
            for first, last in matches(looked):
                if first < last:
                    found.add((places[first], places[last]) if places else (first, last))
        if not quoted or "\\" not in looked or level == _MOST_LEVELS:
            if quoted and not level:
                found.update((first, last) for first, last in matches(looked) if first < last)
            break
        looked, within = _unescaped(looked)
        places = [places[place] for place in within] if places else within
        level += 1
    ordered = _joined(found)
    if text.isascii():
        shift = int(quoted)
        return [(first + shift, last + shift) for first, last in ordered]
    return [(_bytes(text[:first]) + 1, _bytes(text[:last]) + 1) for first, last in ordered]


def _bytes(text: str) -> int:
    return len(text.encode())


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Read the escapes of a JSON text, and return where each character comes from, and where the last one ends."""
    pieces: list[str] = []
    places: list[int] = []
    done = 0
    for escape in _ESCAPE.finditer(text):
        start, stop = escape.span()
        pieces.append(text[done:start])
        places += range(done, start)
        pieces.append(_read(escape[0]))
        places.append(start)
        done = stop
    pieces.append(text[done:])
    places += range(done, len(text) + 1)
    return "".join(pieces), places


def _read(escape: str) -> str:
    if escape[1] != "u":
        return _SIMPLE[escape[1]]
    if len(escape) == 6:
        return chr(int(escape[2:], 16))
    high, low = int(escape[2:6], 16), int(escape[8:], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def unescaped(text: str) -> Iterator[str]:
    """Yield a text with the escapes of JSON in it read, once, twice, and as often as there are any."""
    for _ in range(_MOST_LEVELS):
        if "\\" not in text:
            return
        text, _ = _unescaped(text)
        yield text


def _tell_keys_apart(masked: bytearray, keys: list[_Key], changed: list[tuple[_Key, list[tuple[int, int]]]]) -> None:
    """Let keys that were masked end in a number where another one of the same object is the same."""
    again = {key for key, _ in changed}
    taken = {(key.of, bytes(masked[key.start : key.stop])) for key in keys if key not in again}
    for key, spans in changed:
        first, last = max(spans, key=lambda span: span[1] - span[0])
        number = 0
        while (key.of, bytes(masked[key.start : key.stop])) in taken:
            number += 1
            digits = b"%d" % number
            if len(digits) > last - first:
                break
            masked[last - len(digits) : last] = digits
        taken.add((key.of, bytes(masked[key.start : key.stop])))


def of_text(text: str) -> Matches:
    """Return what finds a text.

    Raises:
        ValueError: it is empty.
    """
    if not text:
        raise ValueError("an empty text stands everywhere")
    return of_pattern(re.compile(re.escape(text)))


def of_pattern(pattern: re.Pattern[str]) -> Matches:
    """Return what finds all that a pattern matches.

    Raises:
        ValueError: it matches empty text.
    """
    if pattern.search(""):
        raise ValueError(f"the pattern {pattern.pattern!r} matches empty text, which stands everywhere")
    return lambda text: (match.span() for match in pattern.finditer(text))


_SURE = re.compile("[A-Za-z0-9_]+")


class Sieve:
    """Passes over bytes that surely hold nothing that matches, without reading them as JSON.

    Args:
        text: what is looked for; None where it is a pattern, which may be anywhere.
    """

    def __init__(self, text: str | None) -> None:
        sure = max(_SURE.findall(text or ""), key=len, default="")
        # Nothing escapes a letter or a digit but as `\uXXXX`, and some programs do so with what is not ASCII.
        self._sure = sure.encode()

    def may_hold(self, data: bytes) -> bool:
        """Tell whether what is looked for may be in there; True where only reading it tells."""
        return self._sure in data or b"\\u00" in data
