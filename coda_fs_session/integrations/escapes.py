"""Values that JSON has for a framework and not for a session, in a form that a session takes; undone on reading.

Frameworks write with `json.dumps`, which takes NaN, integers of any size, lone surrogates and any depth. In the place
of each stands a form that people can read and search. A list in the message says which places these are. It holds no
second copy of a text, so what redaction takes out is gone.
"""

from __future__ import annotations

import json
import math
from typing import Any

from .. import InvalidMessageError, Session

ESCAPES = "coda_fs_session.escapes"
"""Key of a message, or of a dict of other values, whose values stand in another form: the places, and how to read each.
"""
_WHOLE = "coda_fs_session.value"
"""Key of what is escaped as a whole, since it is no dict or has `ESCAPES` itself."""
_DEEPEST = 150
"""Levels below which a value is written as JSON text: a session takes 200, and messages have some of their own."""
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1

_Path = list[str | int]


def add(session: Session, item: dict[str, Any]) -> None:
    """Add an item of a framework as a message, escaped where a session would refuse it.

    Raises:
        TypeError, ValueError: it holds what `json.dumps` refuses.
        SessionTooLargeError: as `Session.add_message`.
    """
    if ESCAPES not in item:
        try:
            session.add_message(item)
            return
        except InvalidMessageError:
            pass
    session.add_message(escaped(item))


def escaped(value: Any) -> dict[str, Any]:
    """Return a dict that a session takes, and that `restored` turns back into what JSON makes of a value.

    Raises:
        TypeError, ValueError: the value holds what `json.dumps` refuses.
    """
    value = json.loads(json.dumps(value))
    found: list[Any] = []
    if type(value) is dict and ESCAPES not in value:
        made: dict[str, Any] = _made(value, [], found)
        return {**made, ESCAPES: found} if found else made
    return {_WHOLE: _made(value, [_WHOLE], found), ESCAPES: found}


def restored(message: dict[str, Any]) -> Any:
    """Return what was escaped, of which the message is used up; a message that was not, as it is."""
    places = message.pop(ESCAPES, None)
    if places is None:
        return message
    holder: dict[str, Any] = {"": message}
    # A place in a value comes before one that holds it.
    for path, kind, *rest in places:
        _restore(holder, ["", *path], kind, rest)
    made = holder[""]
    return made.get(_WHOLE, made)


def _made(value: Any, path: _Path, found: list[Any]) -> Any:
    kind = type(value)
    if kind is str:
        if value.isascii():
            return value
        clean, places = _clean(value)
        if places:
            found.append([path, "text", places])
        return clean
    if kind is int and not _SMALLEST <= value <= _LARGEST:
        found.append([path, "int"])
        return hex(value)
    if kind is float and not math.isfinite(value):
        found.append([path, "float"])
        return str(value)
    if kind not in (dict, list):
        return value
    if len(path) >= _DEEPEST:
        found.append([path, "json"])
        text = json.dumps(value, ensure_ascii=False)
        return text.encode(errors="backslashreplace").decode()
    if kind is list:
        return [_made(each, [*path, place], found) for place, each in enumerate(value)]
    made: dict[str, Any] = {}
    renamed: list[Any] = []
    for key, each in value.items():
        clean, places = _clean(key)
        while places and (clean in made or clean in value):
            # Two keys that became one must not cost a value.
            clean += "~"
        if places:
            renamed.append([path, "key", clean, [[place, code] for place, code in places], len(key)])
        made[clean] = _made(each, [*path, clean], found)
    found += renamed
    return made


def _clean(text: str) -> tuple[str, list[list[int]]]:
    """Return a text with U+FFFD for each lone surrogate, and where which one stood."""
    if text.isascii():
        return text, []
    places = [[place, ord(char)] for place, char in enumerate(text) if "\ud800" <= char <= "\udfff"]
    return _with(text, [[place, 0xFFFD] for place, _ in places]), places


def _with(text: str, places: list[list[int]]) -> str:
    chars = list(text)
    for place, code in places:
        chars[place] = chr(code)
    return "".join(chars)


def _restore(holder: Any, path: _Path, kind: str, rest: list[Any]) -> None:
    """Undo one escape; what was edited since, as by redaction, stays as it is."""
    for key in path[:-1]:
        holder = holder[key] if _has(holder, key) else None
    last = path[-1]
    if not _has(holder, last):
        return
    value = holder[last]
    if kind == "key":
        name, places, length = rest
        if isinstance(value, dict) and name in value and len(name) >= length:
            old = _with(name[:length], places)
            holder[last] = {old if key == name else key: each for key, each in value.items()}
        return
    if not isinstance(value, str):
        return
    if kind == "text":
        if all(place < len(value) and value[place] == "\ufffd" for place, _ in rest[0]):
            holder[last] = _with(value, rest[0])
        return
    try:
        holder[last] = int(value, 16) if kind == "int" else float(value) if kind == "float" else json.loads(value)
    except ValueError:
        return


def _has(holder: Any, key: Any) -> bool:
    if isinstance(holder, dict):
        return key in holder
    return isinstance(holder, list) and isinstance(key, int) and key < len(holder)
