"""What tools have done to a store is found by a check, and put right by a repair, with what this machine recorded."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from damage.specimen import DESK, SIZES, Reading, make, open_fresh, read_all, reading
from faults.failing import FOR_GOOD, FailingFiles, Fault
from interrupts.moments import Interrupter
from storekit import fill, message, open_store, ref_of, untouched

from coda_fs_session import SessionManager, StoreFullError
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage

from .damages import chunk_of, commit_of, flip, ref


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make(tmp_path / "store")
    return tmp_path / "store"


def _older(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def _cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 9)


@pytest.mark.parametrize(("damage", "what"), [(_older, "1 save"), (_cut_off, "1 save"), (os.remove, "2 messages")])
def test_what_this_machine_has_recorded(tmp_path: Path, damage: Callable[[Path], object], what: str) -> None:
    """Where a ref lacks what this machine saved, a check says so, and a repair puts it back.

    Once both called the store whole, and only the next save brought it back.
    """
    store = tmp_path / "store"
    with open_store(store) as manager:
        fill(manager, "chat", 1)
        session = manager.load_session("chat")
        session.add_message(message(1))
        manager.save_session(session)
    path = ref_of(store, "chat")
    before = path.read_bytes()
    with open_store(store) as manager:
        assert manager.maintenance.check().findings == ()
        damage(path)
        with untouched(store):
            found = [each for each in manager.maintenance.check().findings if each.rule != "ref-torn"]
            assert [(each.rule, each.severity, each.path) for each in found] == [("ref-reverted", "missing", str(path))]
            assert found[0].what == f"this machine saved more in it: {what}"
            assert manager.maintenance.repair().mended
        with pytest.warns(UserWarning, match="put back"):
            report = manager.maintenance.repair(dry_run=False)
        assert [each.path for each in report.mended] == [str(path)]
        assert (report.lost, report.left) == ((), ())
        assert path.read_bytes() == before
        assert manager.maintenance.check(full=True).findings == ()


def test_other_line_ends(store: Path) -> None:
    """All that a tool has given other line ends is put right from itself, to the last byte."""
    before = read_all(store)
    for path in [*store.glob("refs/*/*.jsonl"), *store.glob("objects/*/*.jsonl")]:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert not open_fresh(store, read_only=True).maintenance.check().is_whole
    report = open_fresh(store).maintenance.repair(dry_run=False)
    assert (report.lost, report.left) == ((), ())
    manager = open_fresh(store)
    assert {name: reading(manager.load_session(name)) for name in before} == before
    assert {each.rule for each in manager.maintenance.check(full=True).findings} == {"ref-replaced"}


def test_objects_that_took_each_others_names(store: Path) -> None:
    """Each is found in the file of the other, be one of them compressed."""
    before = read_all(store)
    one, other = chunk_of(store, "continued"), commit_of(store, "cleared")
    scratch = one.with_name("scratch")
    shutil.move(one, scratch)
    shutil.move(other, one)
    shutil.move(scratch, other)
    report = open_fresh(store).maintenance.repair(dry_run=False)
    assert {each.path for each in report.mended} == {str(one), str(other)}
    assert read_all(store) == before
    assert open_fresh(store, read_only=True).maintenance.check(full=True).findings == ()


def test_one_line_end_alone_is_damage(store: Path) -> None:
    """What does not verify without its carriage returns either is damaged, and its intact part comes back."""
    path = ref(store, "tagged")
    first, second, third, *others = path.read_bytes().splitlines(keepends=True)
    spoiled = [first, second.replace(b"\n", b"\r\n"), third[:30] + b"x" + third[31:], *others]
    path.write_bytes(b"".join(spoiled))
    report = open_fresh(store).maintenance.repair(dry_run=False)
    assert [each.what.startswith("what is intact of it") for each in report.mended] == [True]


def _spoil(store: Path) -> None:
    flip(ref(store, "tagged"))
    flip(chunk_of(store, "continued"))
    path = commit_of(store, "cleared")
    path.rename(path.with_name(path.name.upper()))
    path = ref(store, "sealed")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def _on(files: Files, store: Path) -> SessionManager:
    storage = RepoStorage(Repository(LocalBackend(store, files=files), MemoryState(DESK), Settings(sizes=SIZES)))
    return SessionManager({"session": {"autosave_interval": 0}}, storage=storage)


def _ends_whole(store: Path, good: Path, before: dict[str, Reading], where: object) -> None:
    """Make sure that a repair which was cut off has spoiled nothing, and that another one ends it."""
    report = open_fresh(store).maintenance.repair(dry_run=False, from_store=good)
    assert (report.lost, report.left) == ((), ()), where
    manager = open_fresh(store)
    assert {name: reading(manager.load_session(name)) for name in before} == before, where
    assert {each.rule for each in manager.maintenance.check(full=True).findings} <= {
        *("ref-replaced", "temporary-file", "stray-file"),
    }, where


def test_a_full_disk(store: Path, tmp_path: Path) -> None:
    """Where the disk is full from some call on, a repair says so; it has spoiled nothing, and another one ends it."""
    good, before = Path(shutil.copytree(store, tmp_path / "good")), read_all(store)
    _spoil(store)
    at, refused = 0, 0
    while True:
        here = Path(shutil.copytree(store, tmp_path / f"here-{at}"))
        files = FailingFiles(here, Fault(at, errno.ENOSPC, ("before", "short")[at % 2], FOR_GOOD))
        try:
            _on(files, here).maintenance.repair(dry_run=False, from_store=good)
        except StoreFullError:
            refused += 1
        is_done = files.made <= at
        _ends_whole(here, good, before, f"full from call {at} on")
        shutil.rmtree(here)
        if is_done:
            break
        at += 1
    assert refused > 5


def test_interrupts(store: Path, tmp_path: Path, seed: int, long_size: bool) -> None:
    """Ctrl-C at any moment of a check or a repair leaves nothing half done: the next repair ends it."""
    chance, good, before = random.Random(seed), Path(shutil.copytree(store, tmp_path / "good")), read_all(store)
    _spoil(store)
    moments = 0
    for number in range(60 if long_size else 9):
        here = Path(shutil.copytree(store, tmp_path / f"here-{number}"))
        manager = open_fresh(here)
        at = 10**9 if not moments else chance.randrange(1, moments)
        moment = Interrupter(at)
        moment.call(lambda manager=manager: manager.maintenance.repair(dry_run=False, from_store=good))
        moments = moments or moment.count
        assert moment.hit or not number
        with untouched(here):
            Interrupter(chance.randrange(1, moments // 3)).call(
                lambda here=here: open_fresh(here, read_only=True).maintenance.check(full=True)
            )
        _ends_whole(here, good, before, f"at moment {at} of {moments}")
        shutil.rmtree(here)
