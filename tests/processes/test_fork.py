"""``os.fork`` in a process that has sessions open."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.recording import Recorder
from crash.stores import open_store

from coda_fs_session import SessionManager
from coda_fs_session.backends._files import Files
from coda_fs_session.backends.base import RefKey
from coda_fs_session.backends.local import LocalBackend

from .workers import tagged

DEADLOCK_SECONDS = 20


class Child:
    """A forked child that does something and tells whether that went well."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            failed = 1
            try:
                signal.alarm(DEADLOCK_SECONDS)
                work()
                failed = 0
            except BaseException:
                traceback.print_exc()
            finally:
                # Not sys.exit: the parent's test run must not go on in here.
                os._exit(failed)

    def succeeded(self) -> bool:
        return os.waitpid(self.pid, 0)[1] == 0


def store(tmp_path: Path, files: Recorder | None = None) -> SessionManager:
    return open_store(tmp_path / "store", tmp_path / "state", files=files)


def test_parent_and_child_save_to_one_session(tmp_path: Path) -> None:
    """A session opened before the fork is saved to by both at once, through seals: every message is there once, in
    each one's order, after those from before."""
    manager = store(tmp_path)
    session = manager.create_session("chat")
    session.add_message(tagged(0, 0))
    manager.save_session(session)

    def append(writer: int) -> None:
        for serial in range(50):
            session.add_message(tagged(writer, serial))
            manager.save_session(session)

    child = Child(lambda: append(1))
    append(2)
    assert child.succeeded()
    manager.close()
    with store(tmp_path) as fresh:
        messages = fresh.load_session("chat").get_messages()
    assert messages[0] == tagged(0, 0)
    for writer in (1, 2):
        assert [m for m in messages if m["writer"] == writer] == [tagged(writer, serial) for serial in range(50)]
    assert len(messages) == 101


def test_a_child_opens_files_of_its_own(tmp_path: Path) -> None:
    """The child's first save opens the ref again: with the parent's descriptor it would share the parent's lock."""
    (tmp_path / "store").mkdir()
    files = Recorder(tmp_path / "store")
    manager = store(tmp_path, files)
    session = manager.create_session("chat")
    session.add_message(tagged(0, 0))
    manager.save_session(session)

    def save() -> None:
        files.calls.clear()
        session.add_message(tagged(1, 0))
        manager.save_session(session)
        assert [call.name for call in files.calls] == ["open_append", "write", "sync_data"]

    assert Child(save).succeeded()
    session.add_message(tagged(2, 0))
    manager.save_session(session)
    assert [message["writer"] for message in session.get_messages()] == [0, 1, 2]


def test_unsaved_changes_stay_with_the_parent(tmp_path: Path) -> None:
    """What was unsaved at the fork is not saved by a child that merely ends, and the parent's save stores it once."""
    manager = store(tmp_path)
    session = manager.create_session("chat")
    session.add_message(tagged(0, 0))
    assert Child(lambda: None).succeeded()
    manager.save_session(session)
    with store(tmp_path) as fresh:
        assert fresh.load_session("chat").get_messages() == [tagged(0, 0)]


class ForksInRename(Files):
    """Has a child forked while refs are locked, as another thread might; it lives until told to end."""

    def __init__(self) -> None:
        super().__init__(durable=False)
        self.child: Child | None = None
        self.end: tuple[int, int] = os.pipe()

    def rename(self, source: str, target: str) -> None:
        if "/refs/" in target:
            self.child = Child(lambda: os.read(self.end[0], 1))
        super().rename(source, target)


def test_a_child_keeps_no_lock(tmp_path: Path) -> None:
    """A child that was forked while the parent held the lock of a ref does not hold it once the parent is done: who
    waits for the file that was replaced then, or for the one in its place, can go on."""
    files = ForksInRename()
    backend = LocalBackend(tmp_path / "store", files=files)
    backend.prepare()
    key = RefKey("test-00000000/chat.jsonl")
    token = backend.create_ref(key, b"one\n")
    waiting = os.open(backend.locate(key), os.O_RDONLY)
    backend.replace_ref(key, token, b"two\n")
    replaced = os.open(backend.locate(key), os.O_RDONLY)
    for descriptor in (waiting, replaced):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
    os.write(files.end[1], b"x")
    assert files.child is not None
    assert files.child.succeeded()


@pytest.mark.parametrize("locked", ["index", "objects", "backend", "manager", "session"])
def test_no_lock_of_another_thread_outlives_the_fork(locked: str, tmp_path: Path) -> None:
    """A thread of the parent that is inside the package at the fork does not exist in the child, but its locks
    would: the child must be able to do everything all the same."""
    manager = store(tmp_path)
    session = manager.create_session("chat")
    repository = manager._storage.repo  # type: ignore[attr-defined]
    owner = {
        "index": repository.index._mutex,
        "objects": repository.objects._mutex,
        "backend": repository.backend._open_refs._mutex,
        "manager": manager._sessions.lock,
        "session": session._lock,
    }[locked]
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with owner:
            holding.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()

    def use() -> None:
        for serial in range(12):
            session.add_message(tagged(1, serial))
        manager.save_session(session)
        assert len(manager.load_session("chat").get_messages()) == 12
        manager.create_session("child", branch_from="chat", at=3)
        assert len(manager.list_sessions()) == 2
        manager.close()

    child = Child(use)
    release.set()
    thread.join()
    assert child.succeeded()
