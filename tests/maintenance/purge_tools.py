"""How files get from one store to the other in random histories with purges."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def carry_one(tool: str, both: dict[str, bytes | None], one: Path, other: Path, path: str) -> None:
    """Copy what is newer, or as Unison: what is as it was the last time gives way, one that is gone too."""
    mine, yours = read(one), read(other)
    if mine == yours:
        both[path] = mine
        return
    newer = mine is not None and (yours is None or one.stat().st_mtime_ns >= other.stat().st_mtime_ns)
    if tool == "copying":
        takes_mine = newer
        if not newer and mine is not None:
            return
    else:
        was = both.get(path)
        takes_mine = yours == was if was in (mine, yours) else newer
    data = mine if takes_mine else yours
    if tool == "copying" and data is None:
        return
    write(other if takes_mine else one, data)
    both[path] = data


def files(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}


def read(path: Path) -> bytes | None:
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def write(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".new-{path.name}")
    new.write_bytes(data)
    new.replace(path)
