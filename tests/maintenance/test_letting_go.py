"""Machines that answer each other's lists: what nothing needs goes everywhere, and what one of them needs stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from storekit import fill, message, open_store, ref_of, say

from coda_fs_session.format.ids import ObjectId

from .carrying import Carrier, object_names, said_by
from .collecting import GRACE, TEXT, Collector, repo_of


class Two:
    """Two machines, `desk` with an object that nothing needs, and `lap`; each has a session of its own."""

    def __init__(self, folder: Path, *, deletes: bool = True) -> None:
        self.desk = Collector(folder / "desk", replica="desk")
        self.lap = Collector(folder / "lap", replica="lap")
        self.carrier = Carrier(self.desk, self.lap, deletes=deletes)
        for collector, name in ((self.desk, "mine"), (self.lap, "theirs")):
            with collector.open() as manager:
                fill(manager, name, 2, size=TEXT)
        self.left = self.desk.leave(99).relative_to(self.desk.store).as_posix()
        self.carrier.carry()

    def say_again(self) -> None:
        """Let `lap` save the very same message as is in the object that nothing needs."""
        with self.lap.open() as manager:
            session = manager.create_session("again")
            session.add_message(message(99, TEXT))
            manager.save_session(session)

    def condemn(self) -> ObjectId:
        self.desk.until(lambda report: report.condemned.files == 1)
        condemned = said_by(self.desk, "desk").condemned
        assert condemned is not None
        return condemned

    def close(self, collector: Collector) -> None:
        """A program opens the store, and closes it, on the day that it is."""
        with collector.open() as manager:
            now = collector.now()
            repo_of(manager).settings = repo_of(manager).settings._replace(clock=lambda: now)

    def check(self, **sessions: list[int]) -> None:
        """Both machines have the same sessions whole, and these besides those that they began with."""
        expected = {"mine": [0, 1], "theirs": [0, 1]} | sessions
        for collector in (self.desk, self.lap):
            with collector.open() as manager:
                assert manager.maintenance.check(full=True).findings == ()
                found = {info.name: manager.load_session(info.name).messages for info in manager.list_sessions()}
            assert found == {name: [message(n, TEXT) for n in numbers] for name, numbers in expected.items()}


@pytest.mark.parametrize("deletes", [True, False])
def test_what_no_machine_needs_goes_everywhere(tmp_path: Path, deletes: bool) -> None:
    """One condemns, the other answers when a program closes the store there, and both delete: any tool ends there."""
    two = Two(tmp_path, deletes=deletes)
    condemned = two.condemn()
    assert two.desk.run().waiting_for == ("lap",)
    two.carrier.carry()
    two.close(two.lap)
    assert condemned in said_by(two.lap, "lap").acknowledged
    # It is asked, and nothing is deleted there before all have answered.
    assert two.left in object_names(two.lap.store)
    two.carrier.carry()
    assert two.desk.until(lambda report: report.freed.files == 1) == 2
    assert said_by(two.desk, "desk").done == (condemned,)
    assert two.left not in object_names(two.desk.store)
    two.carrier.carry()
    two.close(two.lap)
    assert two.left not in object_names(two.lap.store)
    # What a tool brings back goes again.
    two.carrier.carry()
    two.desk.run()
    two.lap.run()
    two.carrier.carry()
    assert two.left not in object_names(two.desk.store) | object_names(two.lap.store)
    two.check()


def test_who_does_not_answer_is_waited_for(tmp_path: Path) -> None:
    """As long as one of them is away nothing is deleted, and nothing else condemned; the report says since when."""
    two = Two(tmp_path)
    two.condemn()
    two.desk.leave(98)
    for _ in range(9):
        report = two.desk.run()
        assert (report.freed.files, report.condemned.files, report.waiting_for) == (0, 0, ("lap",))
    assert report.waiting_since is not None
    assert report.waiting_since.timestamp() < two.desk.now().timestamp() - 8 * GRACE / 3 * 86400
    assert two.left in object_names(two.desk.store)
    two.carrier.carry()
    two.close(two.lap)
    two.carrier.carry()
    report = two.desk.run()
    assert (report.freed.files, report.waiting_for, report.waiting_since) == (1, (), None)
    assert two.desk.until(lambda report: report.condemned.files == 1) == 1


def test_what_the_other_one_needs(tmp_path: Path) -> None:
    """It has saved the very same message meanwhile: it writes it into another file before it answers."""
    two = Two(tmp_path)
    two.say_again()
    condemned = two.condemn()
    two.carrier.carry()
    two.close(two.lap)
    assert condemned in said_by(two.lap, "lap").acknowledged
    (other,) = (name for name in object_names(two.lap.store) if ".2." in name)
    two.carrier.carry()
    for _ in range(3):
        two.desk.run()
    assert two.left not in object_names(two.desk.store)
    two.carrier.carry()
    assert two.left not in object_names(two.lap.store)
    assert other in object_names(two.lap.store) & object_names(two.desk.store)
    two.close(two.lap)
    two.check(again=[99])
    # The only copy by now, whatever it is called, is needed: it stays.
    for _ in range(9):
        assert two.desk.run().condemned.files == 0
    two.check(again=[99])


def test_the_only_ref_that_needs_it_comes_late(tmp_path: Path) -> None:
    """All have answered when it comes, of one that had answered too: the deletion looks once more."""
    two = Two(tmp_path)
    two.condemn()
    two.carrier.carry()
    two.close(two.lap)
    two.carrier.carry()
    two.say_again()
    ref = ref_of(two.lap.store, "again")
    (two.desk.store / "refs" / "lap" / ref.name).write_bytes(ref.read_bytes())
    for _ in range(3):
        two.desk.run()
    assert two.left not in object_names(two.desk.store)
    two.carrier.carry()
    two.close(two.lap)
    two.check(again=[99])


@pytest.mark.parametrize("lack", ["an object", "the list", "a ref"])
def test_who_lacks_something_does_not_answer(tmp_path: Path, lack: str) -> None:
    """What is not here may need what is on the list: the answer comes once it has arrived."""
    two = Two(tmp_path)
    condemned = two.condemn()
    two.carrier.carry()
    if lack == "the list":
        path = two.lap.file(condemned)
    elif lack == "a ref":
        path = ref_of(two.lap.store, "theirs")
    else:
        needed = {name for name in object_names(two.lap.store) if name != two.left and condemned not in name}
        path = two.lap.store / min(needed)
    good = path.read_bytes()
    if lack == "a ref":
        path = two.lap.store / "refs" / "desk" / ref_of(two.desk.store, "mine").name
        good = path.read_bytes()
        path.write_bytes(good.replace(b'"mine"', b'"mane"'))
    else:
        path.unlink()
    two.close(two.lap)
    assert condemned not in said_by(two.lap, "lap").acknowledged
    path.write_bytes(good)
    # What takes a look at everything is not tried again at once.
    two.close(two.lap)
    assert (condemned in said_by(two.lap, "lap").acknowledged) is (lack == "the list")
    two.lap.day += 1
    two.close(two.lap)
    assert condemned in said_by(two.lap, "lap").acknowledged


def test_a_manager_that_only_reads_answers_nothing(tmp_path: Path) -> None:
    """It writes nothing into a store; and so does one of a machine that never wrote there."""
    two = Two(tmp_path)
    condemned = two.condemn()
    two.carrier.carry()
    before = object_names(two.lap.store), said_by(two.lap, "lap")
    with open_store(two.lap.store, replica="lap", read_only=True) as manager:
        manager.load_session("mine")
    with open_store(two.lap.store, state_path=tmp_path / "reader") as manager:
        manager.load_session("mine")
    assert (object_names(two.lap.store), said_by(two.lap, "lap")) == before
    assert two.lap.run().waiting_for == ()
    assert condemned in said_by(two.lap, "lap").acknowledged


def test_an_answer_takes_one_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a list is answered, and what was done is deleted, closing a store looks at no ref for the sake of that."""
    from coda_fs_session.repo.maintenance import letting_go as module

    two = Two(tmp_path)
    two.condemn()
    two.carrier.carry()
    two.close(two.lap)
    walks: list[object] = []
    real = module.unneeded
    monkeypatch.setattr(module, "unneeded", lambda *args, **options: walks.append(1) or real(*args, **options))
    two.close(two.lap)
    assert walks == []
    two.carrier.carry()
    two.desk.until(lambda report: report.freed.files == 1)
    two.carrier.carry()
    walks.clear()
    two.close(two.lap)
    assert walks == [1]
    with two.lap.open() as manager:
        say(manager, manager.create_session("next"), 1)
    assert walks == [1]


@pytest.mark.parametrize("is_needed", [False, True])
@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_a_sync_brings_nothing_back(tmp_path: Path, is_needed: bool, backend: str) -> None:
    """A store that has not heard of a deletion has the object: it comes only where a ref needs it, in another file."""
    two = Two(tmp_path)
    place = tmp_path / ("other.db" if backend == "sqlite" else "other")
    options = {"backend": backend, "replica": "other", "state_path": str(tmp_path / "other-state")}
    with two.desk.open() as manager, open_store(place, **options) as other:
        manager.sync(other)
    if is_needed:
        with open_store(place, **options) as other:
            session = other.create_session("again")
            session.add_message(message(99, TEXT))
            other.save_session(session)
    two.condemn()
    two.carrier.carry()
    two.close(two.lap)
    two.carrier.carry()
    two.desk.until(lambda report: report.freed.files == 1)
    with two.desk.open() as manager, open_store(place, **options) as other:
        manager.sync(other)
        assert manager.maintenance.check(full=True).findings == ()
    again = {name for name in object_names(two.desk.store) if two.left[11:60] in name}
    assert (len(again), two.left in again) == (int(is_needed), False)
    with open_store(place, **options) as other:
        assert other.load_session("mine").messages == [message(n, TEXT) for n in range(2)]
    if is_needed:
        with two.desk.open() as manager:
            assert manager.load_session("again").messages == [message(99, TEXT)]


def test_a_database_answers_too(tmp_path: Path) -> None:
    """Its refs come into a store of files by a sync, so its answer is waited for there; it comes by the next one."""
    two = Two(tmp_path)
    database = tmp_path / "chats.db"
    options = {"backend": "sqlite", "replica": "database", "state_path": str(tmp_path / "database-state")}
    with open_store(database, **options) as manager:
        fill(manager, "in rows", 2, size=TEXT)
    with two.desk.open() as manager, open_store(database, **options) as other:
        manager.sync(other)
    two.condemn()
    two.carrier.carry()
    two.close(two.lap)
    two.carrier.carry()
    assert two.desk.run().waiting_for == ("database",)
    with two.desk.open() as manager, open_store(database, **options) as other:
        manager.sync(other)
    with open_store(database, **options) as manager:
        manager.load_session("in rows")
    with two.desk.open() as manager, open_store(database, **options) as other:
        manager.sync(other)
    assert two.desk.run().waiting_for == ()
    two.desk.until(lambda report: report.freed.files == 1)


def test_a_folder_that_is_half_synced(tmp_path: Path) -> None:
    """Objects of a machine came, and no ref of it yet: a commit tells, so nothing is condemned until one is here."""
    desk, third = Collector(tmp_path / "desk", replica="desk"), Collector(tmp_path / "third", replica="third")
    with desk.open() as manager:
        fill(manager, "mine", 2, size=TEXT)
    with third.open() as manager:
        fill(manager, "theirs", 2, size=TEXT)
        session = manager.load_session("theirs")
        session.messages[1] = message(7, TEXT)
        manager.save_session(session)
    shutil.copytree(third.store / "objects", desk.store / "objects", dirs_exist_ok=True)
    before = object_names(desk.store)
    reports = [desk.run() for _ in range(9)]
    assert all(report.condemned.files == 0 for report in reports)
    assert "the replica third made it" in reports[-1].blocked[0]
    shutil.copytree(third.store / "refs", desk.store / "refs", dirs_exist_ok=True)
    for _ in range(9):
        assert desk.run().condemned.files == 0
    assert before <= object_names(desk.store)
    with desk.open() as manager:
        assert manager.load_session("theirs").messages == [message(0, TEXT), message(7, TEXT)]
