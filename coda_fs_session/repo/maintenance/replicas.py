"""Which replicas have a share in a store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .. import replica_files
from ..lookup.answers import local_moment
from ..repository import Repository


@dataclass(frozen=True, slots=True)
class ReplicaInfo:
    """What a store holds of one replica: one store folder on one machine for one user.

    Attributes:
        id: what it goes by; also the name of its folder of refs.
        is_own: it is the one that this manager writes as.
        refs: how many refs it has, those of deleted sessions included; bytes: their size.
        updated: the latest change of a session that it wrote, in local time. None where none of its refs can be read.
        unreadable: how many of its refs cannot be read.
        retired: nobody waits for it any more, as `Maintenance.retire` was told.
    """

    id: str
    is_own: bool = False
    refs: int = 0
    bytes: int = 0
    updated: datetime | None = None
    unreadable: int = 0
    retired: bool = False


def replicas(repo: Repository) -> list[ReplicaInfo]:
    """Return what refs and replica files tell of each replica, by its id; see `Maintenance.replicas`."""
    said = replica_files.read_all(repo)
    retired = {each for one in said.said.values() for each in one.retired}
    rows = repo.index.rows()
    repo.index.keep()
    own = replica_files.own_id(repo)
    there = (*said.said, *said.unread)
    found = {each: ReplicaInfo(each, is_own=each == own, retired=each in retired) for each in there}
    latest: dict[str, int] = {}
    for row in rows:
        # Of one that cannot be read the folder tells.
        replica = row.replica or row.path.partition("/")[0]
        before = found.get(replica, ReplicaInfo(replica))
        if row.updated is not None:
            latest[replica] = max(row.updated, latest.get(replica, row.updated))
        found[replica] = ReplicaInfo(
            replica,
            is_own=replica == own,
            refs=before.refs + 1,
            bytes=before.bytes + row.token.size,
            updated=local_moment(latest[replica]) if replica in latest else None,
            unreadable=before.unreadable + (row.updated is None),
            retired=replica in retired,
        )
    return [found[replica] for replica in sorted(found)]
