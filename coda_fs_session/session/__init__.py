"""What a user holds: a session, the list of its messages, and its metadata."""

from __future__ import annotations

from .info import SessionInfo
from .session import Session

__all__ = ["Session", "SessionInfo"]
