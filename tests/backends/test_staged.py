"""The backend that holds refs and objects back: beside one that does not, nobody can tell, until it has to write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from backends.test_memory import read_raw, write_raw
from coda_fs_session.backends.base import Backend, RefEnd, RefKey, RefTakenError, Token
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.backends.staged import Apart, StagedBackend, Written
from coda_fs_session.errors import CorruptionError, StoreError
from coda_fs_session.testing import BackendTests, Fault, FaultyBackend
from coda_fs_session.testing.kit.case import KEY, OTHER, new_object


def staged(inner: Backend, written: Callable[[Written, Apart, int], None] = lambda *_: None) -> StagedBackend:
    def places(key: RefKey, number: int) -> list[RefKey]:
        return [key if number == 1 else RefKey(f"{key.path}.{number}")]

    return StagedBackend(inner, is_recorded=lambda key: False, places=places, written=written)


class TestStaged(BackendTests):
    """The kit, for a thread that holds back; what goes around the backend sees what is written by then."""

    @pytest.fixture
    def backend(self) -> StagedBackend:
        return staged(MemoryBackend())

    def read_raw(self, backend: Backend, where: RefKey | str) -> bytes | None:
        assert isinstance(backend, StagedBackend)
        backend.flush()
        return read_raw(backend.inner, where)

    def write_raw(self, backend: Backend, where: RefKey | str, data: bytes | None) -> None:
        assert isinstance(backend, StagedBackend)
        backend.flush()
        write_raw(backend.inner, where, data)


class TestFinished(TestStaged):
    """The kit, once nothing is held back any more."""

    @pytest.fixture
    def backend(self) -> StagedBackend:
        backend = staged(MemoryBackend())
        backend.finish()
        return backend


@pytest.fixture
def inner() -> MemoryBackend:
    inner = MemoryBackend()
    # A first ref is not held back.
    inner.create_ref(RefKey(f"{KEY.replica}/first.jsonl"), b"first\n")
    return inner


def test_objects_come_before_the_refs_that_name_them(inner: MemoryBackend) -> None:
    """Whatever interrupts the writing: where there is a ref, its objects are there."""
    faulty = FaultyBackend(inner)
    backend, one, two = staged(faulty), new_object(b"one\n"), new_object(b"two\n")
    backend.put_objects([one])
    token = backend.create_ref(KEY, b"names one\n")
    backend.put_objects([two])
    backend.replace_ref(KEY, token, b"names two\n")
    assert "put_objects" not in faulty.calls
    backend.finish()
    writing = [verb for verb in faulty.calls if verb in ("put_objects", "create_refs")]
    assert writing == ["put_objects", "create_refs"]
    assert inner.read_ref(KEY).data == b"names two\n"
    assert {identity for identity, _ in inner.objects()} == {one.id, two.id}


def test_objects_of_a_ref_that_was_there_are_written_before_it_is_replaced(inner: MemoryBackend) -> None:
    token = inner.create_ref(KEY, b"one\n")
    faulty = FaultyBackend(inner)
    backend = staged(faulty)
    backend.put_objects([new_object(b"one\n")])
    backend.replace_ref(KEY, token, b"names one\n")
    assert [verb for verb in faulty.calls if verb in ("put_objects", "replace_ref")] == ["put_objects", "replace_ref"]
    assert inner.read_ref(KEY).data == b"names one\n"


@pytest.mark.parametrize("verb", ["put_objects", "create_refs"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_cannot_be_written_is_written_later(inner: MemoryBackend, verb: str, when: str) -> None:
    """Once, also where the first attempt had its effect."""
    faulty = FaultyBackend(inner, Fault(verb, when="before" if when == "before" else "after"))
    moved: list[tuple[RefKey, Token]] = []
    backend = staged(faulty, lambda written, *_: moved.extend((key, now.token) for key, _, now in written))
    backend.put_objects([new := new_object(b"one\n")])
    backend.create_ref(KEY, b"one\n")
    with pytest.raises(StoreError, match="on purpose"):
        backend.finish()
    assert backend.read_ref(KEY).data == b"one\n"
    assert backend.get_object(new.id, size=4, limit=4) == b"one\n"
    backend.create_ref(OTHER, b"two\n")
    assert backend.is_empty
    assert {key.path for key, _ in inner.refs()} == {f"{KEY.replica}/first.jsonl", KEY.path, OTHER.path}
    assert moved == [(KEY, inner.read_ref(KEY).token)]


def test_a_key_that_somebody_else_took(inner: MemoryBackend) -> None:
    """Both are kept; what went on from ours, or what ours goes on from, is the same ref."""
    keys = [RefKey(f"{KEY.replica}/{name}.jsonl") for name in ("other", "begun", "ahead")]
    backend = staged(inner)
    for key in keys:
        backend.create_ref(key, b"one\ntwo\n")
    for key, data in zip(keys, (b"else\n", b"one\n", b"one\ntwo\nthree\n"), strict=True):
        inner.create_ref(key, data)
    backend.finish()
    assert [inner.read_ref(key).data for key in keys] == [b"else\n", b"one\ntwo\n", b"one\ntwo\nthree\n"]
    assert inner.read_ref(RefKey(f"{keys[0].path}.2")).data == b"one\ntwo\n"
    assert len(list(inner.refs())) == 5


def test_what_an_interrupted_attempt_left_is_made_durable(inner: MemoryBackend) -> None:
    """A ref that is there need not last yet; and one that is beside is not written a second time."""
    faulty = FaultyBackend(inner)
    other = RefKey(f"{KEY.replica}/other.jsonl")
    backend = staged(faulty)
    for key in (KEY, other):
        backend.create_ref(key, b"ours\n")
    inner.create_ref(KEY, b"ours\n")
    inner.create_ref(other, b"else\n")
    inner.create_ref(RefKey(f"{other.path}.2"), b"ours\n")
    backend.finish()
    assert faulty.calls.count("replace_ref") == 2
    assert len(list(inner.refs())) == 4


def test_the_first_ref_of_a_replica_is_written_at_once() -> None:
    """The store knows a replica by its refs: until then another process would choose a second id."""
    inner = MemoryBackend()
    backend = staged(inner)
    backend.create_ref(KEY, b"one\n")
    assert inner.read_ref(KEY).data == b"one\n"
    with pytest.raises(RefTakenError):
        backend.create_ref(KEY, b"two\n")


def test_a_damaged_ref_takes_its_key(inner: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it is taken is told when a ref is made under it, while another key can still be had."""

    def ref_end(key: RefKey) -> RefEnd:
        raise CorruptionError("damaged", key.path)

    monkeypatch.setattr(inner, "ref_end", ref_end)
    with pytest.raises(RefTakenError):
        staged(inner).create_ref(KEY, b"ours\n")


def test_another_thread_writes_everything_first(inner: MemoryBackend) -> None:
    """What it writes may rest on what is held back."""
    backend = staged(inner)
    backend.put_objects([new := new_object(b"one\n")])
    token = backend.create_ref(KEY, b"one\n")
    thread = threading.Thread(target=lambda: backend.create_ref(OTHER, b"two\n"))
    thread.start()
    thread.join()
    assert inner.read_ref(KEY).data == b"one\n"
    assert inner.read_ref(OTHER).data == b"two\n"
    assert inner.get_object(new.id, size=4, limit=4) == b"one\n"
    assert backend.ref_token(KEY) not in (None, token)


def test_what_is_put_while_another_thread_writes_is_kept(inner: MemoryBackend) -> None:
    """The thread of the block does not wait for the other one, which has seen only what was there before."""
    new = new_object(b"one\n")

    class Slow(MemoryBackend):
        def create_refs(self, refs: object) -> list[Token | None]:
            thread = threading.Thread(target=proceed.set)
            thread.start()
            assert done.wait(10)
            return inner.create_refs(refs)  # type: ignore[arg-type]

    proceed, done = threading.Event(), threading.Event()
    slow = Slow()
    slow.create_ref(RefKey(f"{KEY.replica}/first.jsonl"), b"first\n")
    backend = staged(slow)
    backend.create_ref(KEY, b"one\n")
    writer = threading.Thread(target=backend.flush)
    writer.start()
    assert proceed.wait(10)
    backend.put_objects([new])
    with pytest.raises(RefTakenError):
        backend.create_ref(KEY, b"two\n")
    done.set()
    writer.join()
    assert backend.get_object(new.id, size=4, limit=4) == b"one\n"


def test_what_is_appended_while_another_thread_writes_is_kept() -> None:
    """A ref that is just being written is not changed in memory, which is let go of right after."""
    begun, appended = threading.Event(), threading.Event()

    class Slow(MemoryBackend):
        def create_refs(self, refs: Sequence[tuple[RefKey, bytes]]) -> list[Token | None]:
            begun.set()
            # An append that does not wait is over now. What is asserted holds also if it comes too late to be told.
            appended.wait(0.5)
            return super().create_refs(refs)

    slow = Slow()
    slow.create_ref(RefKey(f"{KEY.replica}/first.jsonl"), b"first\n")
    backend = staged(slow)
    token = backend.create_ref(KEY, b"one\n")
    writer = threading.Thread(target=backend.flush)
    writer.start()
    assert begun.wait(10)
    backend.append_ref(KEY, token, b"two\n")
    appended.set()
    writer.join()
    assert backend.read_ref(KEY).data == slow.read_ref(KEY).data == b"one\ntwo\n"


def test_what_is_held_back_is_not_written_while_a_thread_holds_a_ref(inner: MemoryBackend) -> None:
    """Another thread that writes it may wait for that one; and it would be undone with what that one does."""
    token = inner.create_ref(KEY, b"one\n")
    new = RefKey(f"{KEY.replica}/new.jsonl")
    faulty = FaultyBackend(inner)
    backend = staged(faulty)
    held, proceed = threading.Event(), threading.Event()

    def work() -> None:
        with backend.hold(KEY):
            held.set()
            assert proceed.wait(10)
            backend.append_ref(KEY, token, b"two\n")

    thread = threading.Thread(target=work)
    thread.start()
    assert held.wait(10)
    backend.create_ref(new, b"three\n")
    proceed.set()
    thread.join()
    assert inner.read_ref(KEY).data == b"one\ntwo\n"
    assert "create_refs" not in faulty.calls
    backend.finish()
    assert inner.read_ref(new).data == b"three\n"
