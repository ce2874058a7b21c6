"""A backend with the verbs alone, over what an object store offers: whole values, and a condition on each write."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest

from coda_fs_session import SessionManager
from coda_fs_session.backends.base import (
    Backend,
    Capabilities,
    NewObject,
    Place,
    RefChangedError,
    RefKey,
    RefTakenError,
    Sign,
    Snapshot,
    Token,
    Verbs,
    mismatch,
)
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.errors import CorruptionError, ObjectNotYetHereError
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing import BackendTests


class Value(NamedTuple):
    data: bytes
    version: int


class Bucket:
    """Values under keys, each with a version; a write names the version that it takes the place of, 0 for none."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self._versions = itertools.count(1)

    def put(self, key: str, data: bytes, *, version: int) -> int:
        present = self.values.get(key)
        if version != (present.version if present else 0):
            raise RefChangedError(key)
        self.values[key] = Value(data, next(self._versions))
        return self.values[key].version


class BucketBackend(Backend):
    """Refs below ``refs/`` and objects below ``objects/``."""

    capabilities = Capabilities(persistent=False, shared=False)

    def __init__(self) -> None:
        self.bucket = Bucket()

    def prepare(self) -> None:
        return

    def place(self) -> Place:
        return Place(f"bucket:{id(self.bucket)}", Sign((id(self.bucket),)))

    def locate(self, key: RefKey | str) -> str:
        return f"bucket:refs/{key.path}" if isinstance(key, RefKey) else f"bucket:objects/{key}"

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        value = self.bucket.values.get(f"objects/{identity}")
        if value is None:
            raise ObjectNotYetHereError(identity)
        if wrong := mismatch(identity, value.data, size=size, limit=limit):
            raise CorruptionError(self.locate(identity), expected=wrong[0], actual=wrong[1])
        return value.data

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        for new in objects:
            present = self.bucket.values.get(f"objects/{new.id}")
            self.bucket.put(f"objects/{new.id}", new.data, version=present.version if present else 0)

    def objects(self) -> Iterator[tuple[str, int]]:
        for key, value in list(self.bucket.values.items()):
            if key.startswith("objects/"):
                yield key.removeprefix("objects/"), len(value.data)

    def ref_tokens(self) -> dict[str, Token]:
        found = [(key, value) for key, value in self.bucket.values.items() if key.startswith("refs/")]
        return {key.removeprefix("refs/"): _token(value) for key, value in found}

    def read_ref(self, key: RefKey) -> Snapshot:
        value = self.bucket.values[f"refs/{key.path}"]
        return Snapshot(value.data, _token(value))

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        try:
            return self._put(key, data, 0)
        except RefChangedError as error:
            raise RefTakenError(key) from error

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        present = self.bucket.values.get(f"refs/{key.path}")
        if present is None or _token(present) != expected:
            raise RefChangedError(key)
        return self._put(key, present.data + data, present.version)

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        return self._put(key, data, expected.identity)

    def _put(self, key: RefKey, data: bytes, version: int) -> Token:
        return Token(self.bucket.put(f"refs/{key.path}", data, version=version), len(data))


def _token(value: Value) -> Token:
    # A bucket has one version for both: to append is to replace, here.
    return Token(value.version, len(value.data))


class TestBucket(BackendTests):
    """What is not written above, the defaults do, and they keep every promise."""

    @pytest.fixture
    def backend(self) -> BucketBackend:
        return BucketBackend()

    def read_raw(self, backend: Backend, where: RefKey | str) -> bytes | None:
        value = _values(backend).get(_key(where))
        return value and value.data

    def write_raw(self, backend: Backend, where: RefKey | str, data: bytes | None) -> None:
        values = _values(backend)
        values.pop(_key(where), None)
        if data is not None:
            values[_key(where)] = Value(data, -1 - len(values))


def _values(backend: Backend) -> dict[str, Value]:
    assert isinstance(backend, BucketBackend)
    return backend.bucket.values


def _key(where: RefKey | str) -> str:
    return f"refs/{where.path}" if isinstance(where, RefKey) else f"objects/{where}"


def test_the_verbs_are_a_dozen() -> None:
    """What a backend must do is short, and everything else has a default."""
    assert Backend.__abstractmethods__ == Verbs.__abstractmethods__
    assert len(Verbs.__abstractmethods__) <= 12
    assert {name for name in vars(BucketBackend) if not name.startswith("_")} == {
        *Verbs.__abstractmethods__,
        "capabilities",
    }


def test_a_manager_over_it() -> None:
    storage = RepoStorage(Repository(BucketBackend(), MemoryState(), Settings()))
    manager = SessionManager({"session": {"autosave_interval": 0}}, storage=storage)
    with manager.bulk():
        for number in range(3):
            session = manager.create_session(f"chat {number}")
            session.add_message({"role": "user", "content": f"{number} " * 40_000})
            manager.save_session(session)
    branch = manager.create_session("branch", branch_from="chat 1")
    branch.add_message({"role": "user", "content": "more"})
    manager.save_all()
    manager.rename_session("chat 2", "renamed")
    manager.delete_session("chat 0")
    assert {info.name: info.message_count for info in manager.list_sessions()} == {
        "branch": 2,
        "chat 1": 1,
        "renamed": 1,
    }
    assert len(manager.load_session("branch").get_messages()) == 2
