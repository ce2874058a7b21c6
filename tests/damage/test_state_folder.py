"""What a program left in the state folder for the next one, damaged: it is made anew, and no answer changes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from storekit import fill, open_store

from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.machine.kept import keep, kept


def answers(store: Path) -> tuple[Any, ...]:
    """Ask a fresh program about a store."""
    with open_store(store) as manager:
        infos = [
            (info.name, info.message_count, info.metadata, info.size_bytes, info.created_at, info.parent, info.error)
            for info in manager.list_sessions()
        ]
        found = manager.load_session("session-07").get_messages(), "session-03" in manager, "nobody" in manager
        return infos, found


def damaged(good: bytes, rng: random.Random, count: int) -> Iterator[bytes]:
    """Yield a file with one bit flipped, a sector of zeros, or its end cut off."""
    for _ in range(count):
        position = rng.randrange(len(good))
        flipped = bytearray(good)
        flipped[position] ^= 1 << rng.randrange(8)
        yield bytes(flipped)
    for _ in range(count // 10):
        start = rng.randrange(len(good))
        yield good[:start] + bytes(min(512, len(good) - start)) + good[start + 512 :]
        yield good[:start]


@pytest.mark.parametrize("name", ["index.json", "own/.checked", "own/.marker"])
def test_a_damaged_file_changes_no_answer(tmp_path: Path, seed: int, long_size: bool, name: str) -> None:
    """Bug: a flipped bit in the index raised an error in one of four cases, and gave another answer in one of 25."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        for number in range(12):
            fill(manager, f"session-{number:02}", 2)
    # Once files are older than a tick of the clock the next program keeps what it found out.
    deadline = time.monotonic() + 5
    while not list(tmp_path.glob(f"store.state/*/{name}")) and time.monotonic() < deadline:
        answers(store)
    expected = answers(store)
    (path,) = tmp_path.glob(f"store.state/*/{name}")
    good = path.read_bytes()
    for data in damaged(good, random.Random(seed), 1000 if long_size else 40):
        path.write_bytes(data)
        assert answers(store) == expected, data


def test_only_what_was_kept_is_given_back(tmp_path: Path) -> None:
    """Any other bytes, and no file, are nothing: neither another length nor what an earlier version left."""
    path = tmp_path / "kept"
    assert kept(str(path)) is None
    for data in (b"", b"\n", b"some\nlines\n"):
        keep(Files(), str(path), data)
        assert kept(str(path)) == data
    good = path.read_bytes()
    for other in (b"", good[:-1], good + b"\n", good[1:], b"some\nlines\n", bytes(len(good)), good.upper()):
        path.write_bytes(other)
        assert kept(str(path)) is None


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    """The program that finds the index damaged leaves a good one."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        fill(manager, "session-07")
    answers(store)
    (path,) = tmp_path.glob("store.state/*/index.json")
    path.write_bytes(b"\0" * path.stat().st_size)
    answers(store)
    assert kept(str(path))
