"""Machines for the tests of what brings sessions together."""

from __future__ import annotations

from pathlib import Path

import pytest
from repo.diverging import exchange
from repo.machines import Machine, said


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "here", "here-00000001")


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "there", "there-00000002")


@pytest.fixture
def third(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "third", "third-00000003")


@pytest.fixture
def derived(here: Machine, there: Machine) -> str:
    """The derived name of one side of "chat", which both machines have gone on with after twenty messages."""
    here.create("chat", said(*range(20)))
    exchange(here, there)
    here.change("chat", "here 1", "here 2")
    there.change("chat", "there 1")
    exchange(here, there)
    (name,) = set(here.names()) - {"chat"}
    return name
