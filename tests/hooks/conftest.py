"""Managers for the tests of hooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import open_store
from test_custom_storage import DictStorage, manage

from coda_fs_session import SessionManager


@pytest.fixture(params=["files", "memory", "custom"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> SessionManager:
    """A manager over each kind of storage, one with only the four methods included."""
    return manage(DictStorage()) if request.param == "custom" else open_store(tmp_path / "store", backend=request.param)
