"""Rows in columns: aligned and cut to the width of a terminal, or whole and between tabs for a pipe."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from .safe import safe_line
from .times import ago, iso

if TYPE_CHECKING:
    from .output import Output

_GAP = 2
_LEAST = 8


class Column(NamedTuple):
    """One column.

    Attributes:
        title: what stands above it; shown, plain: make text of a value, for a terminal and for a pipe.
        right: numbers stand at the right; cut: what is too wide is cut here first.
    """

    title: str
    shown: Callable[[Any], str] = str
    plain: Callable[[Any], str] = str
    right: bool = False
    cut: bool = False


def moments(title: str) -> Column:
    """Return a column of times: how long ago for a person, ISO for a program; one that is not known is None."""
    now = datetime.now()
    return Column(
        title, lambda moment: ago(moment, now) if moment else "?", lambda moment: iso(moment) if moment else ""
    )


def write_table(out: Output, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows of values."""
    if not out.terminal:
        for row in rows:
            out.write("\t".join(safe_line(each.plain(value)) for each, value in zip(columns, row, strict=True)) + "\n")
        return
    shown = [[safe_line(column.shown(value)) for column, value in zip(columns, row, strict=True)] for row in rows]
    if not shown:
        return
    titles = [column.title for column in columns]
    widths = [max(width(cell) for cell in cells) for cells in zip(titles, *shown, strict=True)]
    _narrow(widths, columns, out.width)
    out.write(out.dim(_line(titles, columns, widths)) + "\n")
    for cells in shown:
        out.write(_line(cells, columns, widths) + "\n")


def _narrow(widths: list[int], columns: Sequence[Column], room: int) -> None:
    """Make columns narrower until all have room: those that may be cut, and the widest of them first."""
    excess = sum(widths) + _GAP * (len(widths) - 1) - room
    first = [place for place, column in enumerate(columns) if column.cut]
    for places, least in ((first, _LEAST), (range(len(columns)), 1)):
        while excess > 0:
            widest = max(places, key=lambda place: widths[place], default=None)
            if widest is None or widths[widest] <= least:
                break
            widths[widest] -= 1
            excess -= 1


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts = []
    for cell, column, room in zip(cells, columns, widths, strict=True):
        fitted = cut(cell, room)
        padding = " " * (room - width(fitted))
        parts.append(padding + fitted if column.right else fitted + padding)
    return (" " * _GAP).join(parts).rstrip()


def width(text: str) -> int:
    """Return how many places a text takes on a terminal: East Asian signs take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(map(_places, text))


def _places(sign: str) -> int:
    if sign.isascii():
        return 1
    if unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def cut(text: str, room: int) -> str:
    """Return a text that takes no more than so many places, with … in place of what is cut off."""
    if width(text) <= room:
        return text
    left = max(room - 1, 0)
    kept = []
    for sign in text:
        left -= _places(sign)
        if left < 0:
            break
        kept.append(sign)
    return "".join(kept) + "…" if room > 0 else ""
