"""Folders as fixtures: what is in them, and where two of them differ."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import zstandard


def plain_files(root: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path; a compressed one with its plain bytes."""
    files = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            if path.suffix == ".db":
                files |= _content(path, path.relative_to(root).as_posix())
                continue
            data = path.read_bytes()
            compressed = path.suffix == ".zst"
            files[path.relative_to(root).as_posix()] = zstandard.decompress(data) if compressed else data
    return files


def _content(path: Path, name: str) -> dict[str, bytes]:
    """Return what a database of ours holds, by table and key, without the numbers that are drawn when it is made."""
    found = {}
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()
        found[f"{name}:version"] = repr(version).encode()
        lines = "SELECT path, position, data FROM ref_lines JOIN refs ON refs.id = ref ORDER BY path, position"
        for ref, position, data in connection.execute(lines):
            found[f"{name}:refs/{ref}, {position}"] = data
        for identity, form, data in connection.execute("SELECT id, form, data FROM objects"):
            found[f"{name}:objects/{identity}, {form}"] = zstandard.decompress(data) if form == "zstd" else data
        for replica, data in connection.execute("SELECT replica, data FROM replica_files"):
            found[f"{name}:replica_files/{replica}"] = data
        for row in connection.execute("SELECT path, sessions.* FROM sessions JOIN refs ON refs.id = ref"):
            found[f"{name}:sessions/{row[0]}"] = repr(row[2:]).encode()
    return found


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
