"""One history over every backend: the same bytes under the same names, so the same ids and chain hashes."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime

import pytest
from simulator.places import DiskPlace, MemoryPlace
from simulator.steps import History, random_history
from simulator.world import OpenPlace, World

from coda_fs_session.backends.base import Backend, MachineState, NewObject, RefKey
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.sqlite.backend import SqliteBackend


class DatabasePlace(DiskPlace):
    """A store in a database, with its state beside it. What would be a file is a row, which can be carried like one."""

    def __init__(self, replica: str, clock: Callable[[], datetime]) -> None:
        super().__init__(replica, clock)
        self._backend = SqliteBackend(self.store, files=Files(durable=False))
        self._backend.prepare()

    def files(self) -> dict[str, bytes]:
        backend = self._backend
        found = {f"refs/{key.path}": backend.read_ref(key).data for key, _ in backend.refs()}
        for identity, _ in backend.objects():
            found[f"objects/{identity[:2]}/{identity}.jsonl"] = backend.get_object(identity, size=None, limit=2**30)
        return found

    def put(self, path: str, data: bytes, *, in_place: bool = False) -> None:
        kind, _, rest = path.partition("/")
        if kind == "objects":
            self._backend.put_objects([NewObject(rest.rpartition("/")[2].removesuffix(".jsonl"), data)])
            return
        key = RefKey(rest)
        token = self._backend.ref_tokens().get(rest)
        if token is None:
            self._backend.create_ref(key, data)
        else:
            self._backend.replace_ref(key, token, data)

    def remove(self, path: str) -> None:
        # Around the backend, which has no verb for it: nobody has to take a ref out of a database.
        with closing(sqlite3.connect(self.store / "sessions.db")) as database, database:
            (ref,) = database.execute("SELECT id FROM refs WHERE path = ?", [path.removeprefix("refs/")]).fetchone()
            for table, column in (("sessions", "ref"), ("ref_lines", "ref"), ("refs", "id")):
                database.execute(f"DELETE FROM {table} WHERE {column} = ?", [ref])
            database.execute("UPDATE store SET changed = changed + 1")

    def copied(self, replica: str, clock: Callable[[], datetime], order: Iterable[str]) -> DatabasePlace:
        copy, files = DatabasePlace(replica, clock), self.files()
        for path in order:
            copy.put(path, files[path])
        return copy

    def close(self) -> None:
        self._backend.close()
        super().close()

    def _open(self) -> tuple[Backend, MachineState]:
        state = self._state()
        return SqliteBackend(self.store, files=Files(durable=False)), state


PLACES: dict[str, OpenPlace] = {"files": DiskPlace, "sqlite": DatabasePlace}


def stored_after(history: History, place: OpenPlace) -> list[dict[str, bytes]]:
    """Run a history, every promise checked after each step, and return what each replica has then."""
    world = World(history.replicas, place=place)
    try:
        for step in history.steps:
            world.do(step)
        world.finish()
        return [replica.place.files() for replica in world.replicas]
    finally:
        world.close()


@pytest.mark.parametrize("kind", PLACES)
def test_the_same_history(kind: str, seed: int, long_size: bool) -> None:
    """Whatever people and sync tools do, each backend holds after it, byte for byte, what memory does."""
    kinds = set[str]()
    for number in range(seed, seed + (400 if long_size else 5)):
        history = random_history(random.Random(number))
        expected, actual = stored_after(history, MemoryPlace), stored_after(history, PLACES[kind])
        assert actual == expected, f"seed {number}: {history.script()}"
        kinds.update(path.partition("/")[0] for files in actual for path in files)
    assert kinds == {"refs", "objects"}
