"""The saver: what LangGraph asks of a store."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ... import SessionManager
from .log import Reader
from .states import SHAPE, WIDTH, Found, Key
from .threads import Threads
from .values import Values


class CodaSaver(BaseCheckpointSaver[str]):
    """Keeps the states of graphs in a store of sessions, for threads, asyncio and trio, and beside other processes.

    What was said in a thread is a session named ``langgraph/<thread>``, which can be read, searched and exported; the
    states of the graph are a hidden session beside it. A list of messages in the state is stored once, however many
    states have it. A run that goes on from an earlier state makes a branch.

    What is stored is durable when the call returns. In the store it is JSON, and what JSON does not have is written by
    `serde`.

    Args:
        manager: whose store it is. It stays the program's to close.
        prefix: names of sessions begin with it.
        serde: LangGraph's own with its strict list of classes where not given; to allow more of them give
            ``JsonPlusSerializer(allowed_msgpack_modules=[…])``. One of another class, as for encryption, writes
            everything: then no messages can be read without it.

    Raises:
        TypeError: `manager` is no SessionManager.
    """

    def __init__(
        self, manager: SessionManager, *, prefix: str = f"{SHAPE}/", serde: SerializerProtocol | None = None
    ) -> None:
        super().__init__(serde=serde or JsonPlusSerializer(allowed_msgpack_modules=None))
        self._states = Threads(manager, prefix)

    @property
    def _values(self) -> Values:
        # LangGraph copies a saver and gives the copy another serialiser: see `with_allowlist`.
        return Values(self.serde)

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the state that a configuration names, or the newest of its thread; None where there is none.

        Raises:
            SessionError: it is there and cannot be read.
        """
        found = self._states.find(_key(config), get_checkpoint_id(config), self._values)
        return None if found is None else _tuple(found)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield the states of a thread, or of all, the newest first.

        Args:
            filter: only those whose metadata have these values.
            before: only those that are older than the one it names.
            limit: at most so many.

        Raises:
            SessionError: one cannot be read.
        """
        for key, name in self._wanted(config, before):
            if limit is not None and limit <= 0:
                return
            found = self._listed(key, name, filter)
            if found is not None:
                limit = None if limit is None else limit - 1
                yield found

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return what was written to channels since the nearest state before that has their value, and that value."""
        found = self._states.deltas(_key(config), get_checkpoint_id(config), channels, self._values)
        return {
            channel: {"writes": writes, "seed": seed[0]} if seed else {"writes": writes}
            for channel, (writes, *seed) in found.items()
        }

    def _wanted(self, config: RunnableConfig | None, before: RunnableConfig | None) -> Iterable[tuple[Key, str]]:
        given = config["configurable"] if config else {}
        last = get_checkpoint_id(before) if before else None
        found = [
            (key, name)
            for key in self._states.namespaces(str(given["thread_id"]) if config else None)
            if given.get("checkpoint_ns", key.ns) == key.ns
            for name in self._states.names(key)
            if name == (given.get("checkpoint_id") or name) and (not last or name < last)
        ]
        return sorted(found, key=lambda each: each[1], reverse=True)

    def _listed(self, key: Key, name: str, filter: dict[str, Any] | None) -> CheckpointTuple | None:
        if filter:
            metadata = self._states.metadata(key, name, self._values)
            if any(metadata.get(wanted) != value for wanted, value in filter.items()):
                return None
        found = self._states.find(key, name, self._values)
        return None if found is None else _tuple(found)

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a state; return the configuration that names it.

        Raises:
            SessionError: nothing was stored that a state has.
        """
        key = _key(config)
        told = dict(get_checkpoint_metadata(config, metadata))
        self._states.put(key, get_checkpoint_id(config), dict(checkpoint), told, new_versions, self._values)
        return _config(key, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote to a state. What is there already stays, but for errors, interrupts and the like.

        Raises:
            SessionError: nothing was stored.
        """
        numbered = [
            (WRITES_IDX_MAP.get(channel, index), channel, value) for index, (channel, value) in enumerate(writes)
        ]
        state = config["configurable"]["checkpoint_id"]
        self._states.put_writes(_key(config), state, task_id, task_path, numbered, self._values)

    def delete_thread(self, thread_id: str) -> None:
        """Delete all of a thread: its states and the sessions that have its messages."""
        self._states.delete(str(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the states that these runs have made, in whatever thread, and messages that only those have.

        Reads the metadata of all states in the store.
        """
        gone = set(run_ids)
        for key in self._states.namespaces():
            self._states.thin_out(
                key,
                lambda reader: {
                    name for name in reader.log.states if self._metadata(reader, name).get("run_id") not in gone
                },
                sides=True,
            )

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all states of a thread to a new one: its sessions are branches, whatever their length.

        Raises:
            SessionExistsError: there is such a thread; nothing was changed.
        """
        self._states.copy(str(source_thread_id), str(target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete the states of threads, or all but the newest of each namespace, with the messages only those have.

        States before the newest stay as far as a delta channel is made of what was written to them, and so do those
        that another machine put while it was apart.

        Raises:
            ValueError: there is no such strategy.
        """
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategy must be 'keep_latest' or 'delete', not {strategy!r}")
        for thread in map(str, thread_ids):
            if strategy == "delete":
                self._states.delete(thread)
                continue
            for key in self._states.namespaces(thread):
                self._states.thin_out(key, self._latest)

    def get_next_version(self, current: str | int | float | None, channel: None) -> str:
        """Return the version after one: no other process makes the same."""
        before = 0 if current is None else int(str(current).partition(".")[0])
        return f"{before + 1:0{WIDTH}}.{secrets.token_hex(8)}"

    def _latest(self, reader: Reader) -> set[str]:
        """Return the newest state, and those that its delta channels need."""
        log = reader.log
        name = log.latest()
        if name is None:
            return set()
        keep = {name}
        needed = set(self._metadata(reader, name).get("counters_since_delta_snapshot") or ())
        while needed and name is not None and name in log.states:
            keep.add(name)
            # A channel that a state has no version of was not written to before.
            needed &= reader.state(name)["versions"].keys() - reader.values(name).keys()
            name = log.parents[name]
        return keep

    def _metadata(self, reader: Reader, name: str) -> dict[str, Any]:
        metadata: dict[str, Any] = self._values.unpacked(reader.state(name)["metadata"])
        return metadata

    # The same as coroutines

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Do as `get_tuple`."""
        return await self._states.call(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Do as `list`."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (each := await self._states.call(next, found, None)) is not None:
            yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Do as `put`."""
        return await self._states.call(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Do as `put_writes`."""
        await self._states.call(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Do as `delete_thread`."""
        await self._states.call(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Do as `delete_for_runs`."""
        await self._states.call(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Do as `copy_thread`."""
        await self._states.call(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Do as `prune`."""
        await self._states.call(self.prune, thread_ids, strategy=strategy)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Do as `get_delta_channel_history`."""
        return await self._states.call(self.get_delta_channel_history, config=config, channels=channels)


def _key(config: RunnableConfig) -> Key:
    given = config["configurable"]
    return Key(str(given["thread_id"]), given.get("checkpoint_ns", ""))


def _config(key: Key, name: str) -> RunnableConfig:
    return {"configurable": {"thread_id": key.thread, "checkpoint_ns": key.ns, "checkpoint_id": name}}


def _tuple(found: Found) -> CheckpointTuple:
    return CheckpointTuple(
        _config(found.key, found.name),
        {**found.fields, "channel_values": found.values},  # type: ignore[typeddict-item]
        found.metadata,  # type: ignore[arg-type]
        _config(found.key, found.parent) if found.parent else None,
        found.writes,
    )
