"""What the verbs of a manager check of their arguments, before they do anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from ..session.session import Session

OnConflict = Literal["append", "branch", "raise"]


def checked_save(
    session: Session, on_conflict: object, expected: object, updated_at: datetime | None
) -> datetime | None:
    """Check what a save is given, and return its time.

    Raises:
        TypeError, ValueError: an argument is not possible.
    """
    # Late, as in `late`, of which this knows nothing.
    from ..session.session import Session

    if not isinstance(session, Session):
        raise TypeError(f"save_session takes a Session, not {type(session).__name__}")
    if on_conflict not in (None, "append", "branch", "raise"):
        raise ValueError(f'on_conflict must be "append", "branch" or "raise", not {on_conflict!r}')
    if not isinstance(expected, str | None):
        raise TypeError(f"expected must be the revision of a session, not {type(expected).__name__}")
    if updated_at is None:
        return None
    from ..format.records import given_time

    return given_time(updated_at, "updated_at")


def checked_at(at: int | None, parent: Session) -> int | None:
    """Return where to branch, if that is possible.

    Raises:
        ValueError: it is not.
    """
    if at is not None and (type(at) is not int or not 0 <= at <= len(parent)):
        raise ValueError(f"at must be 0 to {len(parent)}, the length of {parent.name!r}, not {at!r}")
    return at
