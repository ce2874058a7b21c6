"""Whether a program still holds an object, or a part of it: with nothing in hand it can change nothing any more.

Messages are plain dicts, which take no weak references, so the counts of references are all there is. Where an
interpreter has none to rely on, everything is held.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from typing import Any


def is_held(holder: dict[Any, Any], key: object) -> bool:
    """Tell whether anybody but `holder` holds the object that it has under `key`."""
    return not _COUNTS or _references(holder, key) > _ALONE


def is_held_inside(*roots: object) -> bool:
    """Tell whether a dict or list in these, at any depth, is held from outside them."""
    if not _COUNTS:
        return True
    level: list[object] = list(roots)
    while level:
        level = _parts(level)
        if max(map(sys.getrefcount, level), default=0) > _ALONE_INSIDE:
            break
    else:
        return False
    # Perhaps only from several places inside, as when two messages share a list. Ours must not count.
    del level
    return _is_held_beyond(*roots)


def _references(holder: dict[Any, Any], key: object) -> int:
    return sys.getrefcount(holder[key])


def _parts(level: list[object]) -> list[object]:
    """Return the dicts and lists that these hold, each as often as it is held."""
    return [part for part in gc.get_referents(*level) if isinstance(part, _CONTAINERS)]


def _is_held_beyond(*roots: object) -> bool:
    """Do as `is_held_inside`, for any structure."""
    parts: list[object] = []
    entered: set[int] = set()
    level: list[object] = list(roots)
    while level:
        level = _parts(level)
        parts += level
        # Each is entered once, however many places inside hold it.
        level = list({id(part): part for part in level if id(part) not in entered}.values())
        entered.update(map(id, level))
    counts, places = list(map(sys.getrefcount, parts)), list(map(id, parts))
    times = Counter(places)
    # Each further place inside adds two: its own, and the one in `parts`.
    return any(count - 2 * (times[place] - 1) > _ALONE_INSIDE for count, place in zip(counts, places, strict=True))


_CONTAINERS = (dict, list)

_COUNTS = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether a count is exact at any moment: another thread may be at work on an object where no lock keeps it waiting."""

# What an object counts that only one place holds; the interpreter's own share differs between versions.
_alone: list[object] = [[{}]]
_ALONE = _references({0: object()}, 0) if _COUNTS else 0
_ALONE_INSIDE = max(map(sys.getrefcount, _parts(_alone))) if _COUNTS else 0
