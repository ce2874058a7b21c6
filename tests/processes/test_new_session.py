"""A new session that another process finds, and writes to, before the one that makes it is done."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.stores import REPLICA, content, message, open_store

from coda_fs_session import SessionManager, StoreError
from coda_fs_session.backends.base import RefChangedError, RefKey
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend

PATH = f"refs/{REPLICA}/chat.jsonl"
KEY = RefKey(f"{REPLICA}/chat.jsonl")


class SlowFolder(Files):
    """A disk on which something else happens as soon as a ref has its name, before its folder is synced."""

    def __init__(self, ref: Path, meanwhile: Callable[[], None], error: OSError | None = None) -> None:
        super().__init__()
        self._ref, self._meanwhile, self._error = str(ref), meanwhile, error

    def link(self, source: str, target: str) -> None:
        super().link(source, target)
        if target == self._ref:
            self._meanwhile()

    def sync_folder(self, path: str) -> None:
        if self._error is not None and os.path.exists(self._ref):
            raise self._error
        super().sync_folder(path)


class Other:
    """Another program, which adds a message to the session as soon as it is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.thread = threading.Thread(target=self.write)
        self.found = threading.Event()
        self.saved: list[int] = []

    def write(self) -> None:
        with manager_on(self.folder) as manager:
            session = manager.load_session("chat")
            self.found.set()
            session.add_message(message(2))
            manager.save_session(session)
            self.saved.append(2)

    def start(self) -> None:
        """Let it write; where nothing keeps it waiting, until it is done."""
        waits = is_locked(self.folder / "store" / PATH)
        self.thread.start()
        self.found.wait()
        if not waits:
            self.thread.join()


def manager_on(folder: Path, files: Files | None = None) -> SessionManager:
    return open_store(folder / "store", folder / "state", files=files)


def is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the new session will be, in a store that has another one: its folder is there already."""
    with manager_on(tmp_path) as manager:
        manager.create_session("another")
    return tmp_path / "store" / PATH


def test_a_message_added_while_the_session_is_made(tmp_path: Path, path: Path) -> None:
    """Bug: its maker took the token of a file that others had appended to, appended too, and the ref was damaged."""
    other = Other(tmp_path)
    manager = manager_on(tmp_path, SlowFolder(path, other.start))
    session = manager.create_session("chat")
    other.thread.join()
    # A third program looks: what the record of this machine says must not be of another moment.
    with manager_on(tmp_path) as third:
        assert [each["content"] for each in third.load_session("chat").get_messages()] == [message(2)["content"]]
    session.add_message(message(1))
    manager.save_session(session)
    manager.close()
    assert other.saved == [2]
    with manager_on(tmp_path) as manager:
        assert content(manager)["chat"][0] == [message(2), message(1)]


def test_a_message_added_to_a_session_that_could_not_be_made(tmp_path: Path, path: Path) -> None:
    """Making a session fails while another program waits to write to it: what that one saves is not removed with it."""
    other = Other(tmp_path)
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    manager = manager_on(tmp_path, SlowFolder(path, other.start, error))
    with pytest.raises(StoreError, match="Input/output error"):
        manager.create_session("chat")
    other.thread.join()
    assert other.saved == [2]
    with manager_on(tmp_path) as manager:
        assert content(manager)["chat"][0] == [message(2)]


@pytest.mark.parametrize("fails", [False, True], ids=["made", "not made"])
def test_many_refs_made_together(tmp_path: Path, path: Path, fails: bool) -> None:
    """As with one: who finds a ref waits until its name lasts, and the token is that of the bytes given."""
    other, outcome = LocalBackend(tmp_path / "store"), list[object]()

    def append() -> None:
        try:
            outcome.append(other.append_ref(KEY, other.read_ref(KEY).token, b"two\n"))
        except RefChangedError as error:
            outcome.append(error)

    thread = threading.Thread(target=append)

    def begin() -> None:
        thread.start()
        thread.join(0.1)
        assert not outcome, "it has not waited"

    error = OSError(errno.EIO, os.strerror(errno.EIO)) if fails else None
    backend = LocalBackend(tmp_path / "store", files=SlowFolder(path, begin, error))
    new = [(KEY, b"one\n"), (RefKey(f"{REPLICA}/quiet.jsonl"), b"one\n")]
    if fails:
        with pytest.raises(StoreError):
            backend.create_refs(new)
        thread.join()
        assert isinstance(outcome[0], RefChangedError)
        assert not path.exists()
        assert not path.with_name("quiet.jsonl").exists()
        return
    token, _ = backend.create_refs(new)
    thread.join()
    assert token is not None
    with pytest.raises(RefChangedError):
        backend.append_ref(KEY, token, b"three\n")
    assert path.read_bytes() == b"one\ntwo\n"
