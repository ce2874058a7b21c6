"""Passing over what did not change."""

from __future__ import annotations

from collections.abc import Callable

Skips = Callable[[str], bool]
"""Tells by a hash of the bytes of a chat whether it need not be read; each that is skipped is counted by that."""


def nothing(_raw: str) -> bool:
    """Skip nothing."""
    return False
