"""A small store with every kind of record, what is in it, and how a damaged copy of it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

SIZES = Sizes(minimum=60, spread=150, large=400, full=300, fan_out=3)
"""So small that a few messages make a tree, and damaging every byte of the store is a matter of minutes."""

DESK, LAPTOP = "desk-11111111", "laptop-22222222"


class _Clock:
    """A minute later each time, so that the same store is made at any time."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def open_fresh(store: Path, replica: str = DESK, **settings: Any) -> SessionManager:
    """Open a store as a new process would that has no index yet."""
    backend = LocalBackend(store, files=Files(durable=False))
    chosen = Settings(**{"sizes": SIZES, "compress_threshold_bytes": 300, **settings})
    storage = RepoStorage(Repository(backend, MemoryState(replica), chosen))
    return SessionManager({"session": {"autosave_interval": 0, "storage_path": store}}, storage=storage)


@dataclass(frozen=True)
class Reading:
    """What a session holds: the message lines, and the metadata as JSON text with the keys in their order."""

    lines: tuple[bytes, ...]
    metadata: str


def reading(session: Session) -> Reading:
    return Reading(tuple(session._state.copy.lines()), json.dumps(session.metadata))


def read_all(store: Path) -> dict[str, Reading]:
    manager = open_fresh(store)
    return {info.name: reading(manager.load_session(info.name)) for info in manager.list_sessions()}


@contextmanager
def altered(path: Path, data: bytes) -> Iterator[None]:
    """Let a file have other bytes for a while."""
    good = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(good)


class _Writer:
    """Makes sessions, and says no message twice."""

    def __init__(self, store: Path, replica: str, clock: _Clock) -> None:
        self.manager = open_fresh(store, replica, clock=clock)
        self._replica = replica
        self._said = 0

    def say(self, session: Session, count: int, *, size: int = 0) -> None:
        for _ in range(count):
            self._said += 1
            text = f"{self._replica} {self._said} "
            session.add_message({"role": "user", "content": text * (size // len(text) + 1)})
        self.manager.save_session(session)

    def start(self, name: str, *counts: int, metadata: dict[str, Any] | None = None) -> Session:
        session = Session(name, [], metadata, created_at=datetime(2026, 1, 1, tzinfo=UTC))
        session._state.updated = datetime(2026, 1, 1, tzinfo=UTC)
        self.manager.save_session(session)
        for count in counts:
            self.say(session, count)
        return session

    def open(self, name: str) -> Session:
        return self.manager.load_session(name)


def make(store: Path) -> None:
    """Chunks, plain and compressed, nodes of two heights, tails, forks, every generation, and a second replica."""
    clock = _Clock()
    desk, laptop = _Writer(store, DESK, clock), _Writer(store, LAPTOP, clock)
    manager = desk.manager
    desk.start("long", 38, 1, 1)
    large = desk.start("Groß und klein", 1)
    desk.say(large, 1, size=500)
    manager.create_session("fork", branch_from="long")
    desk.say(manager.create_session("fork in the middle", branch_from="long", at=11), 1)
    tagged = desk.start("tagged", 1, metadata={"a": 1, "gone": [1, {"b": None}], "ü": "🦜"})
    del tagged.metadata["gone"]
    desk.say(tagged, 1)
    tagged.messages[0]["content"] = "edited in the tail"
    manager.save_session(tagged)

    edited = desk.start("edited", 8)
    edited.messages[1]["content"] = "edited in a chunk"
    manager.save_session(edited)
    edited.truncate_messages(3)
    desk.say(edited, 1)
    cleared = desk.start("cleared", 12)
    cleared.clear_messages()
    manager.save_session(cleared)
    desk.say(cleared, 2)
    sealed = desk.start("sealed", 1)
    sealed.messages[0]["content"] = "edited before the seal"
    manager.save_session(sealed)
    desk.say(sealed, 8)
    desk.start("draft", 2)
    manager.rename_session("draft", "final")
    desk.start("deleted", 2)
    manager.delete_session("deleted")
    desk.start("again", 2)
    manager.delete_session("again")
    desk.start("again", 1)

    desk.start("continued", 2)
    laptop.say(laptop.open("continued"), 1)
    settled = desk.start("metadata merged", 1)
    laptop.say(laptop.open("metadata merged"), 1)
    settled.update_metadata({"later": "than the laptop's"})
    manager.save_session(settled)
    manager.close()
    laptop.manager.close()
