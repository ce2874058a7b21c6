"""New refs that a backend has made in a row, with no other change of the store in between."""

from __future__ import annotations


class Streak:
    """The latest such run of refs, all of one replica, by whatever tells the states of the store apart."""

    def __init__(self) -> None:
        # One value, so that threads see all of it or nothing.
        self._run: tuple[str, object, object] = ("", None, None)

    def made(self, replica: str, before: object, after: object) -> None:
        """Note a new ref, and the states of the store right before and after it."""
        of, first, last = self._run
        self._run = (replica, first if (of, last) == (replica, before) else before, after)

    def lost(self) -> None:
        """Note that nobody knows what came in between."""
        self._run = ("", None, None)

    def began(self, replica: str, now: object) -> object:
        """Return the state before the first of the replica's refs; None where something else has happened since."""
        of, first, last = self._run
        return first if (of, last) == (replica, now) else None
