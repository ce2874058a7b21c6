"""States of graphs in a store: put and found again, copied, thinned out and deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage, RemoveMessage
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from ... import Session, SessionConflictError, SessionExistsError, SessionManager
from ..escapes import add
from ..sessions import FrameworkSessions
from .log import Log, Reader, Record
from .recent import keep
from .talks import Reference, Talks
from .values import Values

SHAPE = "langgraph"
_LOG = "log"
ATTEMPTS = 1000
_FIELDS = frozenset(("v", "id", "ts", "channel_values", "channel_versions", "versions_seen"))
WIDTH = 32
"""Digits of the number in a version, as LangGraph's own savers have them. Records have it without the noughts."""
_LENGTH = WIDTH + 17
_LONG = re.compile(r"0+([1-9]\d*\.[0-9a-f]{16})", re.ASCII)
_SHORT = re.compile(r"[1-9]\d{0,30}\.[0-9a-f]{16}", re.ASCII)


class Key(NamedTuple):
    """A namespace of a thread: what has a log of its own."""

    thread: str
    ns: str


class Found(NamedTuple):
    """A state as it is in the store.

    Attributes:
        name: which state it is, `parent` the one before.
        fields: what the framework keeps of it beside its values.
        writes: what tasks wrote to it: task, channel and value.
    """

    key: Key
    name: str
    parent: str | None
    fields: dict[str, Any]
    metadata: dict[str, Any]
    values: dict[str, Any]
    writes: list[tuple[str, str, Any]]


class States:
    """The states of all threads below a prefix.

    Safe in all threads and beside other processes: a log is changed with its lock held, from the revision that was
    read, and else anew.
    """

    def __init__(self, manager: SessionManager, prefix: str) -> None:
        self._manager = manager
        self._logs = FrameworkSessions(manager, SHAPE, prefix)
        self._talks = Talks(manager, prefix)
        self._known: dict[str, Log] = {}
        self.call = self._logs.call

    # Reading

    def find(self, key: Key, name: str | None, values: Values) -> Found | None:
        """Return a state, or the newest one of the side that goes by the name; None where there is none."""
        with self._log(key) as log:
            name = name or (None if log is None else log.log.latest())
            reader = self._with_state(key, log, name)
            return None if reader is None or name is None else self._found(key, name, reader, values)

    def names(self, key: Key) -> list[str]:
        """Return the states of a namespace, the newest first."""
        with self._log(key) as log:
            readers = [] if log is None else [log, *self._sides(key, log)]
            return sorted({name for reader in readers for name in reader.log.states}, reverse=True)

    def metadata(self, key: Key, name: str, values: Values) -> dict[str, Any]:
        """Return the metadata of a state that is there."""
        with self._log(key) as log:
            reader = self._with_state(key, log, name)
            told: dict[str, Any] = {} if reader is None else values.unpacked(reader.state(name)["metadata"])
            return told

    def namespaces(self, thread: str | None = None) -> list[Key]:
        """Return every namespace that has a state, of one thread or of all."""
        found = self._logs.infos() if thread is None else self._logs.infos(thread)
        keys = (self._logs.key(info) for info in found)
        return sorted(
            Key(key[0], key[2] if len(key) > 2 else "") for key in keys if key is not None and key[1:2] == (_LOG,)
        )

    def _found(self, key: Key, name: str, reader: Reader, values: Values) -> Found:
        record = reader.state(name)
        versions = _versions(record["versions"], _long)
        return Found(
            key,
            name,
            record["from"],
            {
                "v": record["v"],
                "id": name,
                "ts": record["ts"],
                "channel_versions": versions,
                "versions_seen": {node: _versions(seen, _long) for node, seen in record["seen"].items()},
                **values.unpacked(record["more"]),
            },
            values.unpacked(record["metadata"]),
            {channel: self._value(key, channel, value, values) for channel, value in reader.values(name).items()},
            [(task, channel, values.unpacked(value)) for task, channel, value in reader.writes(name)],
        )

    def _value(self, key: Key, channel: str, packed: Any, values: Values) -> Any:
        if type(packed) is dict and len(packed) == 1:
            ((kind, inner),) = packed.items()
            if kind == "$of":
                return self._talks.get((*key, channel), inner, values)
            if kind == "$snapshot":
                return _DeltaSnapshot(self._value(key, channel, inner, values))
        return values.unpacked(packed)

    # Putting

    def put(
        self,
        key: Key,
        parent: str | None,
        fields: dict[str, Any],
        metadata: dict[str, Any],
        changed: Iterable[str],
        values: Values,
    ) -> None:
        """Store a state: first its messages, then a record of it. A crash in between leaves messages that the next
        one takes up.

        Args:
            fields: all of it; changed: the channels that have another value than in the state before.
        """
        versions = _versions(fields["channel_versions"], _short)
        changed = set(changed)

        def record(log: Log, reader: Reader) -> Record:
            before = self._with_state(key, reader, parent) or reader
            told = {
                channel: self._packed(key, channel, value, before.reference(parent, channel), values)
                for channel, value in fields["channel_values"].items()
                if channel in changed or not log.has_value(channel, versions.get(channel))
            }
            shown = self._shown(key, parent, changed - told.keys(), before, values)
            if before is not reader:
                # This side knows nothing of the versions of another one.
                unchanged = versions.keys() - changed - told.keys()
                shown |= {each: found for each in unchanged if (found := before.reference(parent, each))}
            return {
                "state": fields["id"],
                "from": parent,
                "v": fields["v"],
                "ts": fields["ts"],
                "metadata": values.packed(metadata),
                "versions": versions,
                "seen": {node: _versions(seen, _short) for node, seen in fields["versions_seen"].items()},
                "more": values.packed({name: value for name, value in fields.items() if name not in _FIELDS}),
                "values": told,
                **({"shown": shown} if shown else {}),
            }

        self._append(key, record)

    def put_writes(
        self, key: Key, state: str, task: str, path: str, writes: Sequence[tuple[int, str, Any]], values: Values
    ) -> None:
        """Store what a task wrote to a state; what is there already is left as it is, but for negative indices."""
        packed = [[index, channel, values.packed(value)] for index, channel, value in writes]

        def record(log: Log, _: Reader) -> Record | None:
            items = [each for each in packed if each[0] < 0 or not log.has_write(state, task, each[0])]
            return {"writes": state, "task": task, "path": path, "items": items} if items else None

        if packed:
            self._append(key, record)

    def _append(self, key: Key, make: Callable[[Log, Reader], Record | None]) -> None:
        """Add a record to a log; made anew where another process has changed the log meanwhile."""
        parts = log_of(key)
        name = self._logs.name(*parts)
        with self._logs.locked(name):
            for attempt in range(ATTEMPTS):
                # At first without a look at the store: where that has more, the save is refused.
                known = self._known.get(name)
                session = known.session if known is not None and not attempt else None
                if session is None or not session.is_stored or session.name != name:
                    session = self._logs.find(name) or self._logs.new(*parts, hidden=True)
                log = self._follow(session)
                try:
                    with self._logs.all_or_nothing(session):
                        record = make(log, Reader(log, session))
                        if record is None:
                            return
                        add(session, record)
                        self._manager.save_session(session, on_conflict="raise")
                except (SessionConflictError, SessionExistsError):
                    if attempt == ATTEMPTS - 1:
                        raise
                    continue
                log.added(session[-1])
                return

    def _packed(self, key: Key, channel: str, value: Any, before: Reference | None, values: Values) -> Any:
        if values.is_readable:
            if type(value) is list and value and all(isinstance(each, BaseMessage) for each in value):
                return {"$of": self._talks.put((*key, channel), value, values, before=before)}
            if type(value) is _DeltaSnapshot:
                return {"$snapshot": self._packed(key, channel, value.value, before, values)}
        return values.packed(value)

    def _shown(
        self, key: Key, parent: str | None, channels: Iterable[str], reader: Reader, values: Values
    ) -> dict[str, Reference]:
        """Show the messages of channels whose value is not in the state, since what tasks wrote makes it."""
        shown: dict[str, Reference] = {}
        if parent is None or not reader.has_state(parent) or not values.is_readable:
            return shown
        for _, channel, packed in reader.writes(parent) if channels else ():
            if channel in channels:
                value = values.unpacked(packed)
                messages = [
                    each
                    for each in (value if isinstance(value, list) else [value])
                    if isinstance(each, BaseMessage) and not isinstance(each, RemoveMessage)
                ]
                if messages:
                    before = shown.get(channel) or reader.reference(parent, channel)
                    shown[channel] = self._talks.extend((*key, channel), before, messages, values)
        return shown

    # Histories

    def deltas(self, key: Key, name: str | None, channels: Iterable[str], values: Values) -> dict[str, tuple[Any, ...]]:
        """Return for each channel what tasks wrote to it since the nearest state before that has its value, and that.

        Returns:
            For each channel the writes, and the value where there is one.
        """
        with self._log(key) as log:
            writes: dict[str, list[tuple[str, str, Any]]] = {channel: [] for channel in channels}
            seeds: dict[str, tuple[Any, ...]] = {}
            current = name or (None if log is None else log.log.latest())
            reader = self._with_state(key, log, current)
            while reader is not None and len(seeds) < len(writes):
                current = reader.log.parents[current or ""]
                reader = reader if current and reader.has_state(current) else self._with_state(key, log, current)
                if reader is None or current is None:
                    break
                for task, channel, value in reversed(reader.writes(current)):
                    if channel in writes and channel not in seeds:
                        writes[channel].append((task, channel, values.unpacked(value)))
                told = reader.values(current)
                for channel in writes.keys() & told.keys() - seeds.keys():
                    seeds[channel] = (self._value(key, channel, told[channel], values),)
            return {channel: (found[::-1], *seeds.get(channel, ())) for channel, found in writes.items()}

    # Logs

    @contextmanager
    def _log(self, key: Key) -> Iterator[Reader | None]:
        """Give the log of a namespace, in its newest state, which nobody changes in the block."""
        name = self._logs.name(*log_of(key))
        with self._logs.locked(name):
            session = self._logs.find(name)
            yield None if session is None else Reader(self._follow(session), session)

    def _with_state(self, key: Key, log: Reader | None, name: str | None) -> Reader | None:
        """Return a log, or the other side of it, that has a state; None where none has."""
        if log is None or name is None or log.has_state(name):
            return log if name is not None else None
        return next((side for side in self._sides(key, log) if side.has_state(name)), None)

    def _sides(self, key: Key, log: Reader) -> Iterator[Reader]:
        """Yield the other sides of a log, where machines put states to one thread while they were apart."""
        for session in self._logs.sides(self._logs.name(*log_of(key))):
            yield Reader(self._follow(session), session, log)

    def _follow(self, session: Session) -> Log:
        log = self._known.get(session.name) or Log()
        log.follow(session)
        keep(self._known, session.name, log)
        return log


def log_of(key: Key) -> tuple[str, ...]:
    """Return the key of the session that has the log of a namespace."""
    return (key.thread, _LOG, *([key.ns] if key.ns else []))


def _versions(versions: dict[str, Any], form: Callable[[Any], Any]) -> dict[str, Any]:
    return {channel: form(version) for channel, version in versions.items()}


def _short(version: Any) -> Any:
    if type(version) is not str:
        return version
    ours = _LONG.fullmatch(version) if len(version) == _LENGTH else None
    if ours:
        return ours[1]
    return f"={version}" if version[:1] == "=" or _SHORT.fullmatch(version) else version


def _long(version: Any) -> Any:
    if type(version) is not str:
        return version
    return version[1:] if version[:1] == "=" else version.zfill(_LENGTH) if _SHORT.fullmatch(version) else version
