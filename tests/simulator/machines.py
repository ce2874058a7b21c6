"""The machines of a history: each with a clock, a place and a user who has sessions open."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from coda_fs_session.manager.manager import SessionManager
from coda_fs_session.repo.reverts.put_back import put_back
from coda_fs_session.repo.storage import engine_of
from coda_fs_session.session.session import Session

from .places import Place
from .reader import StoredRef
from .views import View

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


class Clock:
    """A machine's idea of the time: hours away from that of others, and a second later at each step.

    However often it is asked: those who read look at it too, and how often they do is not the same with every backend.
    """

    def __init__(self, hours: float) -> None:
        self._now = _EPOCH + timedelta(hours=hours)

    def tick(self) -> None:
        self._now += timedelta(seconds=1)

    def __call__(self) -> datetime:
        return self._now


@dataclass
class Replica:
    """A machine with its place, and the sessions that its user has open.

    Attributes:
        reverted: an older copy was put over a file of its own, and no manager was opened nor anything written since.
    """

    number: int
    clock: Clock
    place: Place
    manager: SessionManager
    held: list[Session] = field(default_factory=list)
    view: View = field(default_factory=dict)
    refs: dict[str, StoredRef] = field(default_factory=dict)
    reverted: bool = False

    def reopen(self) -> None:
        """Let another process take over: what it opens is fresh, and nothing is known but what is stored."""
        self.held = []
        self.manager = self.place.manager()
        if self.reverted and (engine := engine_of(self.manager._storage)) is not None:
            # As the next save does: opening alone sees no ref that was overwritten in place.
            put_back(engine.repo)
        self.reverted = False
