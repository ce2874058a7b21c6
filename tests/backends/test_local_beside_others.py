"""A ref file that other processes and sync tools write to, or replace, while this one does."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import message, open_store, ref_of

from coda_fs_session import StoreError
from coda_fs_session.backends.base import RefChangedError, RefRefusedError, Token
from coda_fs_session.backends.disk import locks
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.process import system
from coda_fs_session.testing.kit.case import KEY


def test_a_file_replaced_while_waiting_for_its_lock(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets the lock of a file that was replaced meanwhile holds an orphan: nothing is written into it."""
    token = backend.create_ref(KEY, b"one\n")
    path = Path(backend.locate(KEY))
    outcome: list[object] = []
    real, waiting = locks.lock, threading.Event()

    def lock(descriptor: int) -> None:
        waiting.set()
        real(descriptor)

    monkeypatch.setattr(locks, "lock", lock)

    def append() -> None:
        try:
            outcome.append(backend.append_ref(KEY, token, b"lost\n"))
        except RefChangedError as error:
            outcome.append(error)

    with open(path, "rb+") as orphan:
        fcntl.flock(orphan, fcntl.LOCK_EX)
        thread = threading.Thread(target=append)
        thread.start()
        assert waiting.wait(20)
        scratch = path.with_name(".new")
        scratch.write_bytes(b"new\n")
        scratch.replace(path)
        assert not outcome, "it waits for the lock"
        fcntl.flock(orphan, fcntl.LOCK_UN)
        thread.join(20)
        assert [type(result) for result in outcome] == [RefRefusedError]
        assert orphan.read() == b"one\n"
    assert path.read_bytes() == b"new\n"


def test_another_process_waits(backend: LocalBackend) -> None:
    """`hold` keeps writers of other processes waiting until it ends, or until an append in it is written."""
    backend.create_ref(KEY, b"one\n")
    script = "import fcntl,sys; f=open(sys.argv[1],'rb+'); fcntl.flock(f,fcntl.LOCK_EX|fcntl.LOCK_NB); print('got it')"

    def attempt() -> str:
        run = subprocess.run([sys.executable, "-c", script, backend.locate(KEY)], capture_output=True, text=True)
        return run.stdout

    with backend.hold(KEY):
        assert attempt() == ""
        with backend.hold(KEY):
            pass
        token = backend.replace_ref(KEY, backend.read_ref(KEY).token, b"two\n")
        assert attempt() == "", "also the file that took its place"
        backend.append_ref(KEY, token, b"three\n")
        assert attempt() == "got it\n"
    assert attempt() == "got it\n"


def test_a_file_closed_under_its_lock_is_held_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this thread once locked and then closed is no lock that it would wait for itself: others are waited for."""
    path = tmp_path / "file"
    path.touch()
    descriptor = os.open(path, os.O_RDWR)
    # A number that no file has again while this test runs, however many other tests have left open.
    closed = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 900)
    locks.lock(closed)
    os.close(closed)
    os.close(descriptor)
    inside, leave = threading.Event(), threading.Event()
    real = system.flock

    def flock(descriptor: int, operation: int) -> None:
        if operation == system.LOCK_EX:
            leave.set()
        real(descriptor, operation)

    def hold() -> None:
        with open(path, "rb+") as file:
            locks.lock(file.fileno())
            inside.set()
            leave.wait(20)
            locks.unlock(file.fileno())

    monkeypatch.setattr(system, "flock", flock)
    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(20)
        with open(path, "rb+") as file:
            locks.lock(file.fileno())
            assert leave.is_set()
            locks.unlock(file.fileno())
    finally:
        leave.set()
        thread.join()
        locks._holders.pop(closed)


class Syncs(Files):
    """Lets somebody act while a sync of data is under way, which then fails if it should."""

    def __init__(self) -> None:
        super().__init__(durable=False)
        self.meanwhile: list[Callable[[], object]] = []
        self.failing = False
        self.synced: list[int] = []

    def sync_data(self, descriptor: int) -> None:
        self.synced.append(os.fstat(descriptor).st_ino)
        if self.meanwhile:
            self.meanwhile.pop()()
            if self.failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO))


def one_line(tmp_path: Path) -> tuple[Syncs, LocalBackend, Token, Path]:
    """Make a store with a ref of one line; return its system calls, the backend, the ref's token and its file."""
    files = Syncs()
    backend = LocalBackend(tmp_path / "store", files=files)
    backend.prepare()
    token = backend.create_ref(KEY, b"one\n")
    return files, backend, token, Path(backend.locate(KEY))


def other(backend: LocalBackend, data: bytes) -> Token:
    """Append as another process does: with a file of its own, after whatever is there now."""
    stranger = LocalBackend(backend._paths.root, files=Files(durable=False))
    token = stranger.append_ref(KEY, stranger.read_ref(KEY).token, data)
    stranger.close()
    return token


@pytest.mark.parametrize("failing", [False, True], ids=["synced", "the sync fails"])
def test_another_process_appends_during_our_sync(tmp_path: Path, failing: bool) -> None:
    """Nobody waits for our sync. What others append meanwhile stays, also where the sync fails and a new file takes
    the place; and our token is that of no file, since we have not seen their line."""
    files, backend, token, path = one_line(tmp_path)
    before = path.stat().st_ino
    files.synced.clear()
    files.meanwhile, files.failing = [lambda: other(backend, b"theirs\n")], failing
    token = backend.append_ref(KEY, token, b"ours\n")
    assert path.read_bytes() == b"one\nours\ntheirs\n"
    assert (path.stat().st_ino != before) is failing, "a failed sync is not repeated on the same file"
    assert files.synced.count(before) == 1
    with pytest.raises(RefChangedError):
        backend.append_ref(KEY, token, b"lost\n")
    backend.append_ref(KEY, backend.read_ref(KEY).token, b"more\n")
    assert path.read_bytes() == b"one\nours\ntheirs\nmore\n"


def test_a_line_that_others_went_on_from_is_not_cut_off(tmp_path: Path) -> None:
    """The sync fails, and so does the new file: an error, and their line, which follows ours, is left alone."""
    files, backend, token, path = one_line(tmp_path)
    files.synced.clear()
    # From the last one on: our sync, then that of the new file.
    files.meanwhile, files.failing = [lambda: None, lambda: other(backend, b"theirs\n")], True
    with pytest.raises(StoreError):
        backend.append_ref(KEY, token, b"ours\n")
    assert path.read_bytes() == b"one\nours\ntheirs\n"
    files.failing = False
    before = path.stat().st_ino
    backend.append_ref(KEY, backend.read_ref(KEY).token, b"more\n")
    assert path.read_bytes() == b"one\nours\ntheirs\nmore\n"
    assert path.stat().st_ino != before
    assert files.synced.count(before) == 1


@pytest.mark.parametrize("failing", [False, True], ids=["synced", "the sync fails"])
@pytest.mark.parametrize("how", ["replaced", "shorter", "longer", "removed"])
def test_another_file_comes_during_our_sync(tmp_path: Path, how: str, failing: bool) -> None:
    """Only reading it can tell whether our line is in it; it is left as it is."""
    files, backend, token, path = one_line(tmp_path)
    content = {"shorter": b"one", "longer": b"one\nother and longer\n"}.get(how, b"other\n")

    def meddle() -> None:
        if how in ("replaced", "removed"):
            path.unlink()
        if how != "removed":
            path.write_bytes(content)

    files.meanwhile, files.failing = [meddle], failing
    with pytest.raises(RefChangedError):
        backend.append_ref(KEY, token, b"ours\n")
    assert not path.exists() if how == "removed" else path.read_bytes() == content


@pytest.mark.parametrize("how", ["in place", "in place, same time", "replaced"])
@pytest.mark.parametrize("saves", [3, 6], ids=["a tail", "sealed since"])
def test_a_file_reverted_between_two_saves(tmp_path: Path, how: str, saves: int) -> None:
    """Bug: an older copy put over the ref lost, with the next save, what this process had acknowledged since."""
    manager = open_store(tmp_path / "store")
    session = manager.create_session("chat")
    path = ref_of(tmp_path / "store", "chat")
    expected = []
    for number in range(saves):
        # The fourth is large: it seals the ones before it.
        expected.append(message(number, 70_000 if number == 3 else 0))
        session.add_message(expected[-1])
        manager.save_session(session)
        if number == 0:
            copy = path.read_bytes()
    times = path.stat()
    if how == "replaced":
        path.with_name(".copy").write_bytes(copy)
        path.with_name(".copy").replace(path)
    else:
        with open(path, "rb+") as file:
            file.truncate(0)
            file.write(copy)
    if how == "in place, same time":
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    expected.append(message(99))
    session.add_message(expected[-1])
    manager.save_session(session)
    assert session.get_messages() == expected
    assert open_store(tmp_path / "store").load_session("chat").get_messages() == expected


def test_another_line_of_the_same_length_in_place(backend: LocalBackend) -> None:
    """Bytes changed in place, with inode, size and time as before, are noticed by the last bytes of the file."""
    token = backend.append_ref(KEY, backend.create_ref(KEY, b"one\n"), b"two\n")
    path = Path(backend.locate(KEY))
    times = path.stat()
    with open(path, "rb+") as file:
        file.write(b"one\nTWO\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(RefChangedError):
        backend.append_ref(KEY, token, b"three\n")
    assert path.read_bytes() == b"one\nTWO\n"
