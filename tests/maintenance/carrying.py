"""Machines with a store each, between which a tool carries files, and deletions if it is one that does."""

from __future__ import annotations

import shutil
from pathlib import Path

from coda_fs_session.format.lists import encode_list
from coda_fs_session.format.replica_file import ReplicaFile, encode_replica_file, parse_replica_file
from coda_fs_session.repo.repository import Repository

from .collecting import Collector


class Carrier:
    """A tool that goes by what both had the last time, as Unison does; or that copies only, as rsync does.

    Each replica's folder of refs goes from the machine that writes it.
    """

    def __init__(self, one: Collector, two: Collector, *, deletes: bool = True) -> None:
        self._sides = (one, two)
        self._deletes = deletes
        self._both: set[str] = set()

    def carry(self) -> None:
        one, two = self._sides
        for source, target in ((one, two), (two, one)):
            for path in files_in(source.store):
                if path.startswith("refs/") and path.split("/")[1] == target.options["replica"]:
                    continue
                where = target.store / path
                is_gone = self._deletes and path in self._both and not where.exists()
                if is_gone:
                    (source.store / path).unlink()
                elif not where.exists() or path.startswith("refs/"):
                    where.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source.store / path, where)
        self._both = files_in(one.store) & files_in(two.store)


def files_in(store: Path) -> set[str]:
    return {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}


def object_names(store: Path) -> set[str]:
    return {path for path in files_in(store) if path.startswith("objects/")}


def said_by(collector: Collector, replica: str) -> ReplicaFile:
    """Return what a replica says in a store."""
    path = collector.store / "refs" / replica / "replica.json"
    return parse_replica_file(path.read_bytes(), replica, path) if path.exists() else ReplicaFile(replica)


def condemn_all(repo: Repository, *, done: bool = False) -> frozenset[str]:
    """Let another machine have condemned every file of an object that is here; return their names."""
    names = {each.name for each in repo.backend.stored_objects()}
    data = encode_list(names)
    new = repo.objects.new_chunk([data.rstrip(b"\n")])
    assert new.data == data
    repo.objects.put([new])
    said = ReplicaFile("laptop", 1, done=(new.id,)) if done else ReplicaFile("laptop", 1, condemned=new.id)
    repo.backend.write_replica_file("laptop", encode_replica_file(said))
    return frozenset(names)
