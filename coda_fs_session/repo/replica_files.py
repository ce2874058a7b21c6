"""What replicas say of themselves to each other: reading it, and writing our own.

A replica never takes back what it has said, as others have counted on it. So what it says is in the record of this
machine before it is in the store, and is put back where the file is an older one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from ..backends.base import RefKey
from ..errors import CorruptionError, StoreError
from ..format.replica_file import ReplicaFile, encode_replica_file, parse_replica_file
from .repository import Repository

_LOCK = ".replica-file"


class ReplicaFiles(NamedTuple):
    """What the replica files of a store say.

    Attributes:
        said: what each replica says, by its id; unread: why a file could not be read.
    """

    said: dict[str, ReplicaFile]
    unread: dict[str, StoreError]


def read_all(repo: Repository) -> ReplicaFiles:
    """Return what each replica says that has a file here.

    Raises:
        StoreError: they cannot be listed.
    """
    return read_some(repo, sorted(repo.backend.replica_files()))


def read_some(repo: Repository, replicas: Iterable[str]) -> ReplicaFiles:
    """Return what these replicas say."""
    found = ReplicaFiles({}, {})
    for replica in replicas:
        try:
            said = read_said(repo, replica)
        except StoreError as error:
            found.unread[replica] = error
        else:
            if said is not None:
                found.said[replica] = said
    return found


def read_said(repo: Repository, replica: str) -> ReplicaFile | None:
    """Return what a replica says in the store, None where it has no file.

    Raises:
        CorruptionError: the file is damaged.
        StoreError: it is of a newer version, or cannot be read.
    """
    data = repo.backend.read_replica_file(replica)
    return None if data is None else parse_replica_file(data, replica, place_of(repo, replica))


def place_of(repo: Repository, replica: str) -> str:
    """Return where a replica file is, for people to read."""
    return repo.backend.locate(RefKey(f"{replica}/replica.json"))


def own_said(repo: Repository) -> ReplicaFile | None:
    """Return what this replica has said, by the record of this machine and the store; None before its first write.

    Raises:
        StoreError: the file is of a newer version, or cannot be read.
    """
    replica = own_id(repo)
    return None if replica is None else _known(repo, replica)


def own_id(repo: Repository) -> str | None:
    """Return this replica's id, be it one that has no refs; None as long as it has written nothing."""
    return repo.replica or repo.machine.replica(repo.backend.replica_files())


def say(repo: Repository, change: Callable[[ReplicaFile], ReplicaFile]) -> ReplicaFile:
    """Say something more as this replica, durably, and return all that it says then.

    Where `change` changes nothing, and the store has it, nothing is written. A process that is killed in between has
    said it or not; whoever calls it again goes on.

    Args:
        change: gets what the replica has said so far, and returns what it is to say; it never takes anything out.

    Raises:
        StoreError: it cannot be written.
    """
    with repo.writing() as replica, repo.machine.lock(_LOCK):
        before = _known(repo, replica)
        after = change(before)
        if after != before:
            after = replace(after, writes=before.writes + 1)
        _write(repo, after)
        return after


def put_said_back(repo: Repository) -> None:
    """Let the store have again what this replica has said, where a tool or a backup took it back.

    Raises:
        StoreError: the store cannot be written, or the file is of a newer version.
    """
    replica = own_id(repo)
    if replica is not None and repo.machine.record.replica_file(replica) is not None:
        with repo.machine.lock(_LOCK):
            _write(repo, _known(repo, replica))


def _known(repo: Repository, replica: str) -> ReplicaFile:
    known = ReplicaFile(replica)
    recorded = repo.machine.record.replica_file(replica)
    if recorded is not None:
        with suppress(CorruptionError):
            known = parse_replica_file(recorded, replica, "the record")
    # One that is damaged is written anew; what only it had said is lost with it.
    with suppress(CorruptionError):
        there = read_said(repo, replica)
        if there is not None:
            known = known.united(there)
    return known


def _write(repo: Repository, said: ReplicaFile) -> None:
    data = encode_replica_file(said)
    if repo.machine.record.replica_file(said.replica) != data:
        # First: who is killed before the next line may have been heard by then, and must not forget it.
        repo.machine.record.keep_replica_file(said.replica, data)
    if said.writes and repo.backend.read_replica_file(said.replica) != data:
        repo.backend.write_replica_file(said.replica, data)
