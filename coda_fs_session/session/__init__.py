"""What a user holds: a session, the list of its messages, and its metadata."""

from __future__ import annotations

from .session import Session, SessionInfo

__all__ = ["Session", "SessionInfo"]
