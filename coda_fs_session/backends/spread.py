"""Which folder a new ref of a replica goes into: its own, or one within that as soon as it has many (FORMAT.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

FLAT_REFS = 256
"""How many refs a replica has in its own folder before new ones go into those within."""
_COUNT_EVERY = 32


class Spread:
    """Decides that for one store.

    Args:
        count: returns how many refs a replica has in its own folder, of many at least as many as it is given.
        flat_refs: in place of `FLAT_REFS`.
    """

    def __init__(self, count: Callable[[str, int], int], flat_refs: int | None = None) -> None:
        self._count = count
        self._flat_refs = FLAT_REFS if flat_refs is None else flat_refs
        # By replica: how many refs it has in its own folder, those included that were only asked for. It may be wrong:
        # any of the folders will do.
        self._known: dict[str, int] = {}

    def order(self, folders: Sequence[str]) -> Sequence[str]:
        """Return the folders of a ref, given outermost first, in the order that `Backend.key_folders` promises."""
        replica = folders[0]
        known = self._known.get(replica, 0)
        # Not at each: what other processes make may be noticed later.
        if known < self._flat_refs and known % _COUNT_EVERY == 0:
            known = max(known, self._count(replica, self._flat_refs))
        self._known[replica] = known + 1
        return folders if known < self._flat_refs else folders[::-1]
