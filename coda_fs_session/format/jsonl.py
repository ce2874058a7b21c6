"""Message lines: JSON that comes back exactly as it went in (FORMAT.md, "Message lines")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from datetime import date, datetime, time
from math import isfinite
from types import NoneType
from typing import Any

import orjson

from ..errors import CorruptionError, InvalidMessageError

BEGIN = b'{"'
"""What every ref begins with, as an object that is not empty does."""

MAX_DEPTH = 200
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1
_EXACT = frozenset((int, bool, NoneType))
_SURVEYED = 100_000
_LONG = 1024 * 1024
_HINTS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (tuple, "a tuple would come back as a list: use a list"),
    ((set, frozenset), "a set has no JSON form: use a list"),
    ((bytes, bytearray, memoryview), "bytes have no JSON form: use text, for example base64"),
    ((datetime, date, time), "a date or time has no JSON form: use .isoformat()"),
)


def encode_value(value: Any, value_path: str) -> bytes:
    """Return `value` as one line of JSON (no newline), key order as given.

    Args:
        value: what a message or metadata field holds.
        value_path: what to call the value in an error, such as ``messages[3]``.

    Raises:
        InvalidMessageError: the value would not come back equal; the error names the exact place.
    """
    return _trim(_encode(value, value_path, _survey(value)[0]))


def encode_message(message: Any, value_path: str) -> bytes:
    """Return a message as its line (no newline); a message is any JSON object with text keys.

    Raises:
        InvalidMessageError: see `encode_value`.
    """
    return encode_value(_checked(message, value_path), value_path)


def encode_within(message: Any, messages: Sized, limit: int) -> bytes | None:
    """Do as `encode_message` for one to come after `messages`, or return None for a line longer than `limit` bytes.

    What is much too long is found out without writing it down.
    """
    containers, characters = _survey(message if isinstance(message, dict) else _checked(message, _path(len(messages))))
    if characters > limit:
        return None
    try:
        line = orjson.dumps(message)
    except (TypeError, ValueError, RecursionError):
        containers = None
    if containers is None or containers > MAX_DEPTH:
        # Seldom: something is not as it should be, or only reading it back can tell.
        line = _encode(message, _path(len(messages)), containers)
    if len(line) > limit:
        return None
    # `_trim`, spelled out: every message that is added passes here.
    return memoryview(line).tobytes() if len(line) < _LONG else line


def _path(position: int) -> str:
    return f"messages[{position}]"


def encode_all(messages: Iterable[Any], start: int) -> list[bytes]:
    """Return a run of messages, the first of which is ``messages[start]``, as lines.

    Raises:
        InvalidMessageError: see `encode_value`.
    """
    return [encode_message(message, _path(index)) for index, message in enumerate(messages, start)]


def encode_unchecked(messages: Iterable[Any]) -> Iterator[bytes]:
    """Yield messages as lines, still to be `trimmed`, which are those of `encode_message` if they are `all_plain`.

    Raises:
        TypeError: one cannot be written.
    """
    return map(orjson.dumps, messages)


def trimmed(lines: Iterable[bytes]) -> list[bytes]:
    """Return lines without the room, several times their length, that orjson makes for each and does not give back.

    Of a long line that room is never touched, and takes no memory.
    """
    return [_trim(line) for line in lines]


def _trim(line: bytes) -> bytes:
    return memoryview(line).tobytes() if len(line) < _LONG else line


def _checked(message: Any, value_path: str) -> Any:
    if not isinstance(message, dict):
        raise InvalidMessageError(value_path, no_message(message))
    return message


def no_message(value: Any) -> str:
    """Say of a value that it is no message."""
    kind = type(value).__name__
    return f"a message must be a dict, not {kind}{': use its .model_dump()' if _dumps_itself(value) else ''}"


def _dumps_itself(value: Any) -> bool:
    """Tell whether a value is a model of pydantic, as the clients of most providers return them."""
    return callable(getattr(type(value), "model_dump", None))


def _encode(value: Any, value_path: str, containers: int | None) -> bytes:
    try:
        line: bytes = orjson.dumps(value)
        # orjson writes NaN as null and a tuple as a list without a word. Where there is nothing of the kind, it
        # is exact; elsewhere only reading back shows it.
        exact = containers is not None or orjson.loads(line) == value
    except (TypeError, ValueError, RecursionError) as error:
        raise _explain(value, value_path, str(error)) from error
    if containers is None:
        containers = line.count(b"{") + line.count(b"[")
    if not exact or (containers > MAX_DEPTH and _depth(value) > MAX_DEPTH):
        raise _explain(value, value_path, "it would not come back as it went in")
    return line


def _survey(value: Any) -> tuple[int | None, int]:
    """Count containers and characters of text, the keys apart.

    Returns:
        None for the containers where the value holds something besides plain JSON types, or too much to look at
        each; the characters are a lower bound then.
    """
    characters = 0
    pending = [value] if type(value) in (dict, list) else [[value]]
    for item in pending:
        # As a tuple: while autosave looks, another thread may put something in.
        for child in tuple(item.values() if type(item) is dict else item):
            kind = type(child)
            if kind is str:
                characters += len(child)
            elif kind is dict or kind is list:
                pending.append(child)
            elif not (kind in _EXACT or (kind is float and isfinite(child))):
                return None, characters
        if len(pending) > _SURVEYED:
            # Perhaps a list that holds itself.
            return None, characters
    return len(pending), characters


def is_plain(value: Any) -> bool:
    """Tell whether a value is of plain JSON types throughout, and not so large that this takes long to tell."""
    return _survey(value)[0] is not None


def all_plain(messages: list[Any]) -> bool:
    """Tell whether messages that could be written surely hold only what JSON keeps as it is, not nested too deeply."""
    if not set(map(type, messages)) <= {dict}:
        return False
    level = messages
    try:
        for _ in range(MAX_DEPTH):
            below: list[Any] = []
            for item in level:
                for child in item.values() if type(item) is dict else item:
                    kind = type(child)
                    if kind is str:
                        continue
                    if kind is dict or kind is list:
                        below.append(child)
                    elif not (kind in _EXACT or (kind is float and isfinite(child))):
                        return False
            if not below:
                return True
            level = below
            if len(level) > _SURVEYED:
                return False
    except RuntimeError:
        # Another thread has put something into one of them.
        pass
    return False


def decode(line: bytes) -> Any:
    """Return the value of one line of JSON.

    Raises:
        ValueError: it is not JSON.
    """
    return orjson.loads(line)


def decode_all(lines: Iterable[bytes]) -> list[Any]:
    """Return the value of each line; of an iterator, a long line is let go of before it is decoded.

    Raises:
        CorruptionError: one is not JSON.
    """
    loads = orjson.loads
    values = []
    try:
        for line in lines:
            if len(line) < _LONG:
                values.append(loads(line))
            else:
                # orjson works on a copy, beside the line and the value.
                text = line.decode()
                del line
                values.append(_loads_text(text))
                del text
    except (ValueError, RecursionError) as error:
        # Its hash was right: whoever wrote it wrote this.
        raise CorruptionError(f"a stored message is not JSON: {error}; another program must have written it") from error
    return values


def _loads_text(text: str) -> Any:
    import json

    return json.loads(text)


def _explain(value: Any, value_path: str, problem: str) -> InvalidMessageError:
    """Find the place in `value` that JSON cannot hold."""
    stack: list[tuple[Any, str, int]] = [(value, value_path, 1)]
    while stack:
        item, path, depth = stack.pop()
        found = _problem(item, depth)
        if found:
            return InvalidMessageError(path, found)
        children: list[tuple[Any, str, int]] = []
        if isinstance(item, dict):
            for key, child in item.items():
                if type(key) is not str:
                    kind = type(key).__name__ + (", a kind of str" if isinstance(key, str) else "")
                    return InvalidMessageError(path, f"the key {key!r} is {kind}, and JSON keys are plain text")
                if has_surrogate(key):
                    return InvalidMessageError(path, f"the key {key!a} holds a lone surrogate")
                children.append((child, f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]", depth + 1))
        elif isinstance(item, list):
            children = [(child, f"{path}[{index}]", depth + 1) for index, child in enumerate(item)]
        stack.extend(reversed(children))
    return InvalidMessageError(value_path, problem)


def _problem(item: Any, depth: int) -> str | None:
    if isinstance(item, (dict, list)):
        return f"nested deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else None
    if item is None or isinstance(item, bool):
        return None
    if isinstance(item, str):
        return "the text holds a lone surrogate, which UTF-8 cannot store" if has_surrogate(item) else None
    if isinstance(item, int):
        fits = SMALLEST_INTEGER <= item <= LARGEST_INTEGER
        return None if fits else f"the integer {item:#x} does not fit in 64 bits: store it as text"
    if isinstance(item, float):
        if type(item) is not float:
            return f"{type(item).__name__} is a kind of float that JSON does not know: use float(value)"
        return None if isfinite(item) else f"{item} has no JSON form: use None or text"
    for kinds, hint in _HINTS:
        if isinstance(item, kinds):
            return hint
    if _dumps_itself(item):
        return f"{type(item).__name__} has no JSON form: use its .model_dump()"
    return f"{type(item).__name__} has no JSON form: use dict, list, str, int, float, bool or None"


def has_surrogate(text: str) -> bool:
    """Tell whether a text holds a lone surrogate, which UTF-8 cannot store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _depth(value: Any) -> int:
    deepest = 0
    stack = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, (dict, list)):
            deepest = max(deepest, depth)
            stack.extend((child, depth + 1) for child in (item.values() if isinstance(item, dict) else item))
    return deepest
