"""Tests with several threads, several processes, and processes that are killed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ...backends.base import Backend, RefChangedError, RefKey, RefTakenError, Snapshot, Token
from .case import KEY, OTHER, BackendCase, incompressible, new_object, shown
from .processes import process_to_kill, run_processes

_PROCESSES = 4
_LINES = 25


class SharingTests(BackendCase):
    """What is promised where a backend or a store is not used by one alone."""

    def test_threads_with_refs_of_their_own(self, backend: Backend) -> None:
        """Threads that each write their own refs do not disturb each other."""
        backend.prepare()

        def work(number: int) -> None:
            key = RefKey(f"here-00000001/chat{number}.jsonl")
            token = backend.create_ref(key, b"")
            for step in range(20):
                token = backend.append_ref(key, token, b"%d\n" % step)
                backend.put_objects([new_object(b"%d" % step)])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(16)))
        expected = b"".join(b"%d\n" % step for step in range(20))
        assert [backend.read_ref(key).data for key, _ in backend.refs()] == [expected] * 16

    def test_threads_that_read(self, backend: Backend) -> None:
        """Readers see one state after the other, each whole, and never with the token of another one."""
        backend.prepare()
        token = backend.create_ref(KEY, b"0\n")
        seen: dict[bytes, Token] = {b"0\n": token}

        def read(_: int) -> list[Snapshot]:
            return [backend.read_ref(KEY) for _ in range(100)]

        with ThreadPoolExecutor(4) as pool:
            reading = pool.map(read, range(3))
            data = b"0\n"
            for step in range(1, 60):
                added = b"%d\n" % step
                if step % 10:
                    data, token = data + added, backend.append_ref(KEY, token, added)
                else:
                    data, token = added * 500, backend.replace_ref(KEY, token, added * 500)
                seen[data] = token
            snapshots = [snapshot for each in reading for snapshot in each]
        assert {snapshot.data for snapshot in snapshots} <= seen.keys()
        # A file gets its new time a moment before its new bytes: such a token belongs to nothing that was written.
        written = {token: data for data, token in seen.items()}
        assert all(written.get(snapshot.token, snapshot.data) == snapshot.data for snapshot in snapshots)
        assert backend.read_ref(KEY) == Snapshot(data, token)

    def test_opened_twice(self, backend: Backend) -> None:
        """Each of two sees at once what the other has written, and is refused with what it saw before."""
        self.need(backend, "shared")
        backend.prepare()
        other = self.reopen(backend)
        other.prepare()
        token = backend.create_ref(KEY, b"one\n")
        assert other.read_ref(KEY) == Snapshot(b"one\n", token)
        theirs = other.append_ref(KEY, token, b"two\n")
        with pytest.raises(RefChangedError):
            backend.append_ref(KEY, token, b"lost\n")
        assert backend.read_ref(KEY) == Snapshot(b"one\ntwo\n", theirs)
        ours = backend.replace_ref(KEY, theirs, b"three\n")
        with pytest.raises(RefChangedError):
            other.replace_ref(KEY, theirs, b"lost\n")
        assert other.read_ref(KEY) == Snapshot(b"three\n", ours)
        with pytest.raises(RefTakenError):
            other.create_ref(KEY, b"lost\n")
        new = new_object(b"shared")
        other.put_objects([new])
        assert backend.get_object(new.id, size=None, limit=100) == b"shared"
        assert backend.place() == other.place()
        other.close()

    def test_processes_that_append(self, backend: Backend) -> None:
        """Every line that several processes append to one ref is in it once, each process's in its order."""
        self.need(backend, "shared", "forks")
        backend.prepare()
        backend.create_ref(KEY, b"")
        backend.close()

        def work(number: int) -> None:
            own = self.reopen(backend)
            for step in range(_LINES):
                _append(own, KEY, b"%d %d\n" % (number, step))
            own.close()

        run_processes(_PROCESSES, work)
        lines = backend.read_ref(KEY).data.splitlines()
        for number in range(_PROCESSES):
            mine = [line for line in lines if line.startswith(b"%d " % number)]
            assert mine == [b"%d %d" % (number, step) for step in range(_LINES)]
        assert len(lines) == _PROCESSES * _LINES

    def test_processes_that_replace(self, backend: Backend) -> None:
        """Of several that replace the same state one gets through: nobody's change is overwritten unseen."""
        self.need(backend, "shared", "forks")
        backend.prepare()
        backend.create_ref(KEY, b"0")
        backend.close()

        def work(number: int) -> None:
            own = self.reopen(backend)
            for _ in range(_LINES):
                _count_up(own)
            own.close()

        run_processes(_PROCESSES, work)
        assert backend.read_ref(KEY).data == b"%d" % (_PROCESSES * _LINES)

    def test_processes_that_create(self, backend: Backend) -> None:
        """Of several that create the same refs in a store that is not there yet, each ref is one's, and whole."""
        self.need(backend, "shared", "forks")
        keys = [RefKey(f"here-00000001/chat{number}.jsonl") for number in range(10)]

        def work(number: int) -> None:
            own = self.reopen(backend)
            own.prepare()
            won = 0
            for key in keys:
                try:
                    own.create_ref(key, b"%d" % number * 1000)
                    won += 1
                except RefTakenError:
                    pass
            own.put_objects([new_object(incompressible(10_000))])
            own.create_ref(RefKey(f"here-00000001/won-by-{number}.jsonl"), b"%d" % won)
            own.close()

        run_processes(_PROCESSES, work)
        contents = [backend.read_ref(key).data for key in keys]
        for number in range(_PROCESSES):
            won = int(backend.read_ref(RefKey(f"here-00000001/won-by-{number}.jsonl")).data)
            assert contents.count(b"%d" % number * 1000) == won
        assert len({*contents}) <= _PROCESSES
        assert len(list(backend.objects())) == 1


class LastingTests(BackendCase):
    """What is promised of a store that outlives the process."""

    def test_reopened(self, backend: Backend) -> None:
        """Whatever a verb has returned from is there for who opens the store next, though nobody closed it."""
        self.need(backend, "persistent")
        backend.prepare()
        token = backend.append_ref(KEY, backend.create_ref(KEY, b"one\n"), b"two\n")
        [more, _] = backend.create_refs([(OTHER, b"other\n"), (RefKey("there-00000002/empty.jsonl"), b"")])
        assert more is not None
        token = backend.append_ref(KEY, backend.replace_ref(KEY, token, b"three\n"), b"four\n")
        made = [new_object(b""), new_object(incompressible(10_000)), new_object(b"again " * 5000, compress=True)]
        backend.put_objects(made)
        again = self.reopen(backend)
        assert again.read_ref(KEY) == Snapshot(b"three\nfour\n", token)
        assert again.read_ref(OTHER) == Snapshot(b"other\n", more)
        assert again.ref_tokens().keys() == {KEY.path, OTHER.path, "there-00000002/empty.jsonl"}
        for new in made:
            assert shown(again.get_object(new.id, size=len(new.data), limit=len(new.data))) == shown(new.data)
        assert again.place() == backend.place()
        token = again.append_ref(KEY, token, b"five\n")
        again.close()
        assert self.reopen(backend).read_ref(KEY) == Snapshot(b"three\nfour\nfive\n", token)

    @pytest.mark.parametrize(("steps", "part"), [(2, 0), (2, 0.5), (7, 0.3), (30, 0.7), (61, 0.9)])
    def test_killed_while_appending(self, backend: Backend, steps: int, part: float) -> None:
        """What was acknowledged is there, of what was under way at most a part; and the ref can be written on."""

        def step(own: Backend, number: int, token: Token) -> Token:
            own.put_objects([new_object(b"%d" % number)])
            return own.append_ref(KEY, token, _line(number))

        last = self._kill(backend, steps, part, step)
        again = self.reopen(backend)
        snapshot = again.read_ref(KEY)
        acknowledged = b"".join(map(_line, range(last + 1)))
        assert snapshot.data[: len(acknowledged)] == acknowledged
        later = b"".join(map(_line, range(last + 1, last + 1000)))
        assert later.startswith(snapshot.data[len(acknowledged) :])
        for number in range(last + 1):
            new = new_object(b"%d" % number)
            assert again.get_object(new.id, size=None, limit=100) == new.data
        again.append_ref(KEY, snapshot.token, b"after\n")
        assert again.read_ref(KEY).data == snapshot.data + b"after\n"

    @pytest.mark.parametrize(("steps", "part"), [(2, 0), (2, 0.5), (7, 0.3), (30, 0.7)])
    def test_killed_while_replacing(self, backend: Backend, steps: int, part: float) -> None:
        """One of the states is there, whole, and none from before the last one that was acknowledged."""

        def step(own: Backend, number: int, token: Token) -> Token:
            return own.replace_ref(KEY, token, _line(number) * (1 + number % 3 * 1000))

        last = self._kill(backend, steps, part, step)
        again = self.reopen(backend)
        snapshot = again.read_ref(KEY)
        number = int(snapshot.data.split(b" ", 1)[0])
        assert snapshot.data == _line(number) * (1 + number % 3 * 1000)
        assert number >= last
        again.replace_ref(KEY, snapshot.token, b"after\n")
        assert [key for key, _ in again.refs()] == [KEY]

    def _kill(self, backend: Backend, steps: int, part: float, step: Callable[[Backend, int, Token], Token]) -> int:
        """Let another process write, kill it within the step after `steps`, and return the last it acknowledged."""
        self.need(backend, "persistent", "forks")
        backend.prepare()
        backend.create_ref(KEY, b"")
        backend.close()

        def work(acknowledge: Callable[[int], None]) -> None:
            own = self.reopen(backend)
            token = own.read_ref(KEY).token
            for number in range(1_000_000):
                token = step(own, number, token)
                acknowledge(number)

        with process_to_kill(work, part=part) as acknowledged:
            for _ in range(steps):
                last = acknowledged()
        return last


def _line(number: int) -> bytes:
    return b"%d %s\n" % (number, b"x" * (number * 37 % 3000))


def _append(backend: Backend, key: RefKey, line: bytes) -> None:
    while True:
        try:
            with backend.hold(key):
                snapshot = backend.read_ref(key)
                # A call that was refused may have had its effect before somebody else's: only reading tells.
                if line not in snapshot.data.splitlines(keepends=True):
                    backend.append_ref(key, snapshot.token, line)
        except RefChangedError:
            continue
        return


def _count_up(backend: Backend) -> None:
    while True:
        snapshot = backend.read_ref(KEY)
        try:
            backend.replace_ref(KEY, snapshot.token, b"%d" % (int(snapshot.data) + 1))
        except RefChangedError:
            continue
        return
