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
import storekit
from crash.recording import Recorder
from crash.stores import open_store
from storekit import run_python

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends.base import RefKey
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend

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


def kept(tmp_path: Path, backend: str = "files") -> SessionManager:
    """Return a manager whose autosave only goes round when it is told to."""
    return storekit.open_store(tmp_path / "store", backend=backend, autosave_interval=10_000)


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


def close_by_with(manager: SessionManager) -> None:
    with manager:
        pass


UNASKED: dict[str, Callable[[SessionManager], object]] = {
    "close": SessionManager.close,
    "save_all": SessionManager.save_all,
    "with": close_by_with,
    "autosave": lambda manager: manager._autosave.save_all(),
}


def change(session: Session, how: str) -> None:
    """Leave one unsaved change of a kind in a session that has the messages 0 and 1."""
    if how == "add":
        session.add_message(tagged(0, 2))
    elif how == "list":
        session.messages.append(tagged(0, 2))
    elif how == "edit":
        session.messages[0]["edited"] = True
    elif how == "truncate":
        session.truncate_messages(1)
    else:
        session.metadata["a"] = 1


@pytest.mark.parametrize(
    ("backend", "how"),
    [*(("files", how) for how in ("add", "list", "edit", "truncate", "metadata")), ("sqlite", "add")],
)
@pytest.mark.parametrize("unasked", UNASKED)
def test_a_child_leaves_what_was_unsaved_to_its_parent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], backend: str, how: str, unasked: str
) -> None:
    """Bug: a child that closed its manager stored what the parent had not saved, and so did the parent. Now the child
    names it on stderr, and saves what was saved at the fork and changed in the child."""
    with kept(tmp_path, backend) as manager:
        session, other = manager.create_session("chat"), manager.create_session("other")
        for each in (session, other):
            each.messages = [tagged(0, 0), tagged(0, 1)]
            manager.save_session(each)
        change(session, how)

        def work() -> None:
            other.add_message(tagged(1, 0))
            UNASKED[unasked](manager)
            UNASKED[unasked](manager)

        child = Child(work)
        assert child.succeeded()
        told = capfd.readouterr().err
        assert f"session 'chat' was not saved by process {child.pid}" in told
        assert f"left to process {os.getpid()}" in told
        assert told.count("\n") == 1
        with kept(tmp_path, backend) as fresh:
            assert fresh.load_session("chat").get_messages() == [tagged(0, 0), tagged(0, 1)]
            assert len(fresh.load_session("other")) == 3
        held = session.get_messages()
        manager.save_session(session)
    with kept(tmp_path, backend) as fresh:
        again = fresh.load_session("chat")
        assert again.get_messages() == held
        assert again.metadata == ({"a": 1} if how == "metadata" else {})
    assert capfd.readouterr().err == ""


def test_what_a_child_adds_to_a_session_that_was_left_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is skipped too, and counted; asked for, the child saves all that the session holds, and from then on saves it
    unasked as well."""
    with kept(tmp_path) as manager:
        session = manager.create_session("chat")
        session.add_message(tagged(0, 0))

        def skip() -> None:
            session.add_message(tagged(1, 0))
            manager.save_all()

        assert Child(skip).succeeded()
        assert "(2 unsaved messages)" in capfd.readouterr().err

        def save() -> None:
            session.add_message(tagged(1, 1))
            manager.save_session(session)
            session.add_message(tagged(1, 2))
            manager.close()

        assert Child(save).succeeded()
        assert capfd.readouterr().err == ""
        with kept(tmp_path) as fresh:
            messages = fresh.load_session("chat").get_messages()
        assert messages == [tagged(0, 0), tagged(1, 1), tagged(1, 2)]


@pytest.mark.parametrize("clean", ["saved", "reloaded", "found clean", "memory"])
def test_a_child_saves_unasked_what_had_no_unsaved_changes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], clean: str
) -> None:
    """A session that was saved at the fork, or has been brought to what is stored since, is the child's as much as the
    parent's; and so is one in memory, of which the child has its own."""
    with kept(tmp_path, "memory" if clean == "memory" else "files") as manager:
        session = manager.create_session("chat")
        held = session.messages
        if clean != "saved":
            session.add_message(tagged(0, 0))

        def work() -> None:
            if clean == "reloaded":
                session.reload()
            elif clean == "found clean":
                held.clear()
                assert manager.load_session("chat") is session
            held.append(tagged(1, 0))
            manager.save_all()
            assert not session.has_unsaved_changes

        assert Child(work).succeeded()
        assert capfd.readouterr().err == ""
        if clean != "memory":
            with kept(tmp_path) as fresh:
                assert fresh.load_session("chat").get_messages() == [tagged(1, 0)]


DAEMON = """
import os, sys, time
from pathlib import Path
from storekit import open_store
from processes.workers import tagged
manager = open_store(Path(sys.argv[1]), autosave_interval=10_000, backend=sys.argv[2])
end = os._exit if sys.argv[3] == "_exit" else sys.exit
session = manager.create_session("chat")
session.add_message(tagged(0, 0))
manager.save_session(session)
if sys.argv[4] == "list":
    session.messages
session.add_message(tagged(0, 1))
session.metadata["a"] = 1
ended, ends = os.pipe()
os.set_inheritable(ends, False)
starter = os.getpid()
if os.fork():
    end(0)
os.setsid()
leader = os.getpid()
if os.fork():
    end(0)
os.close(ends)
# Ends when both have ended, and taken their ends of the pipe with them.
os.read(ended, 1)
while os.getppid() == leader:
    time.sleep(0.001)
session.add_message(tagged(2, 0))
sys.exit(0)
"""


@pytest.mark.parametrize("backend", ["files", "sqlite"])
@pytest.mark.parametrize("how", ["lines", "list"])
@pytest.mark.parametrize("end", ["_exit", "exit"])
def test_a_daemon_saves_what_nobody_else_will(tmp_path: Path, backend: str, how: str, end: str) -> None:
    """Once those that started it have ended, with their own autosave or without, what was unsaved at the forks is
    stored exactly once, before what the daemon added."""
    run_python(DAEMON, tmp_path / "store", backend, end, how)
    with kept(tmp_path, backend) as manager:
        session = manager.load_session("chat")
        assert session.get_messages() == [tagged(0, 0), tagged(0, 1), tagged(2, 0)]
        assert session.metadata == {"a": 1}


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
        "index": repository.index._section._lock,
        "objects": repository.objects._section._lock,
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


def test_no_lock_in_memory_outlives_the_fork(tmp_path: Path) -> None:
    """Bug: the locks of the memory backend were not made anew, so a child could wait for a thread that it has not."""
    manager = kept(tmp_path, "memory")
    repository = manager._storage.repo  # type: ignore[attr-defined]
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with repository.backend._mutex, repository.machine._lock:
            holding.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()

    def use() -> None:
        session = manager.create_session("chat")
        session.add_message(tagged(0, 0))
        manager.save_session(session)
        manager.rename_session("chat", "other")

    child = Child(use)
    release.set()
    thread.join()
    assert child.succeeded()
