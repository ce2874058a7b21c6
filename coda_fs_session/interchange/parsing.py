"""JSON of sources, read by the piece: documents that are lists, and lines."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

import orjson

from ..errors import ExportError

WHOLE = 16 * 1024 * 1024
"""Bytes of a document up to which it is read at once."""
MOST_OF_A_LINE = 256 * 1024 * 1024
_STEP = 1024 * 1024
# orjson reads an integer of more than 64 bits as a float.
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_FIRST_KEY = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*"')
_SPACE = " \t\r\n"


def parsed(data: bytes) -> Any:
    """Return the value that a JSON text says, with lone surrogates, NaN and long integers as they are.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    if _LONG_NUMBER.search(data) is None:
        try:
            return orjson.loads(data)
        except ValueError:
            # It refuses lone surrogates and NaN, too.
            pass
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


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


def elements(stream: IO[bytes], size: int, name: str) -> Iterator[Any]:
    """Yield the elements of a document that is a list, or the document itself where it is something else.

    A document of more than 16 MiB is read in pieces, and only one element of it is in memory. Then it is read twice:
    one that is cut must give nothing.

    Args:
        stream: can be read from the start again with ``seek(0)``.

    Raises:
        ExportError: it is no JSON, or cut.
    """
    try:
        if size <= WHOLE:
            value = parsed(stream.read().removeprefix(codecs.BOM_UTF8))
            yield from value if isinstance(value, list) else [value]
            return
        for _ in _in_pieces(stream):
            pass
        stream.seek(0)
        yield from _in_pieces(stream)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"is no whole JSON document: {error}", name) from error


def _in_pieces(stream: IO[bytes]) -> Iterator[Any]:
    data = stream.read(_STEP).removeprefix(codecs.BOM_UTF8).lstrip()
    if not data.startswith(b"["):
        yield parsed(data + stream.read())
        return
    window = _Window(stream, data[1:])
    first = True
    while True:
        window.skip_space()
        if window.data[:1] == b"]":
            window.data = window.data[1:]
            window.skip_space()
            if window.data:
                raise ValueError("something follows on its end")
            return
        if not first:
            if window.data[:1] != b",":
                raise ValueError("it is cut" if not window.data else "a comma is missing between two elements")
            window.data = window.data[1:]
            window.skip_space()
        yield window.element()
        first = False


class _Window:
    """What of a list was read and not given out yet."""

    def __init__(self, stream: IO[bytes], data: bytes) -> None:
        self._stream = stream
        self.data = data
        self._key = b""

    def skip_space(self) -> None:
        self.data = self.data.lstrip()
        while not self.data and self._more():
            self.data = self.data.lstrip()

    def element(self) -> Any:
        """Return the next element: an object up to where the next one of its kind begins, if it is whole there."""
        match = _FIRST_KEY.match(self.data)
        if match is not None:
            self._key = self._key or match.group()
            found = self._object()
            if found is not None:
                return found[0]
        return self._any()

    def _object(self) -> tuple[Any] | None:
        """Return the object that ends before the next one with the same first key; None where that does not help."""
        if not self.data.startswith(self._key):
            return None
        start = len(self._key)
        while True:
            border = self.data.find(self._key, start)
            if border < 0:
                if len(self.data) > 8 * _STEP or not self._more():
                    return None
                continue
            text = self.data[:border].rstrip()
            if text.endswith(b",") and _LONG_NUMBER.search(text) is None:
                try:
                    value = orjson.loads(text[:-1])
                except ValueError:
                    value = None
                if isinstance(value, dict):
                    self.data = self.data[len(text) - 1 :]
                    return (value,)
            start = border + 1

    def _any(self) -> Any:
        """Return the next element, whatever it is; what is not whole in the window is tried again with twice of it."""
        decoder = json.JSONDecoder()
        while True:
            # Only whole characters: the rest of the last one is still to come.
            text, used = codecs.utf_8_decode(self.data, "surrogatepass", False)
            try:
                value, end = decoder.raw_decode(text)
            except RecursionError as error:
                raise ValueError("it is nested too deeply") from error
            except ValueError as error:
                if not self._more(max(len(self.data), _STEP)):
                    raise ValueError(f"it is cut, or no JSON: {error}") from error
                continue
            if end == len(text) and text[-1:] not in '}]"' and self._more():
                # A number may go on.
                continue
            self.data = text[end:].encode(errors="surrogatepass") + self.data[used:]
            return value

    def _more(self, size: int = _STEP) -> bool:
        more = self._stream.read(size)
        self.data += more
        return bool(more)
