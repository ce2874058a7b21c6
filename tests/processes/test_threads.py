"""Two threads of one process at one ref: they share a backend, and must not share a lock."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from coda_fs_session.backends.base import RefChangedError, RefKey, Token
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend

KEY = RefKey("test-00000000/chat.jsonl")


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    backend = LocalBackend(tmp_path / "store", files=Files(durable=False))
    backend.prepare()
    return backend


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


def test_what_one_thread_holds_another_waits_for(backend: LocalBackend) -> None:
    """While a thread holds a ref between reading and writing, another thread's write waits as another process's
    would; the holder's write goes through, and the other one sees that the ref has changed. Neither hangs."""
    token = backend.create_ref(KEY, b"one\n")
    with backend.hold(KEY):
        thread, results = in_thread(lambda: backend.replace_ref(KEY, token, b"other\n"))
        # Time for the other one to get as far as it can; what is asserted holds even if it has not begun.
        thread.join(0.05)
        backend.append_ref(KEY, token, b"two\n")
    thread.join(20)
    assert not thread.is_alive(), "the other thread hangs"
    assert isinstance(results[0], RefChangedError)
    assert backend.read_ref(KEY).data == b"one\ntwo\n"


def test_threads_at_one_ref_leave_no_descriptor_open(backend: LocalBackend) -> None:
    """A ref that two threads had open at once, over and over, is open once afterwards, and not at all after `close`."""
    token = backend.create_ref(KEY, b"one\n")
    for _ in range(200):
        inside, leave = threading.Event(), threading.Event()

        def hold(inside: threading.Event = inside, leave: threading.Event = leave) -> None:
            with backend.hold(KEY):
                inside.set()
                leave.wait()

        holder, results = in_thread(hold)
        assert inside.wait(20), results
        other, results = in_thread(partial(backend.append_ref, KEY, token, b"two\n"))
        leave.set()
        holder.join()
        other.join(20)
        assert isinstance(results[0], tuple)
        token = Token(*results[0])
    assert descriptors_of(backend.locate(KEY)) == 1
    backend.close()
    assert descriptors_of(backend.locate(KEY)) == 0


def descriptors_of(path: str) -> int:
    """Return how often this process has a file open."""
    wanted, found = os.stat(path), 0
    for name in os.listdir("/dev/fd"):
        # The listing's own descriptor is closed by now.
        with contextlib.suppress(OSError):
            status = os.fstat(int(name))
            found += (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino)
    return found
