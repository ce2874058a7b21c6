"""A store that is only read: nothing in it is changed, and nothing that this machine keeps of its own writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from typing import TypeVar

from ..errors import opened_read_only
from .base import MachineState, Record, RefEnd, RefKey, Token
from .wrapper import WRITING, WrapperBackend

T = TypeVar("T")

_REFUSED = WRITING | {"hold", "together"}


class ReadOnlyBackend(WrapperBackend):
    """Passes on what reads, and refuses what changes a store or is done only to change it.

    Raises, from each verb that it refuses:
        StoreReadOnlyError: always; nothing was tried.
    """

    def call(self, verb: str, act: Callable[[], T]) -> T:
        if verb in _REFUSED:
            raise opened_read_only("write", self.inner.place().path)
        return act()


class ReadOnlyState(MachineState):
    """Passes on what reads the state of this machine, and keeps only what saves work next time.

    A manager that writes relies on the rest: on the id of the replica, and on the record of its own refs.

    Args:
        inner: the state; place: the store, for errors.
    """

    def __init__(self, inner: MachineState, place: str) -> None:
        self._inner = inner
        self._place = place
        self.record = ReadOnlyRecord(inner.record)
        self.shares_replica = inner.shares_replica

    def replica(self, known: Iterable[str]) -> str | None:
        return self._inner.replica(known)

    def choose_replica(self) -> str:
        raise opened_read_only("choose a replica id", self._place)

    def lock(self, *keys: str) -> AbstractContextManager[object]:
        raise opened_read_only("write", self._place)

    def keeping_house(self, what: str) -> AbstractContextManager[object]:
        raise opened_read_only(what, self._place)

    def set_aside(self, key: str, data: bytes) -> None:
        return

    def folder(self) -> str | None:
        return self._inner.folder()

    def recall(self, topic: str) -> bytes | None:
        return self._inner.recall(topic)

    def remember(self, topic: str, data: bytes) -> None:
        self._inner.remember(topic, data)

    def deleted(self) -> Collection[str]:
        return self._inner.deleted()

    def read_deleted(self, identity: str) -> bytes | None:
        return self._inner.read_deleted(identity)

    def database(self, name: str) -> str | None:
        return self._inner.database(name)

    def discard_database(self, name: str) -> None:
        self._inner.discard_database(name)

    def recover(self) -> None:
        self._inner.recover()


class ReadOnlyRecord(Record):
    """Tells what is recorded, and records nothing."""

    def __init__(self, inner: Record) -> None:
        self._inner = inner

    def replicas(self) -> list[str]:
        return self._inner.replicas()

    def is_empty(self, replica: str) -> bool:
        return self._inner.is_empty(replica)

    def tokens(self, replica: str, folders: Collection[str] | None = None) -> dict[RefKey, Token]:
        return self._inner.tokens(replica, folders)

    def folders(self, replica: str) -> list[str]:
        return self._inner.folders(replica)

    def newest(self) -> RefKey | None:
        return self._inner.newest()

    def end(self, key: RefKey) -> RefEnd | None:
        return self._inner.end(key)

    def read(self, key: RefKey) -> bytes | None:
        return self._inner.read(key)

    def noted(self, replica: str) -> bytes | None:
        return self._inner.noted(replica)

    def replica_file(self, replica: str) -> bytes | None:
        return self._inner.replica_file(replica)

    def aside(self) -> list[str]:
        return self._inner.aside()

    def changes(self) -> int:
        return self._inner.changes()

    def load_marker(self) -> bytes | None:
        return self._inner.load_marker()

    def load_checked(self, folder: str) -> bytes | None:
        return self._inner.load_checked(folder)
