"""The test tools as a typed program uses them: never run, checked by mypy in strict mode."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import pytest

from coda_fs_session import SessionManager, SessionStorage, StoreFullError
from coda_fs_session.backends.base import Backend, RefKey
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.testing import (
    BackendTests,
    Capabilities,
    Fault,
    FaultyBackend,
    LatencyBackend,
    SessionStorageTests,
    WrapperBackend,
)


class TestMine(BackendTests):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()

    def reopen(self, backend: Backend) -> Backend:
        return backend

    def read_raw(self, backend: Backend, where: RefKey | str) -> bytes | None:
        return None

    def write_raw(self, backend: Backend, where: RefKey | str, data: bytes | None) -> None:
        return


class TestMyStorage(SessionStorageTests):
    capabilities = Capabilities(persistent=True, shared=False)

    @pytest.fixture
    def storage(self, tmp_path: Path) -> SessionStorage:
        raise NotImplementedError

    def reopen(self, storage: SessionStorage) -> SessionStorage:
        assert_type(self.manage(storage, max_session_size=1), SessionManager)
        return storage

    def damage(self, storage: SessionStorage, name: str) -> None:
        return


faulty = FaultyBackend(
    MemoryBackend(),
    Fault("append_ref"),
    Fault("writing", at=3, when="after", error=StoreFullError, lasting=2),
)
faulty.faults.clear()
assert_type(faulty.calls, list[str])
assert_type(faulty.inner, Backend)
wrapped: WrapperBackend = LatencyBackend(faulty, reading=0.05, writing=0.2)
assert_type(wrapped.capabilities, Capabilities)
Fault("append_ref", when="during")  # type: ignore[arg-type]
