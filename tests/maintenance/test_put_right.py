"""What tools have done to a store is found by a check, and put right by a repair, with what this machine recorded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from damage.specimen import make, open_fresh, read_all, reading
from storekit import fill, message, open_store, ref_of, untouched

from .damages import chunk_of, commit_of, ref


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
