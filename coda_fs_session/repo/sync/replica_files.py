"""What replicas say of themselves, carried by a sync as refs are."""

from __future__ import annotations

from typing import Any

from ...format.replica_file import ReplicaFile, encode_replica_file
from .. import replica_files
from .memory import digest
from .side import Side


def exchange(ours: Side, theirs: Side) -> dict[str, list[Any]]:
    """Let each side that receives know what replicas have said on the other one.

    The file of a side's own replica is left to that: it has a record of what it said.

    Returns:
        By replica, where both sides have its file alike now: the sign of it there, and a hash of the one here.
    """
    here, there = ours.said(), theirs.said()
    for side, known, other in ((ours, here, dict(there)), (theirs, there, dict(here))):
        if not side.receives:
            continue
        own = None if side.costly else replica_files.own_id(side.repo)
        for replica, said in other.items():
            before = known.get(replica, ReplicaFile(replica))
            if replica == own or replica in theirs.known or before.contains(said):
                continue
            united = before.united(said)
            if side.write_replica_file(replica, encode_replica_file(united)):
                known[replica] = united
                if side is theirs:
                    # What changes when it does is not known of one that was just written.
                    theirs.files[replica] = None
    return {
        replica: [list(sign), digest(encode_replica_file(here[replica]))]
        for replica, sign in theirs.files.items()
        if sign is not None and replica in here and (replica in theirs.known or here[replica] == there.get(replica))
    }


def hashes(side: Side) -> dict[str, str]:
    """Return a hash of each replica file of a side."""
    return {replica: digest(encode_replica_file(said)) for replica, said in side.said().items()}
