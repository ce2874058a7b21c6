"""Times as people write and read them; those without a zone are local."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from .exits import USAGE, CommandError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_UNITS = {
    **dict.fromkeys(("s", "sec", "second"), "s"),
    **dict.fromkeys(("m", "min", "minute"), "m"),
    **dict.fromkeys(("h", "hour"), "h"),
    **dict.fromkeys(("d", "day"), "d"),
    **dict.fromkeys(("w", "week"), "w"),
}
_SPAN = re.compile(r"(\d{1,9})\s*([a-z]+?)s?(?:\s+ago)?", re.ASCII)
_SHORT = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)


def moment(text: str, now: datetime | None = None) -> datetime:
    """Return the time that a text means: an ISO date or time, ``2d``, ``3 hours ago``, today, yesterday, now.

    Raises:
        CommandError: it is none of these.
    """
    now = now or datetime.now()
    said = text.strip().lower()
    if said == "now":
        return now
    if said in ("today", "yesterday"):
        day = now.date() - timedelta(days=said == "yesterday")
        return datetime(day.year, day.month, day.day)
    found = _SHORT.fullmatch(said) or _SPAN.fullmatch(said)
    unit = _UNITS.get(found[2]) if found else None
    try:
        if found and unit:
            return now - timedelta(seconds=int(found[1]) * _SECONDS[unit])
        return datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise CommandError(
            f"{text!r} is no time: give 2026-11-01, 2026-11-01T09:30, 2d, '3 hours ago', today or yesterday", USAGE
        ) from None


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago a naive local time was, in a few letters; what is long ago is a date."""
    seconds = (now - moment).total_seconds()
    if seconds < 0 or seconds >= 7 * 86400:
        return moment.strftime("%Y-%m-%d")
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h ago"
    days = (now.date() - moment.date()).days
    return "yesterday" if days == 1 else f"{days} days ago"


def iso(moment: datetime) -> str:
    """Return a naive local time with its zone, to the second."""
    return moment.astimezone().isoformat(timespec="seconds")


def size(count: int) -> str:
    """Return a number of bytes in three or four letters: ``31 kB``, ``1.2 MB``."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.5 or unit == "TB":
            break
    return f"{amount:.1f} {unit}" if amount < 9.95 else f"{amount:.0f} {unit}"
