"""Two threads at one moment, and a sync tool within a save: what the locks and looks in the backends are for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from coda_fs_session.backends.base import RefChangedError
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files import locked_refs
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.files.locked_refs import OpenRefs
from coda_fs_session.backends.files.open_ref import OpenRef
from coda_fs_session.backends.machine.own_refs import FileRecord
from coda_fs_session.backends.machine.stand_ins import StandIns
from coda_fs_session.testing.kit.case import KEY

_BLOCKED = 0.3
"""Seconds after which a thread that others keep waiting is taken to be waiting."""


class _Meddled(Files):
    """Lets somebody in before the sync of an append."""

    def __init__(self) -> None:
        super().__init__(durable=False)
        self.meddle: Callable[[], None] | None = None

    def sync_data(self, descriptor: int) -> None:
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()


@pytest.mark.parametrize("more", [b"", b"and what somebody else wrote after it\n"], ids=["as long", "longer"])
def test_another_file_takes_the_place_during_the_sync(tmp_path: Path, more: bytes) -> None:
    """What a sync tool puts over a ref while it is synced has not what was saved: that is no success.

    It may be as long as ours or longer, so its size says nothing.
    """
    files = _Meddled()
    backend = LocalBackend(tmp_path / "store", files=files)
    backend.prepare()
    token = backend.create_ref(KEY, b"one\n")
    ref = Path(backend.locate(KEY))

    def put_over() -> None:
        other = ref.with_name(".other")
        other.write_bytes(b"one\nhers\n" + more)
        other.replace(ref)

    files.meddle = put_over
    with pytest.raises(RefChangedError):
        backend.append_ref(KEY, token, b"ours\n")
    assert backend.read_ref(KEY).data == b"one\nhers\n" + more


def _at_once(first: Callable[[], object], second: Callable[[], object]) -> None:
    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_one_open_file_for_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that open a ref at one moment get the same open file: with one each, a thread that asks for the
    lock again would wait for itself."""
    path = str(tmp_path / "ref")
    both = threading.Barrier(2)

    class Slow(OpenRef):
        def __init__(self, path: str, stand_ins: StandIns) -> None:
            super().__init__(path, stand_ins)
            # Passed only where the other thread makes one too.
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(_BLOCKED)

    monkeypatch.setattr(locked_refs, "OpenRef", Slow)
    refs = OpenRefs(Files(durable=False), StandIns(str(tmp_path), lambda: str(tmp_path / "state")))
    found: list[OpenRef] = []

    def get() -> None:
        found.append(refs._get(path))

    _at_once(get, get)
    assert found[0] is found[1]


def test_a_record_that_is_written_anew_while_another_thread_adds_to_it(tmp_path: Path) -> None:
    """What is added meanwhile is in it afterwards: neither is put over the other."""
    added, may_rename = threading.Event(), threading.Event()

    class Slow(Files):
        def rename(self, source: str, target: str) -> None:
            if threading.current_thread().name == "keeps":
                may_rename.set()
                added.wait(_BLOCKED)
            super().rename(source, target)

    record = FileRecord(lambda: str(tmp_path), Slow(durable=False))
    record.adopt(KEY.replica)
    record.keep(KEY, b"one\n")

    def keep() -> None:
        threading.current_thread().name = "keeps"
        record.keep(KEY, b"one\n")

    def append() -> None:
        assert may_rename.wait(30)
        record.append(KEY, b"two\n", lambda: b"one\ntwo\n")
        added.set()

    _at_once(keep, append)
    assert record.read(KEY) == b"one\ntwo\n"
    record.close()
