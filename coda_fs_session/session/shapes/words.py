"""Texts in values: JSON of what is no text, without the base64 of images and files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ...errors import InvalidMessageError
from ...format.jsonl import encode_value

_DATA_URL = re.compile(r"data:[^,\s\"]{0,200};base64,[\w+/=%-]++", re.ASCII)
# One after the other, as the two halves of a character outside the first plane come.
_ESCAPE = re.compile(r'((?:\\u[0-9a-fA-F]{4})+)|\\(["\\nrt])')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
# A text in JSON that is base64 alone; of a part that is a text, a very long word.
_BASE64 = re.compile(r'(?<!"text":)"[\w+/=\\-]{256,}+"', re.ASCII)


def in_json(value: Any) -> str:
    """Return a value as JSON, with "" in place of base64; what JSON refuses is made storable first."""
    try:
        line = encode_value(value, "").decode()
    except InvalidMessageError:
        # Imported late: what comes from a store is JSON.
        from ...format.jsonable import jsonable

        line = encode_value(jsonable(value)[0], "").decode()
    return _BASE64.sub('""', without_data(line))


def unescaped(text: str) -> str:
    """Return JSON as people read it: without backslashes in its texts, and with what they and \\u stand for."""
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(found: re.Match[str]) -> str:
    code, sign = found.groups()
    if sign:
        return _ESCAPED.get(sign, sign)
    return bytes.fromhex(code.replace("\\u", "")).decode("utf-16-be", "replace")


def without_data(text: str) -> str:
    """Return a text without the data URLs in it."""
    return _DATA_URL.sub("", text) if ";base64," in text else text


def first_text(value: dict[Any, Any], keys: Iterable[str]) -> str:
    """Return the first text that is not empty under one of the keys; "" where there is none."""
    for key in keys:
        found = value.get(key)
        if isinstance(found, str) and found:
            return found
    return ""
