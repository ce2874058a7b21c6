"""The refs of a few sessions, for a sync of these alone."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import SessionNotFoundError
from ...format.names import identity_of, key_of_ref, origins, session_key
from .side import Side

_AT_ONCE = 256


def chosen(names: Sequence[str], ours: Side, theirs: Side) -> set[str]:
    """Return the paths of the refs of some sessions on both sides, by the names of their files and what is known here.

    Raises:
        SessionNotFoundError: neither side has one of this name.
    """
    keys: dict[str, set[str]] = {}
    for path in ours.refs.keys() | theirs.refs.keys():
        keys.setdefault(identity_of(key_of_ref(path) or ""), set()).add(path)
    found: set[str] = set()
    for name in names:
        # One that was renamed has refs under its earlier names too; a side of one that diverged, under the name alone.
        called = {name, *origins(name)}
        rows = ours.repo.index.named(*called)
        called |= {each for row in rows for each in (row.name, *row.former_names)}
        paths = {path for each in called for path in keys.get(identity_of(session_key(each)), ())}
        if not paths:
            # One that was renamed before it ever came here: only reading tells.
            paths = _renamed(name, theirs, sorted(theirs.refs.keys() - ours.refs.keys()))
        if not paths:
            raise SessionNotFoundError(name, f"no session called {name!r} is here or there")
        found |= paths
    return found


def _renamed(name: str, side: Side, paths: Sequence[str]) -> set[str]:
    """Return the refs of a session that goes by this name now."""
    found: set[str] = set()
    for start in range(0, len(paths), _AT_ONCE):
        for path, read in side.read_many(paths[start : start + _AT_ONCE]).items():
            if read is not None and read.head is not None and read.head.name == name:
                found.add(path)
    return found
