"""Times as sources write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(2015, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""A time outside these is a wrong clock, or no time."""
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d)?\Z")


def moment(value: Any) -> datetime | None:
    """Return a time with its zone, local time where it has none; None for what is no time of the years 2015 to 2099.

    Args:
        value: seconds, milliseconds, microseconds or nanoseconds since 1970, or a text of ISO 8601.
    """
    read = _read(value)
    if read is None:
        return None
    try:
        read = read.astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return read if FIRST <= read < LAST else None


def stamp(value: Any) -> str | None:
    """Return a time as a message has it: UTC in ISO 8601. One without a zone stays as it is, and bad ones are None."""
    return stamped(value)[0]


def stamped(value: Any) -> tuple[str | None, bool]:
    """Return a time as a message has it, and whether that says all that the source does: see `stamp`."""
    read = _read(value)
    if read is None:
        return None, False
    if read.tzinfo is None:
        return (value, True) if moment(value) else (None, False)
    if not FIRST <= read < LAST:
        return None, False
    text = iso(read)
    if isinstance(value, str):
        return text, text == value
    return text, _unit(value) == 1 and (read - _EPOCH).total_seconds() == value


def iso(time: datetime) -> str:
    """Return a moment in UTC, as ``2024-05-17T12:30:00Z``, with as many decimals as it has."""
    text = (time if time.tzinfo is UTC else time.astimezone(UTC)).isoformat().removesuffix("+00:00")
    return f"{text.rstrip('0') if '.' in text else text}Z"


def _read(value: Any) -> datetime | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return _EPOCH + timedelta(seconds=value / _unit(value))
        except (OverflowError, ValueError):
            return None
    match = _ISO.match(value) if isinstance(value, str) and len(value) < 64 else None
    if match is None:
        return None
    day, time, decimals, zone = match.groups()
    text = f"{day}T{time}{':00' if len(time) == 5 else ''}.{(decimals or '0')[:6]:0<6}{zone or ''}"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _unit(value: float) -> float:
    if abs(value) < _UNITS[-1][0]:
        return 1
    return next((unit for least, unit in _UNITS if abs(value) >= least), 1)
