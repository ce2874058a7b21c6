"""Machines for the tests of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from sync.hubs import Hub

from .diverging import apart
from .machines import Machine


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    """A machine whose store is empty yet."""
    return Machine(tmp_path / "here", "here-00000001")


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    """Another one."""
    return Machine(tmp_path / "there", "there-00000002")


@pytest.fixture
def third(tmp_path: Path) -> Machine:
    """One more."""
    return Machine(tmp_path / "third", "third-00000003")


@pytest.fixture
def derived(here: Machine, there: Machine) -> str:
    """The derived name by which the side of `there` goes, of a session "default" that `here` has another one of."""
    return apart(here, there)


@pytest.fixture
def hub() -> Hub:
    """A hub in which nothing is yet."""
    return Hub()


@pytest.fixture
def desk(tmp_path: Path) -> Machine:
    """A machine that is synced with it."""
    return Machine(tmp_path / "desk", "desk-00000001")


@pytest.fixture
def lap(tmp_path: Path) -> Machine:
    """Another one."""
    return Machine(tmp_path / "lap", "lap-00000002")
