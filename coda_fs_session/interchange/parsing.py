"""JSON of sources, read by the piece: documents that are lists, and lines."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from typing import IO, Any

import orjson

from ..errors import ExportError
from .skipping import Skips, nothing

MOST_OF_A_LINE = 256 * 1024 * 1024
_STEP = 1024 * 1024
# orjson reads an integer of more than 64 bits as a float.
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
# Of a number so long every sixth byte is one of three digits, or more: it is looked for in a sixth of the bytes first.
_EVERY, _DIGITS = 6, re.compile(rb"[0-9]{3}")
_FIRST_KEY = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*"')
_SPACES = re.compile(rb"[ \t\r\n]+")
# Possessive: what would be tried in another way is kept in memory, for each text or character.
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_UP_TO_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:%b[^"\[\]{}]*+)*+[\[\]{}]' % _TEXT, re.DOTALL)
_NO_BRACKETS = re.compile(rb"%b|[-+.\w]+" % _TEXT, re.DOTALL)


def parsed(data: bytes | memoryview) -> Any:
    """Return the value that a JSON text says, with lone surrogates, NaN and long integers as they are.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    if not _has_long_number(data):
        try:
            return orjson.loads(data)
        except ValueError:
            # It refuses lone surrogates and NaN, too.
            pass
    try:
        return json.loads(bytes(data))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _has_long_number(data: bytes | memoryview) -> bool:
    return _DIGITS.search(bytes(data[::_EVERY])) is not None and _LONG_NUMBER.search(data) is not None


def lines(stream: IO[bytes], notes: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines, as far as it goes.

    A last line that is not whole is left for later. Any other that is no object is a note.
    """
    number = 0
    while True:
        line = stream.readline(MOST_OF_A_LINE)
        if not line:
            return
        number += 1
        ended = line.endswith(b"\n")
        if not ended and len(line) >= MOST_OF_A_LINE:
            notes.append(f"line {number} has more than 256 MiB: it was left out")
            while line and not line.endswith(b"\n"):
                line = stream.readline(MOST_OF_A_LINE)
            continue
        text = line.strip().removeprefix(codecs.BOM_UTF8)
        if not text:
            continue
        try:
            value = parsed(text)
        except ValueError as error:
            notes.append(f"line {number} is {'no JSON' if ended else 'not whole yet'}: {error}")
            continue
        if isinstance(value, dict):
            yield value
        else:
            notes.append(f"line {number} is no object: it was left out")


def elements(stream: IO[bytes], name: str, skips: Skips = nothing) -> Iterator[tuple[Any, str]]:
    """Yield the elements of a document that is a list, or the document itself where it is something else.

    Each comes with a hash of its bytes. Only one of them is in memory. The document is read to its end before the first
    one is given: of one that is cut nothing is. What is not skipped is then read once more.

    Args:
        stream: can be read from the start again with ``seek(0)``.

    Raises:
        ExportError: it is no JSON, or cut.
    """
    try:
        wanted = [(raw, not skips(raw)) for raw in [raw for _, raw in _in_pieces(stream)]]
        if any(is_wanted for _, is_wanted in wanted):
            stream.seek(0)
            for (value, _), (raw, is_wanted) in zip(_in_pieces(stream), wanted, strict=True):
                if is_wanted:
                    yield value, raw
    except (ValueError, RecursionError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"is no whole JSON document: {error}", name) from error


def _in_pieces(stream: IO[bytes]) -> Iterator[tuple[Any, str]]:
    window = _Window(stream)
    if window.next_byte() != b"[":
        data = window.rest()
        yield parsed(data), _hash(data)
        return
    window.at += 1
    first = True
    while True:
        byte = window.next_byte()
        if byte == b"]":
            window.at += 1
            if window.next_byte():
                raise ValueError("something follows on its end")
            return
        if not first:
            if byte != b",":
                raise ValueError("it is cut" if not byte else "a comma is missing between two elements")
            window.at += 1
            window.next_byte()
        yield window.element()
        first = False


class _Window:
    """What of a list was read; `at` is where what was not given out yet begins."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = bytearray(stream.read(_STEP).removeprefix(codecs.BOM_UTF8))
        self.at = 0
        self._key = b""

    def next_byte(self) -> bytes:
        """Go to the next byte that is no space, and return it; nothing at the end."""
        while True:
            match = _SPACES.match(self._data, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self._data) or not self._more():
                return bytes(self._data[self.at : self.at + 1])

    def rest(self) -> bytes:
        """Return all that is left."""
        return bytes(self._data[self.at :]) + self._stream.read()

    def element(self) -> tuple[Any, str]:
        """Return the next element, and a hash of its bytes."""
        end = self._border()
        if end:
            try:
                return self._given(end)
            except ValueError:
                # Mostly the next object of this kind is within this one.
                pass
        return self._given(self._end())

    def _given(self, end: int) -> tuple[Any, str]:
        with memoryview(self._data) as data, data[self.at : end] as text:
            found = parsed(text), _hash(text)
        self.at = end
        if end > _STEP:
            # What is made of a large element needs the memory.
            self._let_go()
        return found

    def _border(self) -> int:
        """Return what is quick to find: the end of an object before one with the same first key; 0 where none is."""
        match = None if self._key else _FIRST_KEY.match(self._data, self.at)
        self._key = self._key or (match.group() if match else b"")
        if not self._key or not self._data.startswith(self._key, self.at):
            return 0
        seen = 1
        while (border := self._data.find(self._key, self.at + seen)) < 0:
            seen = max(seen, len(self._data) - self.at - len(self._key))
            if len(self._data) - self.at > 8 * _STEP or not self._more():
                return 0
        comma = self._data.rfind(b",", self.at, border)
        return 0 if self._data[comma + 1 : border].strip() else max(comma, 0)

    def _end(self) -> int:
        """Return where the next element ends, by its brackets: those within texts do not count."""
        depth = seen = 0
        is_nested = self._data.startswith((b"[", b"{"), self.at)
        pattern = _UP_TO_BRACKET if is_nested else _NO_BRACKETS
        while True:
            match = pattern.match(self._data, self.at + seen)
            found, size = match.end() - self.at if match else 0, len(self._data) - self.at
            # A number may go on. A text that does is looked at from its beginning: so each time twice of it is read.
            if (not found or (found == size and not is_nested)) and self._more(size - seen):
                continue
            if not found:
                raise ValueError("it is cut, or no JSON")
            seen = found
            if is_nested:
                depth += 1 if self._data[self.at + seen - 1] in b"[{" else -1
            if not depth:
                return self.at + seen

    def _let_go(self) -> None:
        del self._data[: self.at]
        self.at = 0

    def _more(self, size: int = 0) -> bool:
        more = self._stream.read(max(size, _STEP))
        self._let_go()
        self._data += more
        return bool(more)


def _hash(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
