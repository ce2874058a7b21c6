"""Locks that are taken rarely and held long."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import pytest
from storekit import open_store, run_python

from coda_fs_session import SessionError, SessionManager, StoreError
from coda_fs_session.backends.disk import long_locks
from coda_fs_session.backends.disk.long_locks import LongLock


def hold(path: str, held: threading.Event, leave: threading.Event) -> None:
    with LongLock(path):
        held.set()
        leave.wait(20)


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_one_at_a_time(tmp_path: Path, kind: str) -> None:
    """Another thread or process that has it for too long is an error; once it is free it is to be had."""
    path = str(tmp_path / "lock")
    context = multiprocessing.get_context("spawn")
    maker = threading if kind == "thread" else context
    held, leave = maker.Event(), maker.Event()
    arguments = (path, held, leave)
    other = (
        threading.Thread(target=hold, args=arguments)
        if kind == "thread"
        else context.Process(target=hold, args=arguments)
    )
    other.start()
    assert held.wait(20)
    with (
        pytest.raises(StoreError, match=r"another process has kept .*lock locked for 0\.05 s"),
        LongLock(path, patience=0.05),
    ):
        pass
    leave.set()
    other.join()
    with LongLock(path):
        assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_thread_does_not_wait_for_itself(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with LongLock(path), pytest.raises(SessionError, match="under way"), LongLock(path):
        pass
    with LongLock(path):
        pass


def test_a_process_that_was_killed_leaves_it_free(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from coda_fs_session.backends.disk.long_locks import LongLock
        LongLock(sys.argv[1]).__enter__()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_python(script, tmp_path / "lock").returncode < 0
    with LongLock(str(tmp_path / "lock"), patience=5):
        pass


def test_a_child_of_a_fork_does_not_give_it_back(tmp_path: Path) -> None:
    """What it inherits is the parent's."""
    script = """
        import gc, os, sys
        from coda_fs_session import StoreError
        from coda_fs_session.backends.disk.long_locks import LongLock
        def child():
            global lock
            lock = None
            gc.collect()
            try:
                with LongLock(sys.argv[1], patience=0.1):
                    return 1
            except StoreError:
                return 0
        lock = LongLock(sys.argv[1])
        with lock:
            pid = os.fork()
            if pid == 0:
                os._exit(child())
            assert os.waitpid(pid, 0)[1] == 0
            pid = os.fork()
            if pid == 0:
                os._exit(child())
            assert os.waitpid(pid, 0)[1] == 0
    """
    done = run_python(script, tmp_path / "lock")
    assert (done.returncode, done.stderr) == (0, "")


def test_choosing_a_replica_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken for the first save of a machine, and no other one needs it."""
    monkeypatch.setattr(long_locks, "PATIENCE_SECONDS", 0.05)
    managers: list[SessionManager] = [open_store(tmp_path / "store") for _ in range(2)]
    state = managers[0]._storage.repo.machine  # type: ignore[attr-defined]
    held, leave = threading.Event(), threading.Event()
    other = threading.Thread(target=hold, args=(state.choosing()._path, held, leave))
    other.start()
    assert held.wait(20)
    with pytest.raises(StoreError, match=r"another process has kept .*[.]replica[.]lock locked"):
        managers[0].create_session("chat")
    leave.set()
    other.join()
    managers[0].create_session("chat")
    monkeypatch.setattr(LongLock, "__enter__", None)
    managers[1].create_session("another")
    assert len(list((tmp_path / "store/refs").iterdir())) == 1
