"""Machines for the tests of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from .machines import Machine


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    """A machine whose store is empty yet."""
    return Machine(tmp_path / "here", "here-00000001")
