"""The layout in CONTRIBUTING is that of the package."""

from __future__ import annotations

import re

from .manual import CONTRIBUTING, PACKAGE

LAYOUT = CONTRIBUTING.read_text(encoding="utf-8").split("\n## Layout\n")[1].split("\n## ")[0]
ROOMS = [
    room for row in re.findall(r"^\| (`.*?`) \|", LAYOUT, re.MULTILINE) for room in re.findall(r"`([\w/.]+)`", row)
]


def test_what_is_listed_is_there() -> None:
    """A room that moves takes its line with it."""
    assert len(ROOMS) > 15
    assert [room for room in ROOMS if not (PACKAGE / room).exists()] == []


def test_every_room_is_listed() -> None:
    """A room of its own has a line, or is a part of one that has."""
    folders = [path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    listed = {room.rstrip("/") for room in ROOMS}
    assert [str(folder) for folder in folders if not {str(folder), *map(str, folder.parents)} & listed] == ["repo"]
