"""A store with a backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from layouts import layout
from repo.machines import Machine, said

from coda_fs_session.backends.disk.descriptors import give_back
from coda_fs_session.backends.machine import packing
from coda_fs_session.backends.machine.own_refs import FileRecord

from .backups import backup_of

__all__ = ["here", "layout"]


@pytest.fixture(autouse=True)
def packed(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one of the two layouts, have every program find all records packed."""
    if layout == "flat":
        return
    adopt = FileRecord.adopt

    def adopt_packed(self: FileRecord, replica: str) -> None:
        adopt(self, replica)
        give_back()
        root = f"{self.state()}/own"
        packing.pack(self._files, self._packs, root, replica, list(packing.folders(root, replica)))

    monkeypatch.setattr(packing, "_MOST_LOOSE", 1)
    monkeypatch.setattr(packing, "_SHARE", 10**9)
    monkeypatch.setattr(FileRecord, "adopt", adopt_packed)


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    """A store with two sessions, closed, and a backup of it beside."""
    machine = Machine(tmp_path / "here", "")
    machine.create("chat", said(0, 1))
    machine.create("other", said("fine"))
    machine.manager().close()
    shutil.copytree(machine.store, backup_of(machine))
    return machine
