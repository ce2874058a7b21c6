"""What replicas say of themselves, carried by a sync as refs are."""

from __future__ import annotations

from ...format.replica_file import ReplicaFile, encode_replica_file
from .. import replica_files
from .side import Side


def exchange(ours: Side, theirs: Side) -> None:
    """Let each side that receives know what replicas have said on the other one.

    The file of a side's own replica is left to that: it has a record of what it said.
    """
    here, there = (_read(side) for side in (ours, theirs))
    for side, known, other in ((ours, here, there), (theirs, there, here)):
        if not side.receives:
            continue
        own = replica_files.own_id(side.repo)
        for replica, said in other.items():
            before = known.get(replica, ReplicaFile(replica))
            if replica != own and not before.contains(said):
                side.write_replica_file(replica, encode_replica_file(before.united(said)))


def _read(side: Side) -> dict[str, ReplicaFile]:
    found = replica_files.read_all(side.repo)
    for error in found.unread.values():
        side.note_problem(error)
    return found.said
