"""New refs that a backend has made in a row, with no other change of the store in between."""

from __future__ import annotations


class Streak:
    """The latest such run of refs, all of one replica, by whatever tells the states of the store apart."""

    def __init__(self) -> None:
        # One value, so that threads see all of it or nothing.
        self._run: tuple[str, object, object, int] = ("", None, None, 0)

    def made(self, replica: str, before: object, after: object) -> None:
        """Note a new ref, and the states of the store right before and after it."""
        of, first, last, count = self._run
        follows = (of, last) == (replica, before)
        self._run = (replica, first, after, count + 1) if follows else (replica, before, after, 1)

    def lost(self) -> None:
        """Note that nobody knows what came in between."""
        self._run = ("", None, None, 0)

    def since(self, replica: str, now: object) -> tuple[object, int] | None:
        """Return the state before the first of the replica's refs, and how many they are.

        None where something else has happened since.
        """
        of, first, last, count = self._run
        return (first, count) if (of, last) == (replica, now) else None
