"""Two threads of one process at one ref: they share a backend, and must not share a lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from coda_fs_session.backends._files import Files
from coda_fs_session.backends.base import RefChangedError, RefKey, Token
from coda_fs_session.backends.local import LocalBackend

KEY = RefKey("test-00000000/chat.jsonl")


class Noticing(Files):
    """Tells when a file was opened for appending."""

    def __init__(self) -> None:
        super().__init__(durable=False)
        self.opened = threading.Event()

    def open_append(self, path: str) -> int:
        descriptor = super().open_append(path)
        self.opened.set()
        return descriptor


@pytest.fixture
def files() -> Noticing:
    return Noticing()


@pytest.fixture
def backend(tmp_path: Path, files: Noticing) -> LocalBackend:
    backend = LocalBackend(tmp_path / "store", files=files)
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


def test_what_one_thread_holds_another_waits_for(backend: LocalBackend, files: Noticing) -> None:
    """While a thread holds a ref between reading and writing, another thread's write waits as another process's
    would; the holder's write goes through, and the other one sees that the ref has changed. Neither hangs."""
    token = backend.create_ref(KEY, b"one\n")
    with backend.hold(KEY):
        files.opened.clear()
        thread, results = in_thread(lambda: backend.replace_ref(KEY, token, b"other\n"))
        while not files.opened.wait(0.01) and thread.is_alive():
            pass
        backend.append_ref(KEY, token, b"two\n")
    thread.join(20)
    assert not thread.is_alive(), "the other thread hangs"
    assert isinstance(results[0], RefChangedError)
    assert backend.read_ref(KEY).data == b"one\ntwo\n"


def test_threads_at_one_ref_leave_no_descriptor_open(backend: LocalBackend, files: Noticing) -> None:
    """A ref that two threads had open at once is open once afterwards, and not at all after `close`."""
    before = open_files()
    token = backend.create_ref(KEY, b"one\n")
    for _ in range(5):
        inside, leave = threading.Event(), threading.Event()

        def hold(inside: threading.Event = inside, leave: threading.Event = leave) -> None:
            with backend.hold(KEY):
                inside.set()
                leave.wait()

        holder, _ = in_thread(hold)
        inside.wait()
        files.opened.clear()
        other, results = in_thread(partial(backend.append_ref, KEY, token, b"two\n"))
        while not files.opened.wait(0.01) and other.is_alive():
            pass
        leave.set()
        holder.join()
        other.join()
        assert isinstance(results[0], tuple)
        token = Token(results[0])
    assert open_files() == before + 1
    backend.close()
    assert open_files() == before


def open_files() -> int:
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return len(os.listdir(folder))
