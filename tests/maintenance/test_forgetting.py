"""Forgetting what this machine has recorded of a store that is gone."""

from __future__ import annotations

import shutil
import warnings
from hashlib import sha256
from pathlib import Path

import pytest
from storekit import fill, message, open_store, say

from coda_fs_session import SessionManager, SessionWarning, StoreReadOnlyError

from .collecting import repo_of


def here(tmp_path: Path) -> SessionManager:
    """Return the manager of another store of the same machine."""
    return open_store(tmp_path / "here", state_path=str(tmp_path / "state"))


@pytest.fixture
def gone(tmp_path: Path) -> Path:
    """A store with three sessions, one of them deleted, on a disk that is not plugged in any more."""
    store = tmp_path / "disk" / "store"
    with open_store(store, state_path=str(tmp_path / "state")) as manager:
        fill(manager, "chat", 3)
        fill(manager, "long", 4, size=70_000)
        say(manager, manager.load_session("long"), 5)
        fill(manager, "old", 1)
        manager.delete_session("old")
    (tmp_path / "disk").rename(tmp_path / "drawer")
    return store


def test_nothing_of_messages_stays(tmp_path: Path, gone: Path) -> None:
    """The index, the index of searches and the trash hold words too: they go with the records, of that store alone."""
    (tmp_path / "drawer").rename(tmp_path / "disk")
    with open_store(gone, state_path=str(tmp_path / "state")) as manager:
        assert manager.search("message").hits
        assert len(manager.list_sessions()) == 2
        repo_of(manager).machine.keep_deleted(sha256(b"deleted").hexdigest(), b"deleted")
    (tmp_path / "disk").rename(tmp_path / "drawer")
    (state,) = (tmp_path / "state").glob("*")
    with here(tmp_path) as manager:
        fill(manager, "chat", 3)
        assert manager.search("message").hits
        manager.maintenance.forget(gone, dry_run=False)
        left = {path.relative_to(state).parts[0] for path in state.rglob("*") if path.is_file()}
        assert left <= {"locks", "own", "replica"}
        assert not [path for path in (state / "own").rglob("*.jsonl") if path.is_file()]
        (own,) = (path for path in (tmp_path / "state").glob("*") if path != state)
        assert list(own.glob("*.db"))


def recorded(tmp_path: Path) -> list[Path]:
    """Return the files of the state folders that hold words of a message."""
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    return [path for path in files if b"message 1" in path.read_bytes()]


def test_what_only_the_record_has(tmp_path: Path, gone: Path) -> None:
    """A dry run tells of each session which messages stand in the record, and changes nothing; then they are gone."""
    before = recorded(tmp_path)
    assert before
    with here(tmp_path) as manager:
        report = manager.maintenance.forget(gone)
        told = [(each.session, each.messages, each.only, each.problem) for each in report.sessions]
        # Large messages are objects, which were in the store alone.
        assert told == [("chat", 3, range(3), ""), ("long", 5, range(4, 5), "")]
        assert all(each.updated is not None for each in report.sessions)
        assert report.bytes > 0
        assert recorded(tmp_path) == before
        done = manager.maintenance.forget(gone, dry_run=False)
        assert (done.sessions, done.bytes, done.dry_run) == (report.sessions, report.bytes, False)
        assert recorded(tmp_path) == []
        assert manager.maintenance.forget(gone).sessions == ()
        assert manager.maintenance.forget(gone).bytes == 0


def test_the_manager_of_the_place_itself(tmp_path: Path, gone: Path) -> None:
    """A manager whose own store is gone can forget it, and begins anew there."""
    with open_store(gone, state_path=str(tmp_path / "state"), read_only=True) as manager:
        assert len(manager.maintenance.forget(gone).sessions) == 2
        with pytest.raises(StoreReadOnlyError):
            manager.maintenance.forget(gone, dry_run=False)
    with here(tmp_path) as manager:
        manager.maintenance.forget(gone, dry_run=False)
    with open_store(gone, state_path=str(tmp_path / "state")) as manager, warnings.catch_warnings():
        warnings.simplefilter("error")
        fill(manager, "new", 1)
        assert manager.kept_aside() == []


def test_a_disk_that_comes_back_after_all(tmp_path: Path, gone: Path) -> None:
    """Nothing of the store itself is touched: it is whole, under the same id, and is saved to as before."""
    with here(tmp_path) as manager:
        manager.maintenance.forget(gone, dry_run=False)
    (tmp_path / "drawer").rename(tmp_path / "disk")
    with open_store(gone, state_path=str(tmp_path / "state")) as manager:
        (own,) = manager.maintenance.replicas()
        assert own.is_own
        say(manager, manager.load_session("chat"), 7)
        assert manager.load_session("chat").messages[-1] == message(7)
        assert manager.maintenance.check(full=True).findings == ()


def test_what_is_somewhere_else_is_not_called_lost(tmp_path: Path, gone: Path) -> None:
    """A store that was moved has all of it: its manager says so of each session."""
    shutil.copytree(tmp_path / "drawer" / "store", tmp_path / "here")
    with here(tmp_path) as manager:
        assert [each.only for each in manager.maintenance.forget(gone).sessions] == [range(3, 3), range(5, 5)]
        say(manager, manager.load_session("chat"), 8)
        assert [each.only for each in manager.maintenance.forget(gone).sessions] == [range(3, 3), range(5, 5)]


def test_a_store_that_is_there_keeps_its_records(tmp_path: Path) -> None:
    """No store is forgotten whose folder is there, be it this one or another, also of another process."""
    with here(tmp_path) as manager:
        fill(manager, "chat", 3)
        before = recorded(tmp_path)
        assert before
        assert manager.maintenance.forget(tmp_path / "here", dry_run=False).sessions == ()
        assert recorded(tmp_path) == before


def test_what_is_kept_aside_of_another_store(tmp_path: Path, gone: Path) -> None:
    """Once another store stands at the place, what is kept aside of the first one goes, and the new records stay."""
    with pytest.warns(SessionWarning, match="kept aside"):
        manager = open_store(gone, state_path=str(tmp_path / "state"))
    with manager:
        fill(manager, "new", 1)
        assert {info.name for info in manager.kept_aside()} == {"chat", "long"}
        assert manager.maintenance.gc().blocked != ()
        report = manager.maintenance.forget(gone, dry_run=False)
        assert [each.session for each in report.sessions] == ["chat", "long"]
        assert manager.kept_aside() == []
        assert manager.maintenance.gc().blocked == ()
        record = repo_of(manager).machine.record
        assert [not record.is_empty(each) for each in record.replicas()] == [True]


def test_a_damaged_record_is_told_of(tmp_path: Path, gone: Path) -> None:
    """Nobody can tell what it holds: the report says so, and hides no other."""
    state = tmp_path / "state"
    (path,) = (path for path in state.glob("*/own/*/chat*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b"chat", b"chut", 1))
    with here(tmp_path) as manager:
        first, second = manager.maintenance.forget(gone).sessions
        assert (first.session, first.only, first.updated) == ("chat", range(0), None)
        assert "damaged" in first.problem
        assert (second.session, second.problem) == ("long", "")


def test_a_path_that_cannot_be_meant(tmp_path: Path) -> None:
    """A URL is refused, and so is a place on another host."""
    with here(tmp_path) as manager, pytest.raises(ValueError, match="URL"):
        manager.maintenance.forget("https://example.org/store")
