"""The front: what a program calls."""

from __future__ import annotations

from .manager import SessionManager

__all__ = ["SessionManager"]
