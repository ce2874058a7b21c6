"""Disks that refuse a call or answer it oddly; where none can be had, the system's answers are those of one."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import itertools
import multiprocessing
import os
import stat
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import ModuleType

import pytest
from crash.stores import open_store as open_small
from processes.test_many_writers import check
from processes.workers import write_many
from storekit import fill, message, open_store, say, within

from coda_fs_session import StoreError, StoreReadOnlyError
from coda_fs_session.backends.base import RefKey
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files import open_ref
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.process import system
from coda_fs_session.testing.kit.case import KEY

REFUSED = [errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS]
NO_LOCKS = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL]
WRITERS = 4


def error_of(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def path_of(descriptor: int) -> str:
    if sys.platform == "darwin":
        return fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
    return os.readlink(f"/proc/self/fd/{descriptor}")


def without_locks(*folders: Path, code: int = errno.ENOSYS) -> Callable[[int, int], None]:
    """Return a `flock` that the disks of these folders refuse."""
    real = system.flock

    def flock(descriptor: int, operation: int) -> None:
        if path_of(descriptor).startswith(tuple(f"{folder}/" for folder in folders)):
            raise error_of(code)
        real(descriptor, operation)

    return flock


def system_of_now() -> ModuleType:
    """Import the module that knows the system once more."""
    assert system.__spec__ is not None
    assert system.__spec__.loader is not None
    module = importlib.util.module_from_spec(system.__spec__)
    system.__spec__.loader.exec_module(module)
    return module


# Syncs


@pytest.mark.parametrize("code", REFUSED, ids=errno.errorcode.get)
def test_a_disk_that_syncs_no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """As SMB and some FUSE disks: everything works, and the content of files is synced all the same."""
    real, synced = system.sync_data, list[int]()

    def fsync(descriptor: int) -> None:
        assert stat.S_ISDIR(os.fstat(descriptor).st_mode)
        raise error_of(code)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(system, "sync_data", lambda descriptor: (synced.append(descriptor), real(descriptor)))
    with open_store(tmp_path / "store", durability="full") as manager:
        expected = fill(manager, "chat", 3, size=70_000)
        before = len(synced)
        session = manager.load_session("chat")
        session.add_message(message(3))
        manager.save_session(session)
        assert len(synced) == before + 1
        manager.create_session("branch", branch_from="chat", at=2)
    with open_store(tmp_path / "store") as manager:
        assert manager.load_session("chat").get_messages() == [*expected, message(3)]
        assert manager.load_session("branch").get_messages() == expected[:2]


def test_a_folder_that_fails_to_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that can and does not is an error: nothing is acknowledged."""

    def fsync(descriptor: int) -> None:
        raise error_of(errno.EIO)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError):
        open_store(tmp_path / "store", durability="full").create_session("chat")


@pytest.mark.parametrize(("code", "fails"), [(errno.ENOTSUP, False), (errno.EINVAL, False), (errno.EIO, True)])
def test_a_disk_without_full_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, fails: bool) -> None:
    """On macOS, where F_FULLFSYNC is not known fsync has to do; where it failed, another sync would hide that."""
    calls = list[str]()

    def full_sync(descriptor: int, command: int) -> int:
        calls.append("full")
        raise error_of(code)

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", full_sync)
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    monkeypatch.setattr(system, "sync_data", system_of_now().sync_data)
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    try:
        if fails:
            with pytest.raises(OSError, match=os.strerror(code)):
                Files().sync_data(descriptor)
        else:
            Files().sync_data(descriptor)
    finally:
        os.close(descriptor)
    assert calls == ["full"] if fails else ["full", "fsync"]


# Locks


@pytest.mark.parametrize("code", NO_LOCKS, ids=errno.errorcode.get)
def test_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Lustre without flock, NFS without lockd, some FUSE disks: every way to write works, with locks elsewhere."""
    store = tmp_path / "store"
    monkeypatch.setattr(system, "flock", without_locks(store, code=code))
    with open_store(store) as manager:
        fill(manager, "chat", 3, size=70_000)
        session = manager.load_session("chat")
        for number in range(3, 80):
            say(manager, session, number)
        session.messages[1] = message(1)
        manager.save_session(session)
        manager.create_session("branch", branch_from="chat")
        manager.rename_session("branch", "twig")
        with open_store(store) as other:
            say(other, other.load_session("chat"), 80)
        say(manager, session, 81)
        manager.delete_session("twig")
    with open_store(store) as manager:
        assert [info.name for info in manager.list_sessions()] == ["chat"]
        assert len(manager.load_session("chat").get_messages()) == 82


@pytest.mark.parametrize("beside", [False, True], ids=["nowhere", "in the store only"])
def test_no_locks_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool) -> None:
    """Nothing can be written safely, and the error says so, with what to do; reading works."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        fill(manager, "chat")
    lacking = [Path(f"{store}.state"), *([] if beside else [store])]
    monkeypatch.setattr(system, "flock", without_locks(*lacking))
    manager = open_store(store)
    session = manager.load_session("chat")
    assert len(session.get_messages()) == 3
    assert [info.name for info in manager.list_sessions()] == ["chat"]
    with pytest.raises(StoreReadOnlyError, match="state_path"):
        manager.create_session("new")
    session.add_message(message(3))
    if not beside:
        with within(20), pytest.raises(StoreReadOnlyError, match="state_path"):
            manager.save_session(session)
        monkeypatch.undo()
    manager.close()
    with open_store(store) as manager:
        assert len(manager.load_session("chat")) == 4


def test_no_state_folder_and_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no folder was given that could stand in, the error names none."""
    backend = LocalBackend(tmp_path / "store", files=Files(durable=False))
    backend.prepare()
    backend.create_ref(KEY, b"one\n")
    token = backend.read_ref(KEY).token
    monkeypatch.setattr(system, "flock", without_locks(tmp_path))
    with pytest.raises(StoreReadOnlyError, match=r"\) and there is no other: mount a disk with locks"):
        backend.replace_ref(KEY, token, b"two\n")
    assert backend.read_ref(KEY).data == b"one\n"


def test_a_lock_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error, leaves nothing locked, and the next save works."""
    store = tmp_path / "store"
    manager = open_store(store)
    fill(manager, "chat")
    session = manager.load_session("chat")
    session.add_message(message(3))
    monkeypatch.setattr(system, "flock", without_locks(store, code=errno.EIO))
    for _ in range(2):
        with within(20), pytest.raises(StoreError):
            manager.save_session(session)
    monkeypatch.undo()
    with within(20):
        manager.save_session(session)
    manager.close()
    with open_store(store) as manager:
        assert len(manager.load_session("chat")) == 4


def write_without_locks(root: Path, state: Path, writer: int, names: list[str], count: int, start: Barrier) -> None:
    system.flock = without_locks(root)
    write_many(root, state, writer, names, count, start)


def test_four_processes_on_a_disk_without_locks(tmp_path: Path, long_size: bool) -> None:
    """Real ones: every message is there once, in each writer's order, and all of it is of one replica."""
    count = 400 if long_size else 40
    context = multiprocessing.get_context("spawn")
    root, state = tmp_path / "store", tmp_path / "state"
    start = context.Barrier(WRITERS)
    writers = [
        context.Process(target=write_without_locks, args=(root, state, number, ["chat"], count, start))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    check(root, tmp_path / "reader", ["chat"], count, complete=True)
    assert len(os.listdir(root / "refs")) == 1
    with open_small(root, tmp_path / "another") as manager:
        assert [info.name for info in manager.list_sessions()] == ["chat"]


# Inode numbers

_numbers = itertools.count(10**9)


def renumbered(status: os.stat_result) -> os.stat_result:
    values = (status.st_mode, next(_numbers), *tuple(status)[2:])
    return os.stat_result(values, {"st_mtime_ns": status.st_mtime_ns, "st_ctime_ns": status.st_ctime_ns})


@pytest.fixture(params=["by path", "by path and when opened"])
def unnumbered(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store on a disk whose numbers change, each time a file is looked at, or also each time it is opened."""
    store = tmp_path / "store"
    real, opened = os.stat, open_ref.open_with_status

    def look(path: object, **options: object) -> os.stat_result:
        status = real(path, **options)  # type: ignore[call-overload]
        below = isinstance(path, str) and path.startswith(f"{store}/refs/") and stat.S_ISREG(status.st_mode)
        return renumbered(status) if below else status

    def opens(path: str, *, append: Files | None = None) -> tuple[int, os.stat_result]:
        descriptor, status = opened(path, append=append)
        return descriptor, renumbered(status) if path.startswith(f"{store}/refs/") else status

    monkeypatch.setattr(os, "stat", look)
    if request.param != "by path":
        monkeypatch.setattr(open_ref, "open_with_status", opens)
    return store


def test_a_disk_without_lasting_numbers(unnumbered: Path) -> None:
    """What a file holds tells which one it is: nothing waits for ever, every way to write works, nothing is doubled.

    A save used to open the file again and again.
    """
    with within(60), open_store(unnumbered) as manager:
        fill(manager, "chat", 3, size=70_000)
        session = manager.load_session("chat")
        for number in range(3, 80):
            say(manager, session, number)
        session.messages[1] = message(1)
        manager.save_session(session)
        with open_store(unnumbered) as other:
            say(other, other.load_session("chat"), 80)
        say(manager, session, 81)
        manager.rename_session("chat", "talk")
    with open_store(unnumbered) as manager:
        found = manager.load_session("talk").get_messages()
        expected = [message(0, 70_000), message(1), message(2, 70_000), *(message(number) for number in range(3, 82))]
        assert found == expected


def test_a_sync_to_such_a_disk(unnumbered: Path, tmp_path: Path) -> None:
    """What went on in the other store since the last sync arrives, though nobody holds the file meanwhile."""
    with within(60), open_store(tmp_path / "plain") as manager:
        fill(manager, "chat")
        for number in range(3, 6):
            assert manager.sync(unnumbered).problems == ()
            say(manager, manager.load_session("chat"), number)
        assert manager.sync(unnumbered).pushed.advanced == ("chat",)
    with open_store(unnumbered) as there:
        assert len(there.load_session("chat")) == 6


def test_a_file_put_in_place_on_such_a_disk(unnumbered: Path, tmp_path: Path) -> None:
    """What a tool really puts there is noticed by what it holds: an older copy costs nothing that was saved."""
    with within(60), open_store(unnumbered) as manager:
        fill(manager, "chat")
        (ref,) = unnumbered.glob("refs/*/chat.jsonl")
        older = ref.read_bytes()
        session = manager.load_session("chat")
        say(manager, session, 3, 4)
        (tmp_path / "older").write_bytes(older)
        (tmp_path / "older").replace(ref)
        say(manager, session, 5)
    with open_store(unnumbered) as manager:
        assert manager.load_session("chat").get_messages() == [message(number) for number in range(6)]


def test_a_file_that_is_another_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After three looks it is an error that says so, with nothing locked and nothing written."""
    backend = LocalBackend(tmp_path / "store")
    backend.prepare()
    key = RefKey("here/chat.jsonl")
    token = backend.create_ref(key, b"one\n")
    looks = list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(open_ref.OpenRef, "look", lambda ref: looks.append(ref.path))
        patch.setattr(open_ref.OpenRef, "_has_same_end", lambda ref: False)
        with within(20), pytest.raises(StoreError, match="no lasting inode numbers") as caught:
            backend.append_ref(key, token, b"two\n")
    assert str(caught.value.path) == backend.locate(key)
    assert len(looks) == 4
    assert backend.read_ref(key).data == b"one\n"
    backend.append_ref(key, backend.read_ref(key).token, b"two\n")
    backend.close()
