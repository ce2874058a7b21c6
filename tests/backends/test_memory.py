"""The memory backend."""

from __future__ import annotations

import pytest

from coda_fs_session.backends.base import Backend, RefKey
from coda_fs_session.backends.memory import MemoryBackend

from .contract import KEY, BackendContract


class TestMemory(BackendContract):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()

    def overwrite(self, backend: Backend, key: RefKey, data: bytes) -> None:
        assert isinstance(backend, MemoryBackend)
        token = backend.read_ref(key).token
        backend.replace_ref(key, token, data)


def test_stores_are_apart() -> None:
    """Two memory backends share nothing."""
    one, two = MemoryBackend(), MemoryBackend()
    one.create_ref(KEY, b"one\n")
    assert list(two.refs()) == []
