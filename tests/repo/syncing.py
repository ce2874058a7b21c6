"""Stores to sync, and what is in them."""

from __future__ import annotations

from coda_fs_session import SessionManager
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

from .machines import SMALL, Machine, said


def in_memory(replica: str = "memory-00000001") -> SessionManager:
    repository = Repository(MemoryBackend(), MemoryState(replica), Settings(sizes=SMALL))
    return SessionManager({"session": {"autosave_interval": 0}}, storage=RepoStorage(repository))


def states(manager: SessionManager) -> set[tuple[str, bool, tuple[bytes, ...]]]:
    """Return name, deleted or not, and messages of every good ref of a store: all that anybody could be shown."""
    assert isinstance(manager._storage, RepoStorage)
    repo = manager._storage.repo
    heads = [repo.read(key) for key, _ in repo.backend.refs()]
    return {(head.name, head.deleted, tuple(head.messages.read(0, head.count))) for head in heads}


def files_of(machine: Machine) -> dict[str, bytes]:
    """Return every file of a store that is data."""
    return {
        str(path.relative_to(machine.store)): path.read_bytes()
        for path in machine.store.rglob("*")
        if path.is_file() and not path.name.startswith(".tmp-")
    }


def some_sessions(machine: Machine) -> None:
    machine.create("long", said(*range(60)))
    machine.create("short", said("hello"))
    machine.create("Ünïcode / name", said(1, 2, 3))
    manager = machine.manager()
    manager.create_session("branch", branch_from="long", at=25)
    manager.create_session("gone")
    manager.delete_session("gone")
    manager.create_session("old name")
    manager.rename_session("old name", "new name")
