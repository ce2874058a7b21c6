"""Lists: objects that say which files of a store are to go, or are gone (FORMAT.md, "Lists")."""

from __future__ import annotations

import re
from collections.abc import Iterable

import orjson

_NAME = re.compile(r"objects/([0-9a-f]{2})/\1[0-9a-f]{62}[^/\0]*\Z", re.DOTALL)
_MOST_BYTES = 255
LIST_LIMIT = 64 * 1024 * 1024
"""Bytes that no list passes: it has 85 or so for each file, and so names most of a million."""


def encode_list(names: Iterable[str]) -> bytes:
    """Return the bytes of a list: a JSON line for each file, in the order of the names."""
    return b"".join(orjson.dumps([name]) + b"\n" for name in sorted(set(names)))


def decode_list(data: bytes) -> frozenset[str]:
    """Return the names on a list, each by its path below the store.

    Raises:
        ValueError: it is none.
    """
    names = frozenset(_name(line) for line in data.splitlines(keepends=True))
    if not names:
        raise ValueError("a list has a line at least")
    return names


def can_list(name: str) -> bool:
    """Tell whether a list can have the name of a file: what a tool has made of it may be no UTF-8, or too long."""
    try:
        return _NAME.match(name) is not None and len(name.encode()) <= _MOST_BYTES
    except UnicodeEncodeError:
        return False


def _name(line: bytes) -> str:
    if not line.endswith(b"\n"):
        raise ValueError("a list ends with a newline")
    entry = orjson.loads(line)
    name = entry[0] if isinstance(entry, list) and entry else None
    if not isinstance(name, str) or not can_list(name):
        raise ValueError(f"{name!r} is no file of an object")
    return name


def id_of(name: str) -> str:
    """Return the id of the object that a file on a list is of."""
    return name[len("objects/aa/") :][:64]
