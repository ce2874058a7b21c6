"""When a message says that it was written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .bodies import body

_KEYS = ("timestamp", "created_at", "createdAt", "create_time", "time", "date", "created")
_TELLING = frozenset((*_KEYS, "metadata", "info"))
_SECONDS, _MILLISECONDS = 10**8, 10**11
"""Numbers from the first on are seconds since 1970, from the second on milliseconds: of 1973 and later."""
_LARGEST = 10**14


def time(message: dict[str, Any]) -> datetime | None:
    """Return when a message says that it was written, in UTC; None where it says nothing that is a time.

    A time without a zone is taken for UTC.
    """
    if message.get("content") and _TELLING.isdisjoint(message):
        # Most messages are like that: they say nothing of it, and wrap no other one.
        return None
    for key in _KEYS:
        value = message.get(key)
        if value is not None and (found := _moment(value)) is not None:
            return found
    for holder in (body(message), message.get("metadata"), message.get("info")):
        if isinstance(holder, dict) and holder is not message:
            for key in _KEYS:
                value = holder.get(key)
                if value is not None and (found := _moment(value)) is not None:
                    return found
    return None


def _moment(value: Any) -> datetime | None:
    try:
        if isinstance(value, str):
            if len(value) < len("2000-01-01") or not value[:4].isdigit():
                return None
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and _SECONDS <= value < _LARGEST:
            return datetime.fromtimestamp(value if value < _MILLISECONDS else value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
