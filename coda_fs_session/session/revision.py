"""The revision of a session that a storage keeps whole, told by its content."""

from __future__ import annotations

from ..format.revisions import revision_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .session import Session


def saved_revision(session: Session) -> str:
    """Return the revision of what is saved of an open session, by its content.

    Raises:
        UnsupportedError: it held values of other types than JSON has.
    """
    state = session._state
    return revision_of(state.copy.saved_lines(), state.metadata.saved)


def whole_revision(session: Session) -> str:
    """Return the revision that all of a session will have once it is saved, by its content."""
    state = session._state
    return revision_of(state.copy.lines(), state.metadata.everything())
