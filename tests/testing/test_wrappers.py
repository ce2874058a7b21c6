"""The backends that wrap others: they keep every promise of what they wrap, and fail just where they are told to."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from backends.test_local import TestLocal as OfFiles
from backends.test_memory import read_raw, write_raw
from repo.machines import SMALL
from storekit import message

from coda_fs_session import SessionManager, StoreError, StoreFullError
from coda_fs_session.backends.base import Backend, RefKey
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing import BackendTests, Fault, FaultyBackend, LatencyBackend, WrapperBackend
from coda_fs_session.testing.kit.case import KEY, new_object
from coda_fs_session.testing.wrappers import WRITING

T = TypeVar("T")


class WrapperTests(BackendTests):
    """The kit for a wrapper around memory; its hooks go around both."""

    def read_raw(self, backend: Backend, where: RefKey | str) -> bytes | None:
        assert isinstance(backend, WrapperBackend)
        return read_raw(backend.inner, where)

    def write_raw(self, backend: Backend, where: RefKey | str, data: bytes | None) -> None:
        assert isinstance(backend, WrapperBackend)
        write_raw(backend.inner, where, data)


class TestFaulty(WrapperTests):
    @pytest.fixture
    def backend(self) -> FaultyBackend:
        return FaultyBackend(MemoryBackend())


class TestLatency(WrapperTests):
    @pytest.fixture
    def backend(self) -> LatencyBackend:
        return LatencyBackend(MemoryBackend(), reading=0.00001, writing=0.00002)


class TestFaultyFiles(OfFiles):
    """Around files, it is as persistent and as shared as they are."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> FaultyBackend:  # type: ignore[override]
        return FaultyBackend(LocalBackend(tmp_path / "store"))

    def reopen(self, backend: Backend) -> FaultyBackend:  # type: ignore[override]
        assert isinstance(backend, FaultyBackend)
        return FaultyBackend(super().reopen(backend.inner))


def test_every_verb_is_passed_on() -> None:
    """A wrapper that forgot one would give the default's answer in place of the wrapped backend's."""
    verbs = {name for name, _ in inspect.getmembers(Backend, inspect.isfunction) if not name.startswith("_")}
    assert verbs <= vars(WrapperBackend).keys()
    assert verbs >= WRITING


def test_faults() -> None:
    """The chosen call fails as chosen, with its effect or without, and no other does."""
    backend = FaultyBackend(MemoryBackend(), Fault("append_ref", at=1), Fault("create_ref", when="after"))
    with pytest.raises(StoreError, match="create_ref fails here on purpose, after its effect"):
        backend.create_ref(KEY, b"one\n")
    token = backend.append_ref(KEY, backend.read_ref(KEY).token, b"two\n")
    with pytest.raises(StoreError, match="before"):
        backend.append_ref(KEY, token, b"three\n")
    backend.append_ref(KEY, token, b"four\n")
    assert backend.read_ref(KEY).data == b"one\ntwo\nfour\n"
    assert backend.calls == ["create_ref", "read_ref", *["append_ref"] * 3, "read_ref"]
    backend.faults = [Fault("writing", at=5, error=StoreFullError, lasting=2)]
    backend.prepare()
    for _ in range(2):
        with pytest.raises(StoreFullError):
            backend.put_objects([new_object(b"one")])
    backend.put_objects([new_object(b"two")])
    assert [identity for identity, _ in backend.objects()] == [new_object(b"two").id]


def test_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each verb waits once, by whether it changes the store."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    backend = LatencyBackend(MemoryBackend(), reading=1, writing=2)
    backend.append_ref(KEY, backend.create_ref(KEY, b"one\n"), b"two\n")
    assert backend.read_ref(KEY).data == b"one\ntwo\n"
    backend.close()
    assert waited == [2, 2, 1]


def manager_over(backend: Backend) -> SessionManager:
    storage = RepoStorage(Repository(backend, MemoryState(), Settings(sizes=SMALL)))
    return SessionManager({"session": {"autosave_interval": 0}}, storage=storage)


def converse(backend: Backend) -> int:
    """Save, edit and branch, each step again until it succeeds; return how often one failed."""
    failed = 0

    def insist(step: Callable[[], T]) -> T:
        nonlocal failed
        for _ in range(3):
            try:
                return step()
            except StoreError as error:
                if "on purpose" not in str(error):
                    raise
                failed += 1
        raise AssertionError("this step does not succeed any more")

    manager = manager_over(backend)
    chat = insist(lambda: manager.create_session("chat"))
    for number in range(12):
        chat.add_message(message(number, 150))
        insist(lambda: manager.save_session(chat))
    chat.messages[3]["content"] = "edited"
    insist(lambda: manager.save_session(chat))
    insist(lambda: manager.create_session("branch", branch_from="chat", at=5))
    insist(lambda: manager.create_session("another"))
    return failed


def test_the_engine_over_a_backend_that_fails() -> None:
    """Whichever call that changes the store fails, once or twice, before or after its effect: a step that is simply
    tried again succeeds, and nothing that was saved is missing or there twice."""
    counting = FaultyBackend(MemoryBackend())
    assert converse(counting) == 0
    calls = sum(verb in WRITING for verb in counting.calls)
    expected = [message(number, 150) for number in range(12)]
    expected[3] = {**expected[3], "content": "edited"}
    for at in range(calls):
        for when in ("before", "after"):
            for lasting in (1, 2):
                backend = FaultyBackend(MemoryBackend(), Fault("writing", at, when, lasting=lasting))
                assert converse(backend) >= 1
                found = {
                    info.name: manager_over(backend).load_session(info.name).get_messages()
                    for info in manager_over(backend).list_sessions()
                }
                assert found == {"chat": expected, "branch": expected[:5], "another": []}, (at, when, lasting)
