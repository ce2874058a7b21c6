"""The SQLite backend: the contract, and what only a database can get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from coda_fs_session.backends.base import Backend, RefKey
from coda_fs_session.backends.sqlite import SqliteBackend

from .contract import BackendContract


class TestSqlite(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> SqliteBackend:
        return SqliteBackend(tmp_path / "store")

    def overwrite(self, backend: Backend, key: RefKey, data: bytes) -> None:
        # Another process, which has read the ref.
        other = SqliteBackend(Path(backend.place().path))
        other.replace_ref(key, other.read_ref(key).token, data)
        other.close()
