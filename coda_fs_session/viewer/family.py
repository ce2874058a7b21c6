"""The sessions around one: where it came from, where others leave it, and the lanes that a strip draws of that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .. import SessionInfo, SessionManager

MOST_LANES = 14


class Way(NamedTuple):
    """A session that goes on from a message.

    Attributes:
        at: how many messages it shares; own: how many it has after these.
        kind: "branch", "origin" for the session that was branched from, "side" for what was continued apart.
    """

    info: SessionInfo
    at: int
    own: int
    kind: str


class Lane(NamedTuple):
    """A session in the strip, as a line from the message that it leaves another one at.

    Attributes:
        column: its place from the left; starts_in: the column of the one that it leaves, its own for the first.
        start, stop: messages, as parts of a thousand.
    """

    info: SessionInfo
    column: int
    starts_in: int
    start: int
    stop: int
    at: int


class Family:
    """All sessions of a list, by which came from which; a value, for as long as the list is as it was."""

    def __init__(self, manager: SessionManager, infos: Iterable[SessionInfo]) -> None:
        self._manager = manager
        self.infos = {info.name: info for info in infos}
        self._below: dict[str, list[SessionInfo]] = {}
        for info in self.infos.values():
            if info.parent is not None:
                self._below.setdefault(info.parent, []).append(info)
        # What these came from was renamed, or is gone.
        self._has_orphans = any(name not in self.infos for name in self._below)

    def newest(self) -> list[SessionInfo]:
        """Return all of them, the one that changed last first."""
        # A list of the manager comes in this order.
        return list(self.infos.values())

    def path(self, name: str) -> list[tuple[SessionInfo, int]]:
        """Return the sessions that a session came from, the oldest first and itself last.

        With each stands how many of its messages are on the way to the session.
        """
        info = self.infos[name]
        found, passed = [(info, info.message_count)], {name}
        while info.parent in self.infos and info.parent not in passed:
            at = info.forked_at or 0
            info = self.infos[info.parent]
            passed.add(info.name)
            found.append((info, min(at, found[-1][1])))
        return found[::-1]

    def ways(self, name: str) -> dict[int, list[Way]]:
        """Return what goes on otherwise from the messages of a session, by how many it has then; the newest first."""
        path = self.path(name)
        on_path = {info.name for info, _ in path}
        found: dict[str, Way] = {}
        for number, (info, stop) in enumerate(path):
            if number < len(path) - 1 and info.message_count > stop:
                found[info.name] = _way(info, stop, "origin")
            for branch in self._branches(info):
                # Of what this one came from, only what it shares counts.
                if branch.name not in on_path and (info.name == name or (branch.forked_at or 0) <= stop):
                    found.setdefault(branch.name, _way(branch, branch.forked_at or 0, "branch"))
        info = self.infos[name]
        for side in info.sides:
            if side in self.infos:
                found[side] = _way(self.infos[side], info.diverged_at or 0, "side")
        by_place: dict[int, list[Way]] = {}
        for way in sorted(found.values(), key=lambda way: way.info.updated, reverse=True):
            by_place.setdefault(min(way.at, info.message_count), []).append(way)
        return by_place

    def lanes(self, name: str) -> tuple[list[Lane], int]:
        """Return the lanes of a session and of what leaves it, and how many more there are than can be drawn."""
        ways = [way for place in sorted(self.ways(name).items(), reverse=True) for way in place[1]]
        info = self.infos[name]
        drawn = ways[: MOST_LANES - 1]
        longest = max([info.message_count, 1, *(way.info.message_count for way in drawn)])

        def part(count: int) -> int:
            return round(1000 * min(count, longest) / longest)

        lanes = [Lane(info, 0, 0, 0, part(info.message_count), 0)]
        for column, way in enumerate(drawn, 1):
            lanes.append(Lane(way.info, column, 0, part(way.at), part(max(way.info.message_count, way.at)), way.at))
        return lanes, len(ways) - len(drawn)

    def _branches(self, info: SessionInfo) -> list[SessionInfo]:
        found = self._below.get(info.name, [])
        if not self._has_orphans:
            return found
        known = {each.name for each in found}
        more = (self.infos.get(each.name) for each in self._manager.branches.of(info.name))
        return found + [each for each in more if each is not None and each.name not in known]


def _way(info: SessionInfo, at: int, kind: str) -> Way:
    return Way(info, at, max(info.message_count - at, 0), kind)
