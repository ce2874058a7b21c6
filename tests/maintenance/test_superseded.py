"""A damaged ref counts as replaced only where a good one has all that is intact of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from damage.specimen import DESK, LAPTOP, SIZES, open_fresh
from storekit import say

from .collecting import Collector

LARGE = SIZES._replace(minimum=4096, full=8192)
"""Chunks so large that all messages stand in refs."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The ref of a machine that went on from what another one has: six messages, of which that has the first."""
    store = tmp_path / "store"
    desk = open_fresh(store, sizes=LARGE)
    say(desk, desk.create_session("talk"), 0)
    laptop = open_fresh(store, LAPTOP, sizes=LARGE)
    talk = laptop.load_session("talk")
    for number in range(1, 6):
        say(laptop, talk, number)
    return store / "refs" / LAPTOP / "talk.jsonl"


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"message 1", b"message 7"))


def rules(store: Path) -> set[str]:
    return {finding.rule for finding in open_fresh(store, sizes=LARGE).maintenance.check(full=True).findings}


def test_intact_lines_behind_the_damage_count(tmp_path: Path, path: Path) -> None:
    """Bug: the ref that it had gone on from passed for all that was intact, and four good saves were in no finding."""
    store = tmp_path / "store"
    good = shutil.copytree(store, tmp_path / "good")
    damage(path)
    manager = open_fresh(store, sizes=LARGE)
    report = manager.maintenance.check()
    assert not report.is_whole
    assert {finding.rule for finding in report.findings} == {"ref-line"}
    manager.maintenance.repair(dry_run=False, from_store=good)
    assert len(open_fresh(store, sizes=LARGE).load_session("talk").messages) == 6
    assert rules(store) <= {"ref-replaced"}


def test_what_was_repaired_is_replaced(tmp_path: Path, path: Path) -> None:
    """After a repair the damaged file is a note, also when the session has gone on since."""
    store = tmp_path / "store"
    damage(path)
    manager = open_fresh(store, LAPTOP, sizes=LARGE)
    manager.maintenance.repair(dry_run=False)
    assert rules(store) == {"ref-replaced"}
    session = manager.load_session("talk")
    assert len(session) == 4
    session.messages[0]["content"] = "edited"
    manager.save_session(session)
    assert rules(store) == {"ref-replaced"}


def test_a_copy_that_is_whole(tmp_path: Path, path: Path) -> None:
    """A conflict copy, made before the damage, has all that is intact."""
    shutil.copy(path, path.with_name("talk.sync-conflict-1.jsonl"))
    damage(path)
    assert "ref-line" not in rules(tmp_path / "store")


@pytest.mark.parametrize("owner", [LAPTOP, DESK])
def test_a_gc_takes_it(tmp_path: Path, path: Path, owner: str) -> None:
    """A grace after its machine has seen it, it goes. By another machine it does not: it may be good where that is."""
    store = tmp_path / "store"
    damage(path)
    with open_fresh(store, LAPTOP, sizes=LARGE) as manager:
        manager.maintenance.repair(dry_run=False)
        kept = manager.load_session("talk").get_messages()
    damaged = path.read_bytes()
    collector = Collector(store, replica=owner)
    for _ in range(3):
        report = collector.run()
    assert path.exists()
    last = collector.run()
    if owner == LAPTOP:
        assert not path.exists()
        assert report.kept["grace"].files == 1
        assert (last.freed.files, last.freed.bytes) == (1, len(damaged))
        assert any(file.read_bytes() == damaged for file in tmp_path.glob("store.*/**/*") if file.is_file())
        assert rules(store) == set()
        assert collector.run().freed.files == 0
    else:
        assert path.read_bytes() == damaged
    with collector.open() as manager:
        assert manager.load_session("talk").get_messages() == kept
