"""The user's code on the way into the store: what sees, changes or refuses a save."""

from __future__ import annotations

from .hooks import PendingSave, SessionHook

__all__ = ["PendingSave", "SessionHook"]
