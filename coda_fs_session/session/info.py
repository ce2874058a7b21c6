"""What is told of a session that nobody has loaded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import SessionError

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass
class SessionInfo:
    """What is known of a session without loading its messages.

    `created` and `updated` are the two times in UTC.

    Attributes:
        created_at, updated_at: naive local time; see `created` for the hour that comes twice.
        size_bytes: logical size of the messages as JSON lines; `SessionManager.stats` tells the use of the disk.
        parent: the session it was branched from; forked_at: how many messages it took over.
        replica: which replica wrote the newest state.
        error: why the session cannot be loaded, or may lack what a damaged file held; None for a good one.
        diverged_from: the name that the session was written under, where it goes by a derived one because another
            machine continued that name differently.
        undecided: something that has not arrived yet would tell whether it continues another session, or that it.
        survived_delete: it was deleted on one machine, and continued on another that did not know.
        reverted: this machine had saved more, and an older copy has come to stand in the store; what is missing is put
            back when a manager opens the store or writes to the session.
        sides: what the other sides of the same conversation go by, the one that kept the name first: sessions of one
            name, or of a name that one of them had, that were continued (or begun) apart on several machines.
        diverged_at: how many messages the last state had that it and all its sides went through; None where there are
            none. A branch is no side: `forked_at` is where that began.
    """

    name: str
    message_count: int
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any]
    size_bytes: int
    parent: str | None = None
    forked_at: int | None = None
    replica: str | None = None
    error: SessionError | None = None
    diverged_from: str | None = None
    undecided: bool = False
    survived_delete: bool = False
    reverted: bool = False
    sides: tuple[str, ...] = ()
    diverged_at: int | None = None

    @property
    def created(self) -> datetime:
        """When the session was created, in UTC.

        It is made of `created_at`. Where a local time comes twice, as when summer time ends, its `fold` tells which of
        the two is meant: what a manager returns has that. Without it, as from text, it is the first one.
        """
        return self.created_at.astimezone(UTC)

    @property
    def cursor(self) -> str:
        """What tells `SessionManager.list_sessions` to go on after this session: an opaque text, for `after`."""
        times = f"{microseconds_of(self.created_at)}.{microseconds_of(self.updated_at)}"
        return f"{times}.{self.size_bytes}.{self.name}"

    @property
    def updated(self) -> datetime:
        """When messages or metadata last changed, in UTC; made of `updated_at` as `created` is of `created_at`."""
        return self.updated_at.astimezone(UTC)


def microseconds_of(moment: datetime) -> int:
    """Return a moment counted from 1970-01-01 UTC; a naive one is local time."""
    try:
        return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (OverflowError, ValueError, OSError):
        # A storage of a program's own may tell times that no zone has.
        return (moment.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
