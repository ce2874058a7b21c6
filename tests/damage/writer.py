"""A process that saves, and ways to put something older under it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from layouts import path_of
from storekit import message

from coda_fs_session import SessionManager
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

from .specimen import DESK, SIZES, open_fresh

SAVES = 9
"""So many that some are sealed, with the small sizes of these tests."""


class Writer:
    """A process that saves one message after another into one session, and what it has acknowledged."""

    def __init__(self, store: Path, files: Files | None = None, *, cached: int = 1000) -> None:
        backend = LocalBackend(store, files=files or Files(durable=False))
        repo = Repository(backend, MemoryState(DESK), Settings(sizes=SIZES, message_cache_size=cached))
        self.manager = SessionManager({"session": {"autosave_interval": 0}}, storage=RepoStorage(repo))
        self.store = store
        self.ref = store / "refs" / path_of(DESK, "chat")
        self.session = self.manager.create_session("chat")
        self.said = 0

    def save(self, count: int = 1, *, size: int = 0) -> None:
        for _ in range(count):
            self.session.add_message(message(self.said, size))
            self.said += 1
            self.manager.save_session(self.session)

    def assert_all_there(self) -> None:
        """Every message once and in order: in the session, and for a process that knows nothing."""
        expected = [message(number) for number in range(self.said)]
        found = [
            dict(each, content=" ".join(each["content"].split()[:2]) + " ") for each in self.session.get_messages()
        ]
        assert found == expected
        fresh = open_fresh(self.store)
        assert fresh.load_session("chat").get_messages() == self.session.get_messages()
        assert [(info.name, info.message_count, info.error) for info in fresh.list_sessions()] == [
            ("chat", self.said, None)
        ]


def in_place(path: Path, older: bytes) -> None:
    with open(path, "rb+") as file:
        file.truncate(0)
        file.write(older)


def in_place_with_its_time(path: Path, older: bytes) -> None:
    times = path.stat()
    in_place(path, older)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _by_rename(path: Path, older: bytes) -> None:
    copy = path.with_name(".copy")
    copy.write_bytes(older)
    copy.replace(path)


def _deleted(path: Path, older: bytes) -> None:
    path.unlink()


def _cut_short(path: Path, older: bytes) -> None:
    os.truncate(path, len(path.read_bytes()) - 10)


Revert = Callable[[Path, bytes], None]
REVERTS: list[Revert] = [in_place, in_place_with_its_time, _by_rename, _deleted, _cut_short]
