"""Stores for the tests of backends."""

from __future__ import annotations

from pathlib import Path

import pytest

from coda_fs_session.backends.files.backend import LocalBackend


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    """A store of files, made."""
    made = LocalBackend(tmp_path / "store")
    made.prepare()
    return made
