"""A store with a backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from layouts import layout
from repo.machines import Machine, said

from .backups import backup_of

__all__ = ["here", "layout"]


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    """A store with two sessions, closed, and a backup of it beside."""
    machine = Machine(tmp_path / "here", "")
    machine.create("chat", said(0, 1))
    machine.create("other", said("fine"))
    machine.manager().close()
    shutil.copytree(machine.store, backup_of(machine))
    return machine
