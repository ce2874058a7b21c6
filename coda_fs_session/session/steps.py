"""What a transaction has collected: each step is a verb of the manager, with what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .session import Session


@dataclass(frozen=True, slots=True, eq=False)
class CreateStep:
    """Keep a session, as it is at the end of the block, under its name, which must be free."""

    session: Session

    @property
    def about(self) -> list[object]:
        """The sessions and names that it is about."""
        return [self.session]


@dataclass(frozen=True, slots=True, eq=False)
class SaveStep:
    """Keep what an open session holds at the end of the block.

    Attributes:
        on_conflict, expected, updated_at: as for `SessionManager.save_session`.
    """

    session: Session
    on_conflict: str | None = None
    expected: str | None = None
    updated_at: datetime | None = None

    @property
    def about(self) -> list[object]:
        return [self.session]


@dataclass(frozen=True, slots=True, eq=False)
class RenameStep:
    """Give a kept session another name."""

    old: str
    new: str

    @property
    def about(self) -> list[object]:
        return [self.old, self.new]


@dataclass(frozen=True, slots=True, eq=False)
class DeleteStep:
    """Forget a session; one that is not there is an error unless `missing_ok`."""

    name: str
    missing_ok: bool = False

    @property
    def about(self) -> list[object]:
        return [self.name]


Step = CreateStep | SaveStep | RenameStep | DeleteStep
