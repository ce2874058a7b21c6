"""A watch of a store without files: in memory, of somebody's own, in a database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coda_fs_session import Session, SessionInfo, SessionManager, SessionStorage, Watch
from coda_fs_session.repo.events import watch as watching

from .machines import Machine, said
from .watching import PATIENCE, told


def memory() -> SessionManager:
    return SessionManager({"session": {"backend": "memory", "autosave_interval": 0}})


class Kept(SessionStorage):
    """Somebody's own storage: four methods."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}

    def save(self, session: Session) -> None:
        self.sessions[session.name] = Session(session.name, session.get_messages())

    def load(self, name: str) -> Session | None:
        kept = self.sessions.get(name)
        return Session(name, kept.get_messages()) if kept else None

    def delete(self, name: str) -> None:
        del self.sessions[name]

    def list_all(self) -> list[SessionInfo]:
        return [
            SessionInfo(kept.name, len(kept), kept.created_at, kept.updated_at, {}, 0)
            for kept in self.sessions.values()
        ]


@pytest.mark.parametrize("kind", ["memory", "custom"])
def test_without_files(kind: str) -> None:
    """A store in memory and a storage of one's own are watched through the same interface."""
    manager = memory() if kind == "memory" else SessionManager(storage=Kept())
    with manager.watch() as watch:
        session = manager.create_session("chat")
        told(watch, "created", "chat")
        session.add_message(said(1)[0])
        manager.save_session(session)
        told(watch, "advanced", "chat", message_count=1)
        manager.rename_session("chat", "talk")
        # Without refs nobody can tell that it is the same session.
        assert told(watch, "renamed" if kind == "memory" else "created", "talk").previous_name in ("chat", None)
        manager.delete_session("talk")
        told(watch, "deleted", "talk")


def in_a_database(here: Machine) -> SessionManager:
    config = {"backend": "sqlite", "storage_path": here.store, "state_path": here.folder, "autosave_interval": 0}
    return SessionManager({"session": config})


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell of changes when they like")
def test_another_process_in_a_database(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process commits is told by the file system: nobody looks by himself within this test."""
    monkeypatch.setattr(watching, "_LOOK", 10 * PATIENCE)
    manager = in_a_database(here)
    manager.create_session("chat")
    script = f"""
from coda_fs_session import SessionManager
config = {{"backend": "sqlite", "storage_path": {str(here.store)!r}, "state_path": {str(here.folder)!r}}}
with SessionManager({{"session": config}}) as manager:
    session = manager.load_session("chat")
    session.add_message({{"role": "user", "content": "hello"}})
    manager.save_session(session)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with (
        Watch(manager._storage, listing=10 * PATIENCE) as watch,
        subprocess.Popen([sys.executable, "-c", script], env=environment) as process,
    ):
        told(watch, "advanced", "chat", message_count=1)
    assert process.returncode == 0
    manager.close()


def test_a_database_that_comes_and_goes(here: Machine, tmp_path: Path) -> None:
    """A watch can begin before there is a database, and one that is moved away was not emptied."""
    manager = in_a_database(here)
    with manager.watch() as watch:
        assert watch.next(0.01) is None
        with in_a_database(here) as other:
            session = other.create_session("chat")
        told(watch, "created", "chat", message_count=0)
        here.store.rename(tmp_path / "away")
        assert watch.next(1.0) is None
        (tmp_path / "away").rename(here.store)
        with in_a_database(here) as other:
            session = other.load_session("chat")
            session.add_message(said(1)[0])
            other.save_session(session)
        told(watch, "advanced", "chat", message_count=1)
    manager.close()
