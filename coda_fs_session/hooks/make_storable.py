"""A ready hook that lets no message be refused for what JSON cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import tell, warn
from ..format.jsonable import Change, jsonable
from ..session.session import Session
from .hooks import SessionHook


class MakeStorable(SessionHook):
    """A hook that brings messages into a form that can be stored, by `jsonable`, instead of having them refused.

    For `Session.add_message`, and for `Session.messages` when they are saved. In a message that it changed in the live
    list, the new values stand in memory too. Metadata are not looked at.

    Args:
        changed: called with the session and the changes of a message; without it, they give a `SessionWarning`.
    """

    def __init__(self, changed: Callable[[Session, list[Change]], object] | None = None) -> None:
        self._changed = changed

    def raw_message(self, session: Session, message: Any) -> dict[str, Any] | None:
        """Return the message in a form that can be stored, None for one that needs no other."""
        storable, changes = jsonable(message, "message")
        if not (changes and isinstance(storable, dict)):
            # What is no message even so is refused as ever.
            return None
        if self._changed is not None:
            self._changed(session, changes)
        else:
            _warn(session, changes)
        return storable


def _warn(session: Session, changes: list[Change]) -> None:
    kinds = "; ".join(sorted({f"{change.was} as {change.became}" for change in changes}))
    text = f"session {session.name!r} was given what JSON cannot hold; it is kept in another form: {kinds}"
    try:
        warn(text)
    except Warning:
        # Warnings are errors here. But a turn is not to fail for this.
        tell(text)
