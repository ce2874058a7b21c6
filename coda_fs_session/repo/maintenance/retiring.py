"""Retiring a replica: from now on nobody waits for it. Its refs and objects stay, and count as before."""

from __future__ import annotations

from dataclasses import replace

from .. import replica_files
from ..lookup.answers import local_moment
from ..repository import Repository
from .replicas import ReplicaInfo, replicas
from .report import RetireReport

QUIET_DAYS = 30
"""Whoever wrote within this time is there, as far as anyone can tell; one that wrote nothing may be all the same."""
_DAY = 86400


def retire(repo: Repository, replica: str, *, force: bool = False, dry_run: bool = True) -> RetireReport:
    """Wait for a replica no longer; see `Maintenance.retire`."""
    known = {each.id: each for each in replicas(repo)}
    info = known.get(replica)
    if info is None:
        raise ValueError(f"no replica {replica!r} has written into this store: replicas() tells which have")
    if info.is_own:
        raise ValueError(f"{replica!r} is this replica, which writes here: retire it on another machine, if it is gone")
    if not info.retired and not force:
        _refuse_if_active(repo, info)
    if not info.retired and not dry_run:
        replica_files.say(repo, lambda said: replace(said, retired=(*said.retired, replica)))
    return RetireReport(info, _last_session(repo, replica), dry_run)


def _refuse_if_active(repo: Repository, info: ReplicaInfo) -> None:
    """Raises ValueError where a replica may still be written to."""
    anyway = "if it is gone for good all the same, call retire(force=True)"
    if info.updated is None:
        raise ValueError(f"nothing tells when the replica {info.id!r} last wrote: {anyway}")
    now = local_moment(int(repo.settings.clock().timestamp() * 1_000_000))
    quiet = (now - info.updated).total_seconds() / _DAY
    if quiet < QUIET_DAYS:
        when = f"{info.updated:%Y-%m-%d %H:%M}, less than {QUIET_DAYS} days ago"
        raise ValueError(f"the replica {info.id!r} has written at {when}: {anyway}")


def _last_session(repo: Repository, replica: str) -> str | None:
    rows = [row for row in repo.index.rows() if (row.replica or row.path.partition("/")[0]) == replica]
    last = max((row for row in rows if row.updated is not None), key=lambda row: row.updated or 0, default=None)
    return None if last is None else last.name
