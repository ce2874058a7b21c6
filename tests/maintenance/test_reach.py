"""The walk from refs to objects: what it does not reach, nothing needs."""

from __future__ import annotations

from pathlib import Path

from damage.specimen import make, open_fresh
from storekit import ROOT

from coda_fs_session.repo.maintenance.unneeded import unneeded


def unreached(store: Path) -> list[bytes]:
    engine = open_fresh(store, read_only=True)._engine
    assert engine is not None
    backend = engine.repo.backend
    left = sorted(unneeded(engine.repo).files)
    return [backend.get_object(identity, size=None, limit=2**20) for identity in left]


def test_every_object_is_reached(tmp_path: Path) -> None:
    """In a store of each kind of record, only commits of tags that were moved or removed are needed by nothing."""
    make(tmp_path / "store")
    assert unreached(tmp_path / "store") == []
    left = unreached(ROOT / "fixtures" / "stores" / "v1")
    assert len(left) == 2
    assert all(data.startswith(b'{"coda_fs_session":1,"commit":"tag","name":"tagged"') for data in left)
