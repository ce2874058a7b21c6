"""What a replica shows: every session with its messages, as plain values that can be compared."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import orjson

from coda_fs_session.errors import SessionError, SessionWarning
from coda_fs_session.manager.manager import SessionManager
from coda_fs_session.session.info import SessionInfo
from coda_fs_session.session.session import Session


@dataclass(frozen=True)
class Shown:
    """One session of a list.

    Attributes:
        info: what the list says of it; an error by its type, since its text may name a folder.
        label: the name that it is written under.
        lines: its messages as JSON lines; None where they cannot be read, for which `failure` is the type of error.
    """

    info: dict[str, Any]
    label: str
    lines: tuple[bytes, ...] | None
    failure: str | None = None


View = dict[str, Shown]
"""What is shown, by name."""


def lines_of(session: Session) -> tuple[bytes, ...]:
    """Return a session's messages as the format has them.

    Raises:
        SessionError: they cannot be read.
    """
    return tuple(orjson.dumps(message) for message in session.get_messages())


def plain(info: SessionInfo) -> dict[str, Any]:
    """Return what a list says of a session, comparable between machines."""
    plain = {**vars(info), "error": info.error and type(info.error).__name__}
    # What this machine's own record says is no part of what the files say.
    del plain["reverted"]
    return plain


def view_of(manager: SessionManager) -> View:
    """List every session and load it.

    Raises:
        AssertionError: a name is listed twice.
    """
    view: View = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        for info in manager.list_sessions():
            assert info.name not in view, f"{info.name!r} is listed twice"
            lines, failure = None, None
            try:
                lines = lines_of(manager.load_session(info.name))
            except SessionError as error:
                failure = type(error).__name__
            view[info.name] = Shown(plain(info), info.diverged_from or info.name, lines, failure)
    return view
