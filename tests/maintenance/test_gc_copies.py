"""Copies of objects that tools have made: gc takes them as it takes what nothing needs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from storekit import fill, message, open_store

from coda_fs_session.backends.disk.zstd import decompress
from coda_fs_session.format.lists import can_list

from .collecting import TEXT, Collector


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    """A store with a session of two large messages."""
    with open_store(tmp_path / "store") as manager:
        fill(manager, "chat", 2, size=TEXT)
    return Collector(tmp_path / "store")


def first(collector: Collector) -> Path:
    return min(collector.store.glob("objects/*/*.jsonl*"))


def copy_of(path: Path, mark: str) -> Path:
    return path.with_name(f"{path.name.partition('.')[0]}{mark}.jsonl")


def whole(collector: Collector) -> bool:
    with collector.open() as manager:
        report = manager.maintenance.check(full=True)
        return not report.findings and manager.load_session("chat").messages == [message(n, TEXT) for n in range(2)]


def test_a_copy_goes(collector: Collector) -> None:
    """One of a sync tool, one of a person, one of other bytes: they go as all else does, and the object stays."""
    good = first(collector)
    copies = [copy_of(good, mark) for mark in (".sync-conflict-20260102", " (copy)", "~")]
    for copy in copies:
        shutil.copy(good, copy)
    copies[2].write_bytes(b"damaged")
    assert collector.run(days=0, dry_run=True).freed.files == 0
    assert collector.until(lambda report: report.condemned.files == 3) == 4
    assert all(copy.exists() for copy in copies)
    assert collector.until(lambda report: report.freed.files == 3) == 3
    assert not any(copy.exists() for copy in copies)
    assert good.exists()
    assert whole(collector)
    # What a tool brings back goes again.
    shutil.copy(good, copies[0])
    collector.until(lambda report: report.freed.files == 1)
    assert whole(collector)


def test_the_only_good_copy_stays(collector: Collector) -> None:
    """Where the file of the object's own name is damaged, the copy is the object, and nothing of it goes."""
    good = first(collector)
    copy = copy_of(good, ".sync-conflict-20260102")
    shutil.copy(good, copy)
    good.write_bytes(b"damaged")
    for _ in range(9):
        assert collector.run().condemned.files == 0
    assert copy.exists()
    with collector.open() as manager:
        manager.maintenance.repair(dry_run=False)


def test_a_copy_that_becomes_the_only_one(collector: Collector) -> None:
    """It was condemned, and then the other file is lost: it is written under a name that is on no list."""
    good = first(collector)
    copy = copy_of(good, " (copy)")
    shutil.copy(good, copy)
    collector.until(lambda report: report.condemned.files == 1)
    good.unlink()
    for _ in range(9):
        collector.run()
    assert not copy.exists()
    assert len(list(good.parent.glob(f"{good.name.partition('.')[0]}*"))) == 1
    assert whole(collector)


def test_two_forms_of_one_object(collector: Collector) -> None:
    """Plain and compressed are both names that readers look for: neither is condemned."""
    good = first(collector)
    assert good.suffix == ".zst"
    other = good.with_suffix("")
    other.write_bytes(decompress(good.read_bytes(), size=None, limit=2**20))
    for _ in range(9):
        assert collector.run().condemned.files == 0
    assert good.exists()
    assert other.exists()


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_a_name_that_no_list_can_have(collector: Collector) -> None:
    """A copy whose name is no UTF-8, or too long for a list, stays, and keeps no other from going."""
    good = first(collector)
    stem = os.fsencode(good.parent / good.name.partition(".")[0])
    odd = [stem + b".\xff.jsonl", stem + b"." + b"x" * 180]
    for path in odd:
        Path(os.fsdecode(path)).write_bytes(good.read_bytes())
    shutil.copy(good, copy_of(good, " (copy)"))
    collector.until(lambda report: report.freed.files == 1)
    assert all(os.path.exists(path) for path in odd)


def test_names_of_lists() -> None:
    """A list has only names of objects' files, in the right folder, of 255 bytes at most."""
    name = f"objects/ab/{'ab' * 32}"
    assert can_list(f"{name} (copy).jsonl")
    assert can_list(f"{name}{'x' * (255 - len(name))}")
    bad = [
        f"{name}{'x' * (256 - len(name))}",
        f"{name}/x",
        name.replace("/ab/", "/aa/"),
        "refs/a/b.jsonl",
        f"{name}\udcff",
    ]
    assert [each for each in bad if can_list(each)] == []
