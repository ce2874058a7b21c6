"""The rule of message lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from operator import itemgetter

import orjson

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ESCAPES = re.compile(rb'\\(?:["\\bfnrt]|u00[01][0-9a-f])')
_WHOLE = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")
_LEAST, _GREATEST = -(2**63), 2**64 - 1
_DEEPEST = 200
_STEPS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_SPACE = re.compile(rb"[ \t\r]")
_FIRST, _LAST = itemgetter(0), itemgetter(-1)
_OPENS, _CLOSES = set(b"{"), set(b"}")


def bad_message(lines: Sequence[bytes]) -> int | None:
    """Return which of some message lines is none as FORMAT.md has them, as far as that is looked at; None: all are.

    Each begins and ends as an object does. The first one is read as JSON too: to read all takes several
    times as long as to hash them, and a writer that has another form has it in each.
    """
    # All at once, where all are good: to look at each in turn takes four times as long.
    if b"" in lines or set(map(_FIRST, lines)) - _OPENS or set(map(_LAST, lines)) - _CLOSES:
        return next(number for number, line in enumerate(lines) if line[:1] != b"{" or line[-1:] != b"}")
    return None if not lines or is_message(lines[0]) else 0


def is_message(line: bytes) -> bool:
    """Tell whether a line is a JSON object in compact form. Numbers have several forms, all of which are right."""
    if b"\t" in line:
        return False
    try:
        message = orjson.loads(line)
        is_plain = orjson.dumps(message) == line
    except ValueError:
        return False
    except TypeError:
        # Nested too deeply to be written again.
        return False
    if type(message) is not dict:
        return False
    if is_plain and line.count(b"{") + line.count(b"[") <= _DEEPEST:
        return True
    outside = _TEXT.sub(b"", line)
    escaped = b"".join(_TEXT.findall(line))
    return (
        not _SPACE.search(outside)
        and b"\\" not in _ESCAPES.sub(b"", escaped)
        and all(_LEAST <= int(number) <= _GREATEST for number in _WHOLE.findall(outside))
        and _depth(outside) <= _DEEPEST
    )


def _depth(outside: bytes) -> int:
    return max(accumulate(_STEPS.get(byte, 0) for byte in outside))
