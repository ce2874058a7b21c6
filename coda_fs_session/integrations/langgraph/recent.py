"""What was used last, so that it need not be read again."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

MOST = 256
"""So many logs and lists of messages a saver knows, at about 50 bytes for a message."""


def keep(known: dict[_K, _V], key: _K, value: _V) -> None:
    """Keep a value as the last one used, and forget those that were used longest ago. Other threads may do the same."""
    known.pop(key, None)
    known[key] = value
    while len(known) > MOST:
        with suppress(StopIteration, KeyError, RuntimeError):
            del known[next(iter(known))]
