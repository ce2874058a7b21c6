"""What the command says of an error: in its own words, and counted as people count."""

from __future__ import annotations

import re

from .exits import CommandError

_INDEX = re.compile(r"\bmessages\[(\d+)\]")


def text_of(error: Exception) -> str:
    """Return what to say of an error, "" for one that nobody foresaw."""
    if isinstance(error, CommandError):
        return str(error)
    from .. import SessionError, SessionExistsError, SessionNotFoundError

    if isinstance(error, FileExistsError) and "overwrite" in str(error):
        return f"{error.filename} is there: --overwrite replaces it"
    if isinstance(error, SessionNotFoundError) and "list_sessions()" in str(error):
        return f"there is no session {error.name!r}"
    if isinstance(error, SessionExistsError):
        return str(error).partition(", or load_session(")[0]
    if isinstance(error, SessionError):
        # The library counts from 0, and the command from 1.
        return _INDEX.sub(lambda match: f"message {int(match[1]) + 1}", str(error))
    return str(error) if isinstance(error, OSError) else ""


def counted(number: int, noun: str) -> str:
    """Return a number of things: ``1 message``, ``1,204 messages``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short(error: Exception) -> str:
    """Return the same for one of several things that were to be done; an error that nobody foresaw is raised."""
    text = text_of(error)
    if not text:
        raise error
    return text
