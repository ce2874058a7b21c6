"""What a program left in the state folder for the next one, damaged: it is made anew, and no answer changes."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from storekit import fill, open_store

from coda_fs_session.backends.base import RefKey, Snapshot
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.machine.kept import keep, kept
from coda_fs_session.repo.index.file import decode_part, topic_of


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


PART = "index/" + 16 * "[0-9a-f]" + ".json"


@pytest.mark.parametrize("name", ["index.json", PART, "index/listing.json", "own/.agreeing/*", "own/.marker"])
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
    path = max(tmp_path.glob(f"store.state/*/{name}"), key=lambda path: path.stat().st_size)
    good = path.read_bytes()
    for data in damaged(good, random.Random(seed), 1000 if long_size else 40):
        path.write_bytes(data)
        assert answers(store) == expected, data


@pytest.mark.parametrize("content", [b"", b"\0" * 100, None], ids=["empty", "zeros", "gone"])
def test_only_a_damaged_part_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """The refs of the one folder that it is of; what is in others is as good as before."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        for number in range(12):
            fill(manager, f"session-{number:02}", 2)
    refs = sorted((store / "refs").rglob("*.jsonl"), key=lambda path: path.name)
    (replica,) = (store / "refs").iterdir()
    for number, path in enumerate(refs):
        folder = replica / f"{number % 3:02x}"
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    # What the record has is where it was.
    for record in tmp_path.glob("store.state/*/own"):
        shutil.rmtree(record)
    time.sleep(0.1)
    for _ in range(2):
        with open_store(store) as manager:
            manager.list_sessions()
            assert "session-01" in manager
    (summary,) = tmp_path.glob("store.state/*/index.json")
    folder = replica.name + "/01"
    (path,) = tmp_path.glob(f"store.state/*/{topic_of(folder)}.json")
    before = decode_part(kept(str(path)))
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    for listing in tmp_path.glob("store.state/*/index/listing.json"):
        listing.unlink()
    read: list[str] = []
    real = LocalBackend.read_ref

    def read_ref(backend: LocalBackend, key: RefKey) -> Snapshot:
        read.append(key.path)
        return real(backend, key)

    with monkeypatch.context() as context, open_store(store) as manager:
        context.setattr(LocalBackend, "read_ref", read_ref)
        # Of another folder: nothing tells yet that a part is damaged.
        assert refs[0].stem in manager
        assert len(read) == 1
        read.clear()
        assert len(manager.list_sessions()) == 12
    assert sorted(read) == [f"{folder}/{path.name}" for path in refs[1::3]]
    assert decode_part(kept(str(path))) == before
    assert kept(str(summary))


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
