"""The memory backend: for tests, and for sessions that need not outlive the process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import count

from ..errors import CorruptionError, ObjectNotYetHereError
from ..process import forks
from ..process.interrupts import give_up
from .base import (
    Backend,
    Capabilities,
    MachineState,
    NewObject,
    Place,
    RefFolders,
    RefKey,
    RefRefusedError,
    RefTakenError,
    RefWrite,
    Sign,
    Snapshot,
    Token,
    mismatch,
)

_serials = count(1)


class MemoryBackend(Backend):
    """Bytes under keys in this process."""

    capabilities = Capabilities(persistent=False, shared=False, together=True)

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._refs: dict[RefKey, Snapshot] = {}
        self._replica_files: dict[str, bytes] = {}
        self._placed = 0
        self._placed_of: Counter[str | None] = Counter()
        self._serial = next(_serials)
        self._mutex = threading.RLock()
        forks.renew(self, forks.Floor.BACKEND)

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._mutex = threading.RLock()

    def prepare(self) -> None:
        return

    def place(self) -> Place:
        return Place(f"memory:{self._serial}", Sign((self._serial,)))

    def locate(self, key: RefKey | str) -> str:
        return f"memory:refs/{key.path}" if isinstance(key, RefKey) else f"memory:objects/{key}"

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        try:
            data = self._objects[identity]
        except KeyError:
            raise ObjectNotYetHereError(identity) from None
        if wrong := mismatch(identity, data, size=size, limit=limit):
            expected, actual = wrong
            raise CorruptionError("an object in memory is damaged", expected=expected, actual=actual)
        return data

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        for new in objects:
            self._objects[new.id] = new.data

    def objects(self) -> Iterator[tuple[str, int]]:
        yield from [(identity, len(data)) for identity, data in list(self._objects.items())]

    def discard_object(self, identity: str) -> None:
        self._objects.pop(identity, None)

    def replica_files(self) -> Collection[str]:
        return list(self._replica_files)

    def read_replica_file(self, replica: str) -> bytes | None:
        return self._replica_files.get(replica)

    def write_replica_file(self, replica: str, data: bytes) -> None:
        self._replica_files[replica] = data

    def ref_tokens(self) -> dict[str, Token]:
        with self._mutex:
            return {key.path: snapshot.token for key, snapshot in self._refs.items()}

    def ref_folders(self, known: Mapping[str, object], *, but: str | None = None) -> RefFolders:
        with self._mutex:
            now = self._placed - self._placed_of[but]
            if known and all(state == now for state in known.values()):
                return RefFolders(dict(known), {})
            return RefFolders.listed({key.path: snapshot.token.identity for key, snapshot in self._refs.items()}, now)

    def read_ref(self, key: RefKey) -> Snapshot:
        return self._refs[key]

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        with self._mutex:
            if key in self._refs:
                raise RefTakenError(key)
            return self._place(key, data)

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        with self._mutex:
            before = self._expected(key, expected)
            token = expected._replace(size=expected.size + len(data))
            self._refs[key] = Snapshot(before + data, token)
            return token

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        with self._mutex:
            self._expected(key, expected)
            return self._place(key, data)

    def write_refs(self, writes: Sequence[RefWrite]) -> list[Token]:
        with self._mutex:
            for key, expected, _, _ in writes:
                if expected is not None:
                    self._expected(key, expected)
                elif key in self._refs:
                    raise RefRefusedError(key)
            return super().write_refs(writes)

    def recover(self) -> None:
        give_up(self._mutex)

    def _expected(self, key: RefKey, expected: Token) -> bytes:
        snapshot = self._refs.get(key)
        if snapshot is None or snapshot.token != expected:
            raise RefRefusedError(key)
        return snapshot.data

    def _place(self, key: RefKey, data: bytes) -> Token:
        self._placed += 1
        self._placed_of[key.replica] += 1
        token = Token(self._placed, len(data))
        self._refs[key] = Snapshot(data, token)
        return token


class MemoryState(MachineState):
    """Machine state that ends with the process."""

    def __init__(self, replica: str = "memory-00000000") -> None:
        self._replica = replica
        self._lock = threading.RLock()
        forks.renew(self, forks.Floor.BACKEND)

    def after_fork(self) -> None:
        """As that of `MemoryBackend`."""
        self._lock = threading.RLock()

    def replica(self, known: Iterable[str]) -> str:
        return self._replica

    def choose_replica(self) -> str:
        return self._replica

    def lock(self, *keys: str) -> AbstractContextManager[bool]:
        return self._lock

    def recover(self) -> None:
        give_up(self._lock)

    def set_aside(self, key: str, data: bytes) -> None:
        return
