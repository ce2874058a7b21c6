"""What a replica says of itself: recorded first, put back where it was reverted, and carried by a sync."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from storekit import lose_record, open_store, ref_of, say

from coda_fs_session import SessionManager, StoreError
from coda_fs_session.format.ids import ObjectId
from coda_fs_session.format.replica_file import ReplicaFile, encode_replica_file, parse_replica_file
from coda_fs_session.repo import replica_files
from coda_fs_session.repo.repository import Repository
from coda_fs_session.repo.storage import RepoStorage

ONE, TWO, THREE = (ObjectId(digit * 64) for digit in "123")


def repo_of(manager: SessionManager) -> Repository:
    assert isinstance(manager._storage, RepoStorage)
    return manager._storage.repo


def adding(*purged: ObjectId) -> Callable[[ReplicaFile], ReplicaFile]:
    return lambda said: replace(said, purged=tuple(dict.fromkeys((*said.purged, *purged))))


def said_in(manager: SessionManager) -> dict[str, tuple[ObjectId, ...]]:
    found = replica_files.read_all(repo_of(manager))
    assert not found.unread
    return {replica: said.purged for replica, said in found.said.items()}


@pytest.fixture(params=["files", "sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_said_once(tmp_path: Path, backend: str) -> None:
    """What is said again is not written again; a replica without refs goes by one id, in every process."""
    for _ in range(2):
        with open_store(tmp_path / "store", backend=backend) as manager:
            said = replica_files.say(repo_of(manager), adding(ONE))
            assert (said.writes, said.purged) == (1, (ONE,))
            assert replica_files.own_said(repo_of(manager)) == said
            assert said_in(manager) == {said.replica: (ONE,)}
    with open_store(tmp_path / "store", backend=backend) as manager:
        say(manager, manager.create_session("chat"), 1)
        assert manager.describe().replica == said.replica


def test_a_reader_says_nothing(tmp_path: Path) -> None:
    """Neither one that has written nothing, nor one that may not write."""
    with open_store(tmp_path / "store") as manager:
        assert replica_files.own_said(repo_of(manager)) is None
        say(manager, manager.create_session("chat"), 1)
    with open_store(tmp_path / "store", read_only=True) as manager, pytest.raises(StoreError):
        replica_files.say(repo_of(manager), adding(ONE))
    assert not list((tmp_path / "store").glob("refs/*/replica.json"))


def test_it_is_recorded_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that fails at the store has said it all the same: the next one that looks writes it there."""
    with open_store(tmp_path / "store") as manager:
        repo = repo_of(manager)
        replica_files.say(repo, adding(ONE))

        def fail(replica: str, data: bytes) -> None:
            raise OSError("the disk")

        with monkeypatch.context() as patch:
            patch.setattr(repo.backend, "write_replica_file", fail)
            with pytest.raises(OSError, match="the disk"):
                replica_files.say(repo, adding(TWO))
        assert set(said_in(manager).values()) == {(ONE,)}
        replica_files.put_said_back(repo)
        assert set(said_in(manager).values()) == {(ONE, TWO)}


@pytest.mark.parametrize("damage", ["older", "gone", "damaged"])
def test_it_is_put_back(tmp_path: Path, damage: str) -> None:
    """An older file, none, or a damaged one in its place: who opens the store has what was said stand there again."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        say(manager, manager.create_session("chat"), 1)
        replica_files.say(repo_of(manager), adding(ONE))
        path = ref_of(store, "chat").with_name("replica.json")
        older = path.read_bytes()
        replica_files.say(repo_of(manager), adding(TWO))
    path.unlink()
    if damage != "gone":
        path.write_bytes(older if damage == "older" else older[:40])
    with open_store(store, read_only=True) as manager:
        manager.list_sessions()
    assert not path.exists() or path.read_bytes() != b""
    with open_store(store) as manager:
        assert set(said_in(manager).values()) == {(ONE, TWO)}


def test_nothing_is_taken_back(tmp_path: Path) -> None:
    """What only the store has counts too, as after the record was lost; a newer version's fields stay."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        say(manager, manager.create_session("chat"), 1)
        replica = replica_files.say(repo_of(manager), adding(ONE)).replica
    path = ref_of(store, "chat").with_name("replica.json")
    there = parse_replica_file(path.read_bytes(), replica, path)
    path.write_bytes(encode_replica_file(replace(there, writes=9, purged=(TWO,), extra={"later": 1})))
    lose_record(store)
    with open_store(store) as manager:
        said = replica_files.say(repo_of(manager), adding(THREE))
    assert (said.writes, set(said.purged), said.extra) == (10, {TWO, THREE}, {"later": 1})


def test_what_is_of_another_store_is_not_put_into_this_one(tmp_path: Path) -> None:
    """With another store at the path, what was said in the first one goes aside with its records."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        say(manager, manager.create_session("chat"), 1)
        replica_files.say(repo_of(manager), adding(ONE))
    shutil.rmtree(store)
    with pytest.warns(match="kept aside"):
        manager = open_store(store)
    with manager:
        say(manager, manager.create_session("other"), 2)
        assert said_in(manager) == {}


@pytest.mark.parametrize("other", ["files", "sqlite"])
def test_a_sync_carries_it(tmp_path: Path, backend: str, other: str) -> None:
    """Both sides hear what the others said, those too that are on neither side; a dry run carries nothing."""
    with (
        open_store(tmp_path / "ours", backend=backend, replica="ours") as ours,
        open_store(tmp_path / "theirs", backend=other, replica="theirs") as theirs,
    ):
        repo_of(ours).backend.write_replica_file("third", encode_replica_file(ReplicaFile("third", 2, purged=(THREE,))))
        repo_of(theirs).backend.write_replica_file("third", encode_replica_file(ReplicaFile("third", 1)))
        replica_files.say(repo_of(ours), adding(ONE))
        replica_files.say(repo_of(theirs), adding(TWO))
        before = said_in(theirs)
        ours.sync(theirs, dry_run=True)
        assert said_in(theirs) == before
        ours.sync(theirs, direction="pull")
        assert said_in(ours) == {"ours": (ONE,), "theirs": (TWO,), "third": (THREE,)}
        ours.sync(theirs)
        assert said_in(theirs) == said_in(ours)


def test_a_sync_leaves_the_file_of_a_sides_own_replica(tmp_path: Path) -> None:
    """Its machine has a record of what it said: only that writes it."""
    with (
        open_store(tmp_path / "ours", replica="ours") as ours,
        open_store(tmp_path / "theirs", replica="theirs") as theirs,
    ):
        replica_files.say(repo_of(theirs), adding(TWO))
        made_up = encode_replica_file(ReplicaFile("theirs", 9, purged=(THREE,)))
        repo_of(ours).backend.write_replica_file("theirs", made_up)
        ours.sync(theirs)
        assert said_in(theirs) == {"theirs": (TWO,)}
        assert set(said_in(ours)["theirs"]) == {TWO, THREE}
