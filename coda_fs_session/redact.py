"""`Redact` by its short name: it lives in `hooks.redact`."""

from __future__ import annotations

from .hooks.redact import Redact

__all__ = ["Redact"]
