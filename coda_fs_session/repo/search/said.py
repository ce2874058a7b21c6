"""What a message line says, as it is searched."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import orjson

from ...session.info import microseconds_of
from ...session.shapes import role, searched_text, time


class Said(NamedTuple):
    """What a message says.

    Attributes:
        role: see `session.shapes.role`.
        time: when, in microseconds since 1970-01-01 UTC; None where the message does not say.
    """

    text: str
    role: str
    time: int | None


def hash_of(text: str) -> int:
    """Return what tells a text from every other one."""
    # Messages may have what UTF-8 has not, where a program of its own kept them.
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), signed=True)


def said(line: bytes) -> Said:
    """Return what a message line says.

    Raises:
        ValueError: it is no message.
    """
    message: Any = orjson.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message is a JSON object")
    moment = time(message)
    return Said(searched_text(message), role(message), None if moment is None else microseconds_of(moment))
