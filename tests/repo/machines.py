"""Machines with a replica of a store each, and the sync tool between them: copying files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.machine.state import LocalState
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.repo.content.state import State
from coda_fs_session.repo.lookup.names import resolve
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

SMALL = Sizes(minimum=120, spread=300, large=400, full=600, fan_out=3)
"""About six messages of `said` a chunk, and a list node after three chunks."""


def said(*texts: object) -> list[dict[str, Any]]:
    return [{"role": "user", "content": str(text)} for text in texts]


def contents(session: Session) -> list[str]:
    return [message["content"] for message in session.get_messages()]


@dataclass(frozen=True)
class Machine:
    """One replica: its store and state folders.

    Attributes:
        replica: its id; "" to let it choose one.
    """

    folder: Path
    replica: str

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def lose_record(self) -> None:
        """Forget what this machine has saved, as a crash may: nothing makes the record durable."""
        for folder in (self.folder / "state").glob("*/own"):
            shutil.rmtree(folder)

    def repository(self, *, files: Files | None = None, **options: Any) -> Repository:
        """Open the store anew, as another process would."""
        state = LocalState(self.store, folder=self.folder / "state", replica=self.replica or None)
        backend = LocalBackend(self.store, files=files or Files(durable=False), record=state.record)
        return Repository(backend, state, Settings(**{"sizes": SMALL, **options}))

    def manager(self, **options: Any) -> SessionManager:
        config = {"session": {"autosave_interval": 0, "storage_path": self.store}}
        return SessionManager(config, storage=RepoStorage(self.repository(**options)))

    def create(self, name: str, messages: list[dict[str, Any]]) -> None:
        """Store a session with these messages."""
        manager = self.manager()
        session = manager.create_session(name)
        session.messages = messages
        manager.save_session(session)

    def change(self, name: str, *texts: object) -> None:
        """Save further messages, from a process of its own."""
        manager = self.manager()
        session = manager.load_session(name)
        for message in said(*texts):
            session.add_message(message)
        manager.save_session(session)

    def read(self, name: str) -> list[str]:
        return contents(self.manager().load_session(name))

    def names(self) -> list[str]:
        return sorted(info.name for info in self.manager().list_sessions())

    def head(self, name: str) -> State:
        """Return what a live session's name stands for."""
        head = resolve(self.repository(), name).head
        assert head is not None
        return head

    def refs(self) -> list[Path]:
        return sorted(path for path in (self.store / "refs").rglob("*") if path.is_file())

    def only_ref(self) -> Path:
        (path,) = self.refs()
        return path

    def copied_to(self, folder: Path, replica: str) -> Machine:
        """Return a machine that got a complete copy of this store."""
        shutil.copytree(self.store, folder / "store")
        return Machine(folder, replica)

    def send_to(self, other: Machine) -> None:
        """Copy to another machine what this one has written: its own refs, and all objects."""
        shutil.copytree(self.store / "objects", other.store / "objects", dirs_exist_ok=True)
        own = f"refs/{self.replica}"
        shutil.rmtree(other.store / own, ignore_errors=True)
        shutil.copytree(self.store / own, other.store / own)
