"""Which replicas have a share in a store."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import Opener, open_store, say
from test_custom_storage import DictStorage, manage

from coda_fs_session import ReplicaInfo, UnsupportedError


def test_each_that_wrote(tmp_path: Path) -> None:
    """Each machine shows with its refs, those of deleted sessions too; one that only reads does not show."""
    store, state = tmp_path / "store", str(tmp_path / "lap")
    with open_store(store, replica="desk") as desk, open_store(store, replica="lap", state_path=state) as lap:
        say(desk, desk.create_session("one"), 1)
        say(desk, desk.create_session("two"), 2)
        say(lap, lap.create_session("three"), 3)
        desk.delete_session("two")
        (info,) = (info for info in desk.list_sessions() if info.name == "three")
        own, other = desk.maintenance.replicas()
        assert (own.id, own.is_own, own.refs, own.unreadable) == ("desk", True, 2, 0)
        size = sum(path.stat().st_size for path in store.glob("refs/lap/*"))
        assert other == ReplicaInfo("lap", refs=1, bytes=size, updated=info.updated_at)
        assert [each.is_own for each in lap.maintenance.replicas()] == [False, True]
    with open_store(store, state_path=str(tmp_path / "third"), read_only=True) as reader:
        assert [(each.id, each.is_own) for each in reader.maintenance.replicas()] == [("desk", False), ("lap", False)]


def test_what_cannot_be_read_counts(tmp_path: Path) -> None:
    """A ref that no header tells anything of counts for the replica of its folder."""
    store = tmp_path / "store"
    (store / "refs" / "other").mkdir(parents=True)
    (store / "refs" / "other" / "chat.jsonl").write_bytes(b"{}\n")
    with open_store(store) as manager:
        assert manager.maintenance.replicas() == [ReplicaInfo("other", refs=1, bytes=3, unreadable=1)]


def test_every_backend(make: Opener) -> None:
    """A store that nobody wrote into has none; then this one is the only one."""
    with make() as manager:
        assert manager.maintenance.replicas() == []
        say(manager, manager.create_session("chat"), 1)
        (own,) = manager.maintenance.replicas()
        assert (own.is_own, own.refs) == (True, 1)
        assert own.id == manager.describe().replica


def test_another_storage_has_none() -> None:
    """A storage of four methods has no replicas, and says so."""
    with pytest.raises(UnsupportedError, match="DictStorage"):
        manage(DictStorage()).maintenance.replicas()
