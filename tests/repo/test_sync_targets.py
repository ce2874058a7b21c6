"""What a store can be synced with: another one, by whatever path, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import (
    Session,
    SessionInfo,
    SessionManager,
    SessionStorage,
    StoreError,
    StoreFormatError,
    UnsupportedError,
)
from coda_fs_session.repo.storage import RepoStorage

from .machines import Machine, said
from .syncing import files_of, in_memory, some_sessions, states


def test_memory_and_files(here: Machine, there: Machine) -> None:
    """The engine knows no backend: a store in memory takes part like any other, and passes on what it got."""
    some_sessions(here)
    memory = in_memory()
    here.manager().sync(memory)
    assert states(memory) == states(here.manager())
    session = memory.create_session("long")
    session.add_message({"role": "user", "content": "from memory"})
    memory.save_session(session)
    report = memory.sync(there.store)
    assert len(report.pushed.new) == 5
    assert there.read("long")[-1] == "from memory"
    other = in_memory("memory-00000002")
    assert other.sync(memory, direction="pull").pulled.new == report.pushed.new
    assert states(other) == states(memory) == states(there.manager())


@pytest.mark.parametrize("where", [".", "refs", "..", "../store/objects/../"])
def test_a_store_and_itself(here: Machine, where: str) -> None:
    """A store is not synced into itself, nor with what is within it or around it."""
    here.create("chat", said(1))
    before = files_of(here)
    with pytest.raises(ValueError, match="with itself"):
        here.manager().sync(here.store / where)
    with pytest.raises(ValueError, match="with itself"):
        here.manager().sync(here.manager())
    assert files_of(here) == before
    memory = in_memory()
    with pytest.raises(ValueError, match="with itself"):
        memory.sync(memory)


def test_a_link_to_the_same_store(here: Machine, tmp_path: Path) -> None:
    """A symbolic link to the store is the store."""
    here.create("chat", said(1))
    (tmp_path / "link").symlink_to(here.store)
    with pytest.raises(ValueError, match="with itself"):
        here.manager().sync(tmp_path / "link")


def test_what_is_no_store_is_refused(here: Machine, tmp_path: Path) -> None:
    """A folder of something else, a file, a newer store, and nothing to pull from: refused, and nothing is written."""
    here.create("chat", said(1))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("Dear ...")
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "FORMAT").write_text('{"coda_fs_session":2}\n')
    for target in (foreign, foreign / "letter.txt", newer):
        with pytest.raises(StoreFormatError):
            here.manager().sync(target)
    assert sorted(path.name for path in tmp_path.rglob("*") if "here" not in path.parts) == sorted(
        ["foreign", "letter.txt", "newer", "FORMAT"]
    )
    with pytest.raises(StoreError, match="no store at"):
        here.manager().sync(tmp_path / "absent", direction="pull")
    assert not (tmp_path / "absent").exists()
    with pytest.raises(ValueError, match="direction"):
        here.manager().sync(tmp_path / "absent", direction="sideways")  # type: ignore[arg-type]


def test_storages_without_an_engine(here: Machine) -> None:
    """A storage of one's own cannot be synced, and the error says so, whichever side it is on."""

    class Nowhere(SessionStorage):
        def save(self, session: object) -> None: ...
        def load(self, name: str) -> None: ...
        def delete(self, name: str) -> None: ...
        def list_all(self) -> list[SessionInfo]:
            return []

    custom = SessionManager(storage=Nowhere())
    for one, other in ((custom, here.manager()), (here.manager(), custom)):
        with pytest.raises(UnsupportedError, match="Nowhere cannot be synced"):
            one.sync(other)


def test_a_storage_that_passes_on_to_an_engine(here: Machine, there: Machine) -> None:
    """A storage in front of one of this package's lends it to what needs an engine: a sync, a watch."""

    class InFront(SessionStorage):
        def __init__(self, behind: SessionStorage) -> None:
            self._behind = behind

        def engine(self) -> object | None:
            return self._behind.engine()

        def save(self, session: Session) -> None:
            self._behind.save(session)

        def load(self, name: str) -> Session | None:
            return self._behind.load(name)

        def delete(self, name: str) -> None:
            self._behind.delete(name)

        def list_all(self) -> list[SessionInfo]:
            return self._behind.list_all()

    some_sessions(here)
    manager = SessionManager(storage=InFront(there.manager()._storage))
    with manager.watch() as watch:
        assert here.manager().sync(manager).pushed
        event = watch.next(timeout=10)
    assert event is not None
    assert there.names() == here.names() != []


def test_another_disk_at_the_same_place(here: Machine, there: Machine, tmp_path: Path) -> None:
    """What is remembered of one stick is not believed of another one that is mounted at the same place."""
    some_sessions(here)
    here.manager().sync(there.store)
    here.manager().sync(there.store)
    there.store.rename(tmp_path / "first stick")
    here.manager().sync(there.store)
    assert files_of(there) == files_of(here)


def test_losing_the_state_folder(here: Machine, there: Machine) -> None:
    """What is remembered saves work and nothing else; rubbish in its place does no harm."""
    some_sessions(here)
    here.manager().sync(there.store)
    (memory,) = (here.folder / "state").glob("*/sync-*.json")
    for rubbish in (b"", b"[]", b"\xff", b"[1,null,{},{},{}]", b"[1,2,3]"):
        memory.write_bytes(rubbish)
        report = here.manager().sync(there.store)
        assert not report.pushed
        assert not report.pulled
        assert report.problems == ()


def test_a_read_only_target(here: Machine, there: Machine) -> None:
    """From a target that cannot be written everything is pulled; pushing to it fails as any write does."""
    there.create("theirs", said(*range(40)))
    here.create("mine", said(1))

    manager = there.manager()
    assert isinstance(manager._storage, RepoStorage)
    backend = manager._storage.repo.backend

    def refuse(*arguments: object) -> Any:
        raise StoreError("cannot be written", there.store)

    for verb in ("prepare", "put_objects", "create_ref", "create_refs", "append_ref", "replace_ref"):
        setattr(backend, verb, refuse)
    assert here.manager().sync(manager, direction="pull").pulled.new == ("theirs",)
    with pytest.raises(StoreError, match="cannot be written"):
        here.manager().sync(manager)
    assert here.names() == ["mine", "theirs"]


def test_a_target_is_the_folder_that_the_system_finds(here: Machine, tmp_path: Path) -> None:
    """`..` after a symbolic link leads up from where that points to."""
    here.create("chat", said(1))
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "deep")
    here.manager().sync(f"{tmp_path}/link/../usb")
    assert list((tmp_path / "disk" / "usb").glob("refs/*/chat.jsonl"))
    assert not (tmp_path / "usb").exists()
