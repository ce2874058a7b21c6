"""gc of a database: the steps of one of files, without lists, and whatever other replicas have refs there."""

from __future__ import annotations

from pathlib import Path

import pytest
from backends.databases import database
from storekit import fill, lose_record, message, open_store

from coda_fs_session import SessionManager
from coda_fs_session.backends.base import NewObject
from coda_fs_session.format.ids import object_id

from .collecting import TEXT, Collector, line, repo_of


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    """A database with a session of this replica, one of another, and two objects that nothing needs."""
    collector = Collector(tmp_path / "store", backend="sqlite")
    with collector.open() as manager, open_store(tmp_path / "other", replica="laptop") as other:
        fill(manager, "chat", 2, size=TEXT)
        fill(other, "theirs", 3, size=TEXT)
        manager.sync(other)
        for number, compress in ((98, False), (99, True)):
            data = line(number) + b"\n"
            repo_of(manager).backend.put_objects([NewObject(object_id(data), data, compress)])
    return collector


LEFT = {object_id(line(number) + b"\n") for number in (98, 99)}


def objects_in(manager: SessionManager) -> set[str]:
    return {identity for identity, _ in repo_of(manager).backend.objects()}


def check_whole(collector: Collector) -> set[str]:
    """Every session reads, and the check finds nothing; return which objects there are."""
    with collector.open() as manager:
        assert len(manager.load_session("chat").messages) == 2
        assert len(manager.load_session("theirs").messages) == 3
        assert manager.maintenance.check(full=True).findings == ()
        return objects_in(manager)


def test_it_goes_step_by_step(collector: Collector) -> None:
    """Condemned objects are read as before; then they are in the trash, and in the end nowhere."""
    needed = check_whole(collector) - LEFT
    assert collector.until(lambda report: report.condemned.files == 2) == 4
    with collector.open() as manager:
        backend = repo_of(manager).backend
        for identity in LEFT:
            data = backend.get_object(identity, size=None, limit=2**20)
            assert object_id(data) == object_id(b"".join(backend.object_pieces(identity))) == identity
    assert check_whole(collector) == needed | LEFT
    assert collector.run().waiting_for == ()
    assert collector.until(lambda report: report.freed.files == 2) == 2
    assert check_whole(collector) == needed
    assert set(collector.trash()) == LEFT
    for _ in range(3):
        collector.run()
    assert collector.trash() == []
    report = collector.run()
    assert (report.freed.files, report.condemned.files, report.kept["sessions"].files) == (0, 0, len(needed))


@pytest.mark.parametrize("how", ["put", "saved"])
def test_what_is_put_again_stays(collector: Collector, how: str) -> None:
    """A program that finds an object there is about to write a ref that names it: putting it takes the note away."""
    collector.until(lambda report: report.condemned.files == 2)
    for _ in range(2):
        collector.run()
    with collector.open() as manager:
        if how == "put":
            data = line(98) + b"\n"
            repo_of(manager).backend.put_objects([NewObject(object_id(data), data)])
        else:
            session = manager.create_session("again")
            session.add_message(message(98, TEXT))
            manager.save_session(session)
    assert collector.run().freed.files == 1
    with collector.open() as manager:
        assert objects_in(manager) & LEFT == {object_id(line(98) + b"\n")}


def test_what_is_needed_after_all_comes_back(collector: Collector) -> None:
    """The next gc finds in the trash what a ref needs and the database lacks."""
    with collector.open() as manager:
        repo = repo_of(manager)
        identity = next(iter(objects_in(manager) - LEFT))
        repo.machine.keep_deleted(identity, repo.backend.get_object(identity, size=None, limit=2**20))
        repo.backend.condemn_objects([identity])
        (place,) = (each for each in repo.backend.stored_objects() if each.id == identity)
        repo.backend.remove_object(place)
        assert not manager.maintenance.check().is_whole
    assert collector.run().blocked == ()
    check_whole(collector)


def test_nothing_goes_where_anything_is_in_doubt(collector: Collector) -> None:
    """An object that a ref needs is not in the database: what is needed below it, nobody can tell."""
    for _ in range(3):
        collector.run()
    with collector.open() as manager:
        backend = repo_of(manager).backend
        identity = next(iter(objects_in(manager) - LEFT))
        backend.condemn_objects([identity])
        (place,) = (each for each in backend.stored_objects() if each.id == identity)
        backend.remove_object(place)
    for dry_run in (True, False):
        report = collector.run(dry_run=dry_run)
        assert (bool(report.blocked), report.condemned.files, report.freed.files) == (True, 0, 0)


def test_what_was_needed_meanwhile_begins_anew(collector: Collector) -> None:
    """An object that was needed for a while after it was condemned is condemned once more before it goes."""
    collector.until(lambda report: report.condemned.files == 2)
    with collector.open() as manager:
        session = manager.create_session("again")
        session.add_message(message(98, TEXT))
        manager.save_session(session)
    assert collector.run().kept["grace"].files == 1
    with database(collector.store) as connection:
        connection.execute("DELETE FROM refs WHERE path LIKE '%/again.jsonl'")
    lose_record(collector.store)
    collector.until(lambda report: report.freed.files == 1)
    assert collector.run().condemned.files == 0
    assert collector.until(lambda report: report.condemned.files == 1) <= 4


def test_only_what_is_condemned_can_be_removed(collector: Collector) -> None:
    """An object that was put a moment ago is not removed by a gc that looked before."""
    with collector.open() as manager:
        backend = repo_of(manager).backend
        before = objects_in(manager)
        for place in backend.stored_objects():
            backend.remove_object(place)
        assert objects_in(manager) == before
