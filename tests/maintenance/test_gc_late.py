"""gc where a machine comes back late with what it has, and where only half of a folder has arrived."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from storekit import message, open_store

from .carrying import Carrier, object_names, said_by
from .collecting import TEXT, Collector


def save(collector: Collector, name: str, *numbers: int) -> None:
    with collector.open() as manager:
        session = manager.create_session(name)
        for number in numbers:
            session.add_message(message(number, TEXT))
        manager.save_session(session)


def held(collector: Collector) -> dict[str, list[str]]:
    """Return what all sessions hold, once a full check has found nothing."""
    with collector.open() as manager:
        assert manager.maintenance.check(full=True).findings == ()
        return {
            info.name: [each["content"].split()[1] for each in manager.load_session(info.name).messages]
            for info in manager.list_sessions()
        }


@pytest.fixture
def desk(tmp_path: Path) -> Collector:
    return Collector(tmp_path / "desk", replica="desk")


@pytest.fixture
def lap(tmp_path: Path) -> Collector:
    return Collector(tmp_path / "lap", replica="lap")


@pytest.mark.parametrize("deletes", [True, False])
def test_a_machine_that_was_given_up(desk: Collector, lap: Collector, deletes: bool) -> None:
    """It has saved, offline, just what the others deleted when nobody waited for it any more: its session is whole."""
    carrier = Carrier(desk, lap, deletes=deletes)
    save(desk, "mine", 0, 1)
    save(lap, "theirs", 2)
    left = desk.leave(99).relative_to(desk.store).as_posix()
    carrier.carry()
    save(lap, "again", 99)
    with desk.open() as manager:
        manager.maintenance.retire("lap", force=True, dry_run=False)
    desk.until(lambda report: report.freed.files > 0)
    assert left not in object_names(desk.store)
    for _ in range(4):
        carrier.carry()
        for each in (lap, desk):
            each.run()
    carrier.carry()
    expected = {"mine": ["0", "1"], "theirs": ["2"], "again": ["99"]}
    for each in (desk, lap):
        assert held(each) == expected
        assert left not in object_names(each.store)


def test_a_folder_that_was_half_synced(desk: Collector, lap: Collector) -> None:
    """As long as something is missing nothing is condemned, acknowledged or deleted; once it is there, all goes on."""
    carrier = Carrier(desk, lap)
    save(desk, "mine", 0, 1, 2)
    save(lap, "theirs", 3)
    left = desk.leave(99).relative_to(desk.store).as_posix()
    carrier.carry()
    missing = next(path for path in lap.store.glob("objects/*/*") if path.name not in (left, Path(left).name))
    away = lap.store.with_name("away")
    shutil.move(missing, away)
    for _ in range(6):
        report = lap.run()
        assert (report.condemned.files, report.freed.files) == (0, 0)
        assert report.blocked
    desk.until(lambda report: report.condemned.files > 0)
    condemned = said_by(desk, "desk").condemned
    # The list arrives, and what is missing does not: the tool carries no deletion of what it never saw here.
    data = (desk.store / "refs" / "desk" / "replica.json").read_bytes()
    (lap.store / "refs" / "desk" / "replica.json").write_bytes(data)
    lap.run()
    assert condemned not in said_by(lap, "lap").acknowledged
    shutil.move(away, missing)
    for _ in range(4):
        carrier.carry()
        for each in (lap, desk):
            each.run()
    carrier.carry()
    for each in (desk, lap):
        assert held(each) == {"mine": ["0", "1", "2"], "theirs": ["3"]}
        assert left not in object_names(each.store)


def test_all_of_an_old_folder_comes_back(desk: Collector, lap: Collector, tmp_path: Path) -> None:
    """A copy of the folder of before gc is put over one of two: what was deleted goes again, and all else stays."""
    carrier = Carrier(desk, lap)
    save(desk, "mine", 0, 1)
    save(lap, "theirs", 2)
    left = desk.leave(99).relative_to(desk.store).as_posix()
    carrier.carry()
    shutil.copytree(lap.store, tmp_path / "old")
    for _ in range(12):
        desk.run()
        carrier.carry()
        lap.run()
        carrier.carry()
    assert left not in object_names(desk.store) | object_names(lap.store)
    save(lap, "late", 99)
    with open_store(lap.store, replica="lap") as manager:
        manager.create_session("branch", branch_from="mine")
    shutil.copytree(tmp_path / "old", lap.store, dirs_exist_ok=True)
    for _ in range(4):
        for each in (lap, desk):
            each.run()
        carrier.carry()
    expected = {"mine": ["0", "1"], "theirs": ["2"], "late": ["99"], "branch": ["0", "1"]}
    for each in (desk, lap):
        assert held(each) == expected
        assert left not in object_names(each.store)
