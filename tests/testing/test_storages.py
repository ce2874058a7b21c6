"""The kit for storages, over the engine's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import lose_record, open_store, ref_of

from coda_fs_session import SessionStorage
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing import Capabilities, SessionStorageTests

from .broken_storages import OfFolder, OfStorage


class TestKept(OfStorage):
    """What the broken storages are made of has no fault of its own."""


class TestFolder(OfFolder):
    """Nor has this."""


class TestFiles(SessionStorageTests):
    capabilities = Capabilities(persistent=True, shared=True)

    @pytest.fixture
    def storage(self, tmp_path: Path) -> SessionStorage:
        self.store = tmp_path / "store"
        return open_store(self.store)._storage

    def reopen(self, storage: SessionStorage) -> SessionStorage:
        return open_store(self.store)._storage

    def damage(self, storage: SessionStorage, name: str) -> None:
        path = ref_of(self.store, name)
        path.write_bytes(path.read_bytes().replace(b'"messages"', b'"massages"'))
        # Or it would be mended from that.
        lose_record(self.store)


class TestMemory(SessionStorageTests):
    @pytest.fixture
    def storage(self) -> RepoStorage:
        return RepoStorage(Repository(MemoryBackend(), MemoryState(), Settings()))
