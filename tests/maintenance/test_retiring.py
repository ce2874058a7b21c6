"""Replicas that nobody waits for any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from storekit import fill, open_store

from coda_fs_session import SessionManager, StoreReadOnlyError
from coda_fs_session.repo import replica_files

from .collecting import repo_of


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store into which another machine has written two sessions, and this one a third."""
    store = tmp_path / "store"
    with open_store(store, replica="lap", state_path=str(tmp_path / "lap")) as other:
        fill(other, "one", 1)
        fill(other, "two", 2)
    with open_store(store, replica="desk") as manager:
        fill(manager, "mine", 1)
    return store


def files(store: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def later(manager: SessionManager, days: float) -> None:
    """Let it be some days later for a manager."""
    repo = repo_of(manager)
    now = datetime.now(UTC) + timedelta(days=days)
    repo.settings = repo.settings._replace(clock=lambda: now)


def test_a_machine_that_is_gone(store: Path) -> None:
    """A dry run tells what it has here and changes nothing; then it is in our replica file, which gc goes by."""
    with open_store(store, replica="desk") as manager:
        later(manager, 31)
        before = files(store)
        report = manager.maintenance.retire("lap")
        assert (report.replica.id, report.replica.refs, report.last_session) == ("lap", 2, "two")
        assert (report.dry_run, files(store)) == (True, before)
        done = manager.maintenance.retire("lap", dry_run=False)
        assert (done.replica, done.last_session, done.dry_run) == (report.replica, "two", False)
        said = replica_files.read_said(repo_of(manager), "desk")
        assert said is not None
        assert said.retired == ("lap",)
        assert [(each.id, each.retired) for each in manager.maintenance.replicas()] == [("desk", False), ("lap", True)]
        # All that it has written stays.
        after = files(store)
        assert {path: after[path] for path in before} == before
        assert sorted(info.name for info in manager.list_sessions()) == ["mine", "one", "two"]
        assert manager.maintenance.check(full=True).findings == ()


def test_one_that_wrote_lately(store: Path) -> None:
    """It may be there: it takes `force`, also where nothing tells when it last wrote."""
    with open_store(store, replica="desk") as manager:
        later(manager, 29)
        before = files(store)
        with pytest.raises(ValueError, match=r"'lap' has written at .*, less than 30 days ago: .*force=True"):
            manager.maintenance.retire("lap")
        assert files(store) == before
        assert manager.maintenance.retire("lap", force=True, dry_run=False).replica.id == "lap"
        (store / "refs" / "stick").mkdir()
        (store / "refs" / "stick" / "chat.jsonl").write_bytes(b"{}\n")
        later(manager, 3650)
        with pytest.raises(ValueError, match=r"nothing tells when the replica 'stick' last wrote.*force=True"):
            manager.maintenance.retire("stick")
        report = manager.maintenance.retire("stick", force=True, dry_run=False)
        assert (report.replica.unreadable, report.last_session) == (1, None)
        said = replica_files.own_said(repo_of(manager))
        assert said is not None
        assert said.retired == ("lap", "stick")


def test_who_cannot_be_retired(store: Path) -> None:
    """Not this replica, and none that never wrote here; a manager that only reads can but look."""
    with open_store(store, replica="desk") as manager:
        before = files(store)
        for force in (False, True):
            with pytest.raises(ValueError, match="is this replica"):
                manager.maintenance.retire("desk", force=force, dry_run=False)
            with pytest.raises(ValueError, match=r"no replica 'dsek'.*replicas\(\)"):
                manager.maintenance.retire("dsek", force=force, dry_run=False)
        assert files(store) == before
    with open_store(store, replica="desk", read_only=True) as reader:
        assert reader.maintenance.retire("lap", force=True).replica.id == "lap"
        with pytest.raises(StoreReadOnlyError):
            reader.maintenance.retire("lap", force=True, dry_run=False)


def test_twice_is_once(store: Path, tmp_path: Path) -> None:
    """One that anybody has retired is so for all: nothing more is written, and no `force` is needed."""
    with open_store(store, replica="desk") as manager:
        manager.maintenance.retire("lap", force=True, dry_run=False)
        before = files(store)
        assert manager.maintenance.retire("lap", dry_run=False).replica.retired
        assert files(store) == before
    with open_store(store, replica="third", state_path=str(tmp_path / "third")) as third:
        fill(third, "more", 1)
        before = files(store)
        assert third.maintenance.retire("lap", dry_run=False).replica.retired
        assert files(store) == before


def test_one_with_a_replica_file_alone(store: Path, tmp_path: Path) -> None:
    """A machine that has said something, and has no ref any more, is waited for too: it shows, and can be retired."""
    with open_store(store, replica="third", state_path=str(tmp_path / "third")) as third:
        third.maintenance.retire("lap", force=True, dry_run=False)
    with open_store(store, replica="desk") as manager:
        (third_info,) = (each for each in manager.maintenance.replicas() if each.id == "third")
        assert (third_info.refs, third_info.updated, third_info.is_own) == (0, None, False)
        assert manager.maintenance.retire("third", force=True, dry_run=False).replica == third_info
        assert manager.maintenance.gc().waiting_for == ()


def test_in_a_database(tmp_path: Path) -> None:
    """A database has replicas that were synced into it; it says what it says in a row of its own."""
    with open_store(tmp_path / "lap", replica="lap", state_path=str(tmp_path / "state")) as other:
        fill(other, "one", 1)
    with open_store(tmp_path / "store", backend="sqlite", replica="desk") as manager:
        manager.sync(str(tmp_path / "lap"))
        manager.maintenance.retire("lap", force=True, dry_run=False)
        assert [each.id for each in manager.maintenance.replicas() if each.retired] == ["lap"]
