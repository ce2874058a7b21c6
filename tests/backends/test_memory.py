"""The memory backend."""

from __future__ import annotations

import pytest

from coda_fs_session.backends.base import Backend, RefKey, Snapshot, Token
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.testing import BackendTests
from coda_fs_session.testing.kit.case import KEY


def read_raw(backend: Backend, where: RefKey | str) -> bytes | None:
    assert isinstance(backend, MemoryBackend)
    if isinstance(where, RefKey):
        return backend._refs[where].data if where in backend._refs else None
    return backend._objects.get(where)


def write_raw(backend: Backend, where: RefKey | str, data: bytes | None) -> None:
    assert isinstance(backend, MemoryBackend)
    if isinstance(where, str):
        backend._objects.pop(where, None)
        if data is not None:
            backend._objects[where] = data
    elif data is None:
        del backend._refs[where]
    else:
        # A token that the backend itself never gives.
        backend._refs[where] = Snapshot(data, Token(-1, len(data)))


class TestMemory(BackendTests):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()

    def read_raw(self, backend: Backend, where: RefKey | str) -> bytes | None:
        return read_raw(backend, where)

    def write_raw(self, backend: Backend, where: RefKey | str, data: bytes | None) -> None:
        write_raw(backend, where, data)


def test_stores_are_apart() -> None:
    """Two memory backends share nothing."""
    one, two = MemoryBackend(), MemoryBackend()
    one.create_ref(KEY, b"one\n")
    assert list(two.refs()) == []
