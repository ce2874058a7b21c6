"""Folders as fixtures: what is in them, and where two of them differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zstandard


def plain_files(root: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path; a compressed one with its plain bytes."""
    files = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            compressed = path.suffix == ".zst"
            files[path.relative_to(root).as_posix()] = zstandard.decompress(data) if compressed else data
    return files


def differences(old: Path, new: Path) -> list[str]:
    """Return what differs between two folders, or two files."""
    if not old.exists():
        return ["missing"]
    if new.is_file():
        return [] if old.read_bytes() == new.read_bytes() else ["changed"]
    before, after = plain_files(old), plain_files(new)
    return [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
