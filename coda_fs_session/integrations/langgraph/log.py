"""The log of a namespace of a thread: a session with a record of each state of the graph, and of what tasks wrote."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from langgraph.checkpoint.base import writes_sort_key

from ... import Session
from ..escapes import ESCAPES, escaped, restored

REWRITTEN = "langgraph.rewritten"
"""Metadata key: how often records were taken out, by which another process sees that positions have changed."""

Record = dict[str, Any]
Write = tuple[str, int]
"""A task, and which of its writes."""


class Log:
    """Where in a log each record is. The records themselves are read when they are asked for.

    Attributes:
        parents: the state before, by the state.
        states: the position of the record of a state.
        session: what was followed last, and `revision` where it was then.
    """

    def __init__(self) -> None:
        self.parents: dict[str, str | None] = {}
        self.states: dict[str, int] = {}
        self.session: Session | None = None
        self.revision = ""
        self._count = self._rewritten = 0
        self._last: Record | None = None
        self._values: dict[tuple[str, Any], tuple[int, int]] = {}
        self._shown: dict[tuple[str, Any], list[Any]] = {}
        self._writes: dict[str, dict[Write, tuple[str, int, int]]] = {}

    def follow(self, session: Session) -> None:
        """Take in what the session has by now.

        Raises:
            StoreError: it cannot be read.
        """
        revision = session.revision
        if session is self.session and revision == self.revision:
            return
        count, rewritten = self._count, session.metadata.get(REWRITTEN, 0)
        grown = count and len(session) >= count and rewritten == self._rewritten and session[count - 1] == self._last
        if not grown:
            self.__init__()  # type: ignore[misc]
        for position, record in enumerate(session.iter_messages(self._count), self._count):
            self.add(position, record)
        self.session, self.revision, self._rewritten = session, revision, rewritten

    def add(self, position: int, record: Record) -> None:
        """Take in a record, as it is stored."""
        self._count, self._last = position + 1, record
        if ESCAPES in record:
            record = restored(deepcopy(record))
        if "state" in record:
            name = record["state"]
            self.states[name], self.parents[name] = position, record["from"]
            for channel in record["values"]:
                self._values[channel, record["versions"].get(channel)] = position, -1
            for channel, reference in record.get("shown", {}).items():
                self._shown[channel, record["versions"].get(channel)] = reference
        for number, (channel, version, _) in enumerate(record.get("kept", ())):
            self._values[channel, version] = position, number
        if "writes" in record:
            of_state = self._writes.setdefault(record["writes"], {})
            for number, (index, _, _) in enumerate(record["items"]):
                of_state[record["task"], index] = record["path"], position, number

    def added(self, record: Record) -> None:
        """Take in the record that was saved just now at the end of the session."""
        assert self.session is not None
        self.add(self._count, record)
        self.revision = self.session.revision

    def latest(self) -> str | None:
        """Return the newest state; None where there is none."""
        return max(self.states, default=None)

    def has_write(self, state: str, task: str, index: int) -> bool:
        """Tell whether a write of a task is there."""
        return (task, index) in self._writes.get(state, ())

    def has_value(self, channel: str, version: Any) -> bool:
        """Tell whether the value that a channel had at a version is there."""
        return (channel, version) in self._values


class Reader:
    """Reads the records of a log for one answer; each is read once, and none is given to two answers.

    Args:
        shared: the log that goes by the name, where this one is another side of it: tasks write there.
    """

    def __init__(self, log: Log, session: Session, shared: Reader | None = None) -> None:
        self.log, self.session, self._shared = log, session, shared
        self._read: dict[int, Record] = {}

    def record(self, position: int) -> Record:
        """Return a record."""
        found = self._read.get(position)
        if found is None:
            found = self._read[position] = restored(self.session[position])
        return found

    def state(self, name: str) -> Record:
        """Return the record of a state."""
        return self.record(self.log.states[name])

    def has_state(self, name: str) -> bool:
        """Tell whether there is a record of a state."""
        return name in self.log.states

    def reference(self, name: str | None, channel: str) -> list[Any] | None:
        """Return what stands for the messages that a channel has, or shows, in a state; None where it has none."""
        if name not in self.log.states:
            return None
        record = self.state(name)
        version = channel, record["versions"].get(channel)
        if version in self.log._shown:
            return self.log._shown[version]
        place = self.log._values.get(version)
        value = record["values"].get(channel) if place is None else self._value(channel, *place)
        if isinstance(value, dict) and "$snapshot" in value:
            value = value["$snapshot"]
        return value.get("$of") if isinstance(value, dict) else None

    def values(self, name: str) -> dict[str, Any]:
        """Return the values of all channels in a state, packed."""
        own = self.state(name)
        found = dict(own["values"])
        for channel, version in own["versions"].items():
            place = self.log._values.get((channel, version))
            if place is not None and channel not in found:
                found[channel] = self._value(channel, *place)
        return found

    def _value(self, channel: str, position: int, number: int) -> Any:
        record = self.record(position)
        return record["values"][channel] if number < 0 else record["kept"][number][2]

    def writes(self, name: str) -> list[tuple[str, str, Any]]:
        """Return what tasks wrote to a state, packed, in the order in which it is to be applied."""
        found = [
            (writes_sort_key(path, *key), key[0], reader.record(position)["items"][number])
            for key, (reader, (path, position, number)) in self._written(name).items()
        ]
        return [(task, channel, value) for _, task, (_, channel, value) in sorted(found, key=lambda each: each[0])]

    def _written(self, name: str) -> dict[Write, tuple[Reader, tuple[str, int, int]]]:
        found = {} if self._shared is None else self._shared._written(name)
        return found | {key: (self, place) for key, place in self.log._writes.get(name, {}).items()}


def without(reader: Reader, keep: Iterable[str]) -> list[Record]:
    """Return the records of a log with these states alone, and with every value that they have."""
    keep, log = set(keep), reader.log
    needed = {
        log._values.get((channel, version))
        for name in keep
        for channel, version in reader.state(name)["versions"].items()
        if channel not in reader.state(name)["values"]
    }
    kept = []
    for position, stored in enumerate(reader.session.iter_messages()):
        if stored.get("state") in keep or stored.get("writes", "") in keep:
            kept.append(stored)
            continue
        record = restored(stored)
        values = [
            [channel, record["versions"].get(channel), value]
            for channel, value in record.get("values", {}).items()
            if (position, -1) in needed
            and log._values.get((channel, record["versions"].get(channel))) == (position, -1)
        ]
        values += [each for number, each in enumerate(record.get("kept", ())) if (position, number) in needed]
        if values:
            kept.append(escaped({"kept": values}))
    return kept
