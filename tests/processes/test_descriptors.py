"""Few file descriptors: those that managers keep open to be quicker are given back when there are none left."""

from __future__ import annotations

import errno
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store, run_python, say

from coda_fs_session import StoreError
from coda_fs_session.backends.disk.descriptors import give_back, opened

MANY = """
    import resource, sys
    from pathlib import Path
    from storekit import message, open_store, say
    base, backend = Path(sys.argv[1]), sys.argv[2]
    limit, managers, sessions = map(int, sys.argv[3:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    opened = [open_store(base / str(number), backend=backend) for number in range(managers)]
    kept = []
    for manager in opened:
        for number in range(sessions):
            session = manager.create_session(f"s{number}")
            say(manager, session, 1)
            kept.append((manager, session))
    for manager, session in kept[:: max(1, len(kept) // 40)]:
        say(manager, session, 2)
        assert session.get_messages() == [message(1), message(2)]
    for manager in opened:
        assert len(manager.list_sessions()) == sessions
        manager.close()
"""


@pytest.mark.parametrize(
    ("backend", "limit", "managers", "sessions"),
    [
        ("files", 128, 3, 40),
        ("files", 64, 2, 70),
        ("files", 32, 1, 40),
        *(("sqlite", limit, 8, 2) for limit in range(28, 36)),
    ],
)
def test_many_sessions_with_few_descriptors(
    tmp_path: Path, backend: str, limit: int, managers: int, sessions: int
) -> None:
    """Bug: managers kept up to 128 descriptors each. From the moment none was left everything failed, also what had
    nothing to do with a store."""
    done = run_python(MANY, tmp_path, backend, str(limit), str(managers), str(sessions))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


NONE = """
    import os, resource, sys
    from pathlib import Path
    from storekit import message, open_store, say
    store, backend = Path(sys.argv[1]), sys.argv[2]
    manager = open_store(store, backend=backend)
    session = manager.create_session("chat")
    say(manager, session, 1)
    manager.close()
    from coda_fs_session import StoreError
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    session.add_message(message(2))
    for call in (
        lambda: manager.save_session(session),
        lambda: manager.load_session("chat"),
        manager.list_sessions,
        lambda: manager.create_session("other"),
        lambda: open_store(store, backend=backend).list_sessions(),
    ):
        try:
            call()
        except StoreError as error:
            print(error)
    for descriptor in taken:
        os.close(descriptor)
    manager.save_session(session)
    assert len(open_store(store, backend=backend).load_session("chat")) == 2
"""


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_errors_for_want_of_descriptors(tmp_path: Path, backend: str) -> None:
    """With nothing to give back, every call fails with a `StoreError` or does its work; the session is saved later.

    Bug: the error itself imported a module, for which there was no descriptor either.
    """
    done = run_python(NONE, tmp_path / "store", backend)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    if backend == "files":
        assert "Too many open files; what was saved before is intact: close files" in done.stdout


def test_a_call_is_made_again_once() -> None:
    """Only for want of descriptors, after others were given back, and no more than once."""
    calls: list[str] = []

    def fail(number: int) -> None:
        calls.append("call")
        raise OSError(number, os.strerror(number))

    for number, times in ((errno.EMFILE, 2), (errno.ENFILE, 2), (errno.EACCES, 1)):
        calls.clear()
        with pytest.raises(OSError, match=os.strerror(number)):
            opened(fail, number)
        assert len(calls) == times


def test_what_is_in_use_is_not_given_back(tmp_path: Path) -> None:
    """A ref whose lock a thread holds stays open; the others, and their records, are closed and opened again."""
    manager = open_store(tmp_path / "store")
    sessions = [manager.create_session(name) for name in ("a", "b")]
    for session in sessions:
        say(manager, session, 1)
    backend: Any = manager._storage.repo.backend  # type: ignore[attr-defined]
    open_refs = backend._open_refs
    paths = list(open_refs._refs)
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        ref = open_refs.acquire(paths[0])
        holding.set()
        release.wait()
        open_refs.release(ref)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(20)
    give_back()
    assert list(open_refs._refs) == paths[:1]
    assert open_refs._refs[paths[0]].locked
    assert not backend._record._open
    release.set()
    thread.join()
    for session in sessions:
        say(manager, session, 2)
        assert len(session) == 2
    manager.close()


def test_a_file_that_was_closed_before_it_was_taken_is_looked_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: a ref that another thread closed between look-up and lock was used, and could not be found: a second use by
    the same thread opened the file again, and waited for its own lock."""
    manager = open_store(tmp_path / "store")
    session = manager.create_session("chat")
    say(manager, session, 1)
    open_refs: Any = manager._storage.repo.backend._open_refs  # type: ignore[attr-defined]
    (path,) = open_refs._refs
    real, times = open_refs._get, []

    def closed_meanwhile(wanted: str) -> Any:
        ref = real(wanted)
        if not times:
            times.append(wanted)
            open_refs.close()
        return ref

    monkeypatch.setattr(open_refs, "_get", closed_meanwhile)
    ref = open_refs.acquire(path)
    try:
        assert open_refs._refs[path] is ref
        assert open_refs.acquire(path) is ref
        open_refs.release(ref)
    finally:
        open_refs.release(ref)


def test_an_error_says_its_path_after_pickling(tmp_path: Path) -> None:
    """The path is made when it is asked for, and goes along to other processes."""
    error = pickle.loads(pickle.dumps(StoreError("text", str(tmp_path))))
    assert (error.path, StoreError("text").path, str(error)) == (tmp_path, None, "text")
