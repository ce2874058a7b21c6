"""A manager of a store in a bucket keeps what every storage promises."""

from __future__ import annotations

from typing import Any

import pytest

from coda_fs_session import SessionManager, SessionStorage, UnsupportedError
from coda_fs_session.testing import SessionStorageTests

from .servers import Server

pytest.importorskip("obstore")


class TestFleet(SessionStorageTests):
    @pytest.fixture
    def storage(self, url: str, server: Server) -> Any:
        return SessionManager({"session": {"storage_path": url, "bucket": server.options}})._storage

    def test_a_transaction(self, storage: SessionStorage) -> None:
        """One that changes several sessions is refused."""
        with pytest.raises(UnsupportedError, match="one session at a time"):
            super().test_a_transaction(storage)
