"""Message lines: JSON that comes back exactly as it went in (FORMAT.md, "Message lines")."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from typing import Any

import orjson

from ..errors import InvalidMessageError

MAX_DEPTH = 200
_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
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
    try:
        line = orjson.dumps(value)
        # orjson writes NaN as null and a tuple as a list without a word: only reading back shows it.
        exact = orjson.loads(line) == value
    except (TypeError, ValueError, RecursionError) as error:
        raise _explain(value, value_path, str(error)) from error
    if not exact or (line.count(b"{") + line.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH):
        raise _explain(value, value_path, "it would not come back as it went in")
    return line


def encode_message(message: Any, value_path: str) -> bytes:
    """Return a message as its line (no newline); a message is any JSON object with text keys.

    Raises:
        InvalidMessageError: see `encode_value`.
    """
    if not isinstance(message, dict):
        raise InvalidMessageError(value_path, f"a message must be a dict, not {type(message).__name__}")
    return encode_value(message, value_path)


def decode(line: bytes) -> Any:
    """Return the value of one line of JSON.

    Raises:
        ValueError: it is not JSON.
    """
    return orjson.loads(line)


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
                if not isinstance(key, str):
                    return InvalidMessageError(path, f"the key {key!r} is {type(key).__name__}, and JSON keys are text")
                if _has_surrogate(key):
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
        return "the text holds a lone surrogate, which UTF-8 cannot store" if _has_surrogate(item) else None
    if isinstance(item, int):
        fits = _SMALLEST_INTEGER <= item <= _LARGEST_INTEGER
        return None if fits else f"the integer {item:#x} does not fit in 64 bits: store it as text"
    if isinstance(item, float):
        return None if math.isfinite(item) else f"{item} has no JSON form: use None or text"
    for kinds, hint in _HINTS:
        if isinstance(item, kinds):
            return hint
    return f"{type(item).__name__} has no JSON form: use dict, list, str, int, float, bool or None"


def _has_surrogate(text: str) -> bool:
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
