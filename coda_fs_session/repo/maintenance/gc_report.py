"""What gc has found, and what it has done, or would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class GcAmount:
    """How many files there are of something, and the bytes that they take up."""

    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class GcReport:
    """What a gc has done, or would do.

    Attributes:
        freed: files that were deleted; condemned: files that one of the next runs deletes, if nothing needs them then.
        kept: the others, by what keeps them: "sessions" as they are, "history" of sessions, "replicas" that name them,
            or "grace": nothing needs these, and they stay until the grace has passed.
        waiting_for: the ids of other replicas that have not acknowledged what this one has condemned: as long as there
            are any, nothing of that is deleted, and nothing else condemned. waiting_since: when it was condemned, as
            far as that is known.
        blocked: what is damaged or missing, so that nobody can tell what is needed: as long as there is anything,
            nothing is condemned and nothing deleted.
        dry_run: nothing was done.
    """

    freed: GcAmount
    condemned: GcAmount
    kept: Mapping[str, GcAmount]
    waiting_for: tuple[str, ...]
    waiting_since: datetime | None
    blocked: tuple[str, ...]
    dry_run: bool
