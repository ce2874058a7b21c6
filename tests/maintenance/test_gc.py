"""gc: what nothing needs goes, step by step, and whatever is needed or in doubt stays."""

from __future__ import annotations

import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from storekit import fill, lose_record, message, objects_of, open_store, ref_of, say, untouched

from coda_fs_session import StoreError, StoreReadOnlyError, UnsupportedError
from coda_fs_session.format.lists import decode_list
from coda_fs_session.format.replica_file import ReplicaFile, encode_replica_file
from coda_fs_session.repo import replica_files

from .collecting import GRACE, TEXT, Collector, repo_of


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a session of two large messages, one of which is history only."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        fill(manager, "chat", 2, size=TEXT)
        session = manager.load_session("chat")
        session.messages[1] = message(7, TEXT)
        manager.save_session(session)
    return store


@pytest.fixture
def collector(store: Path) -> Collector:
    return Collector(store)


def check_whole(store: Path) -> None:
    """Every session reads, and so does every earlier state of it."""
    with open_store(store) as manager:
        assert manager.load_session("chat").messages == [message(0, TEXT), message(7, TEXT)]
        assert len(manager.history("chat").at(2).get_messages()) == 2
        assert manager.maintenance.check(full=True).is_whole


def test_a_dry_run_only_tells(store: Path, collector: Collector) -> None:
    """What keeps each file, and what nothing needs; no file changes, and a store that is only read tells it too."""
    left = collector.leave(99)
    with untouched(store), open_store(store, read_only=True) as manager:
        report = manager.maintenance.gc()
        assert report.dry_run
        assert (report.freed.files, report.condemned.files, report.waiting_for, report.blocked) == (0, 0, (), ())
        assert report.kept["grace"].files == 1
        assert report.kept["grace"].bytes == left.stat().st_size
        assert report.kept["sessions"].files == 2
        assert sum(each.files for each in report.kept.values()) == len(objects_of(store))
        with pytest.raises(StoreReadOnlyError):
            manager.maintenance.gc(dry_run=False)


def test_the_memory_only_tells(tmp_path: Path) -> None:
    """What is in memory goes with the process: it has a dry run, and says that there is no more."""
    with open_store(tmp_path / "store", backend="memory") as manager:
        fill(manager, "chat", 2, size=TEXT)
        assert manager.maintenance.gc().kept["sessions"].files == 2
        with pytest.raises(UnsupportedError, match="no gc but a dry run"):
            manager.maintenance.gc(dry_run=False)


def test_it_goes_step_by_step(store: Path, collector: Collector) -> None:
    """A grace until it is condemned, one until it is deleted, and one until it is in the trash no longer."""
    left = collector.leave(99)
    needed = {path for path in objects_of(store) if path != left}
    # The first run only begins to count, and three count a grace.
    assert collector.until(lambda report: report.condemned.files == 1) == 4
    assert left.exists()
    assert collector.until(lambda report: report.freed.files == 1) == 3
    assert not left.exists()
    assert collector.trash() == [left.name.partition(".")[0]]
    check_whole(store)
    assert [bool(collector.run() and collector.trash()) for _ in range(3)] == [True, True, False]
    assert needed <= set(objects_of(store))
    check_whole(store)
    report = collector.run()
    assert (report.freed.files, report.condemned.files) == (0, 0)
    with open_store(store) as manager:
        said = replica_files.own_said(repo_of(manager))
        assert said is not None
        (done,) = said.done
        assert (said.condemned, said.acknowledged) == (None, (done,))
        names = decode_list(repo_of(manager).backend.get_object(done, size=None, limit=2**20))
        assert names == {left.relative_to(store).as_posix()}


def test_a_clock_that_jumps_spends_nothing(collector: Collector) -> None:
    """Ten years ahead, or back, count as a third of the grace at most, or as nothing."""
    left = collector.leave(99)
    assert collector.run(days=3650).condemned.files == 0
    for days in (3650, -3650, 3650, -7300):
        assert collector.run(days=days).condemned.files == 0
    assert collector.run(days=3650).condemned.files == 1
    assert left.exists()


def test_no_grace_is_an_hour(collector: Collector) -> None:
    """A process may be about to write the ref that names it: nothing is condemned and deleted in one moment."""
    left = collector.leave(99)
    for _ in range(9):
        collector.run(days=0, grace=0)
    assert left.exists()
    for _ in range(7):
        collector.run(days=1, grace=0)
    assert not left.exists()


@pytest.mark.parametrize("when", ["seen", "condemned", "deleted"])
def test_what_is_saved_again_stays(store: Path, collector: Collector, when: str) -> None:
    """Equal content is saved in any step: once its file is on a list it gets another name, for ever."""
    left = collector.leave(99)
    collector.run()
    if when != "seen":
        collector.until(lambda report: report.condemned.files == 1)
    if when == "deleted":
        collector.until(lambda report: report.freed.files == 1)
    with open_store(store) as manager:
        session = manager.create_session("again")
        session.add_message(message(99, TEXT))
        manager.save_session(session)
    identity = left.name.partition(".")[0]
    other = left.with_name(left.name.replace(identity, f"{identity}.2"))
    assert other.exists() is (when != "seen")
    for _ in range(12):
        collector.run()
    assert left.exists() is (when == "seen")
    with open_store(store) as manager:
        assert manager.load_session("again").messages == [message(99, TEXT)]
        assert manager.maintenance.check(full=True).is_whole
    check_whole(store)


@pytest.fixture
def returning(store: Path, collector: Collector) -> tuple[Path, Path]:
    """A ref that a tool took away with all that this machine knew of it, and that another one may bring back."""
    with open_store(store) as manager:
        session = manager.create_session("returning")
        session.add_message(message(50, TEXT))
        manager.save_session(session)
    path = ref_of(store, "returning")
    copy = store.parent / "copy.jsonl"
    shutil.move(path, copy)
    lose_record(store)
    return copy, path


def test_a_ref_that_comes_back_before_the_deletion(
    store: Path, collector: Collector, returning: tuple[Path, Path]
) -> None:
    """What is on the list and needed once more is written under another name, and stays."""
    collector.until(lambda report: report.condemned.files == 1)
    shutil.copy(*returning)
    for _ in range(9):
        collector.run()
    with open_store(store) as manager:
        assert manager.load_session("returning").messages == [message(50, TEXT)]
        said = replica_files.own_said(repo_of(manager))
        assert said is not None
        assert (said.condemned, len(said.done)) == (None, 1)
        assert manager.maintenance.check(full=True).findings == ()
        names = decode_list(repo_of(manager).backend.get_object(said.done[0], size=None, limit=2**20))
        assert not any((store / name).exists() for name in names)


@pytest.mark.parametrize("verb", ["gc", "repair"])
def test_a_ref_that_comes_back_after_the_deletion(
    store: Path, collector: Collector, returning: tuple[Path, Path], verb: str
) -> None:
    """Within a grace what it needs is in the trash: the next gc puts it back, and so does a repair."""
    collector.until(lambda report: report.freed.files == 1)
    shutil.copy(*returning)
    with open_store(store) as manager:
        assert not manager.maintenance.check().is_whole
        if verb == "repair":
            (mended,) = manager.maintenance.repair(dry_run=False).mended
            assert mended.what.endswith("what gc had deleted")
    if verb == "gc":
        # However much time the clock says has passed: first comes what is needed.
        report = collector.run(days=3650)
        assert report.blocked == ()
    for _ in range(9):
        collector.run()
    with open_store(store) as manager:
        assert manager.load_session("returning").messages == [message(50, TEXT)]
        assert manager.maintenance.check(full=True).is_whole


def test_what_is_damaged_in_the_trash_is_not_put_back(
    store: Path, collector: Collector, returning: tuple[Path, Path]
) -> None:
    """It would stand in the store as an object that is not what its name says."""
    collector.until(lambda report: report.freed.files == 1)
    (path,) = Path(f"{store}.state").glob("*/trash/*")
    path.write_bytes(path.read_bytes().replace(b"message", b"massage"))
    shutil.copy(*returning)
    assert "is not here" in collector.run().blocked[0]
    assert not list(store.glob(f"objects/*/{path.name}*"))


def test_the_trash_stays_while_anything_is_in_doubt(
    store: Path, collector: Collector, returning: tuple[Path, Path]
) -> None:
    """A ref comes back with a damaged first line: what it needs is kept until somebody can tell."""
    collector.until(lambda report: report.freed.files == 1)
    copy, path = returning
    path.write_bytes(copy.read_bytes().replace(b"returning", b"returned!"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(9):
            assert collector.run().blocked
    assert len(collector.trash()) == 1
    shutil.copy(*returning)
    collector.run()
    with open_store(store) as manager:
        assert manager.load_session("returning").messages == [message(50, TEXT)]


def test_what_was_needed_meanwhile_begins_anew(store: Path, collector: Collector, returning: tuple[Path, Path]) -> None:
    """The grace counts from when an object was last seen needed."""
    _, path = returning
    for _ in range(3):
        assert collector.run().condemned.files == 0
    shutil.copy(*returning)
    assert "grace" not in collector.run().kept
    path.unlink()
    lose_record(store)
    assert collector.until(lambda report: report.condemned.files == 1) == 4


@pytest.mark.parametrize("damage", ["a ref", "a header", "an object", "a missing object", "a replica file"])
def test_nothing_goes_where_anything_is_in_doubt(store: Path, collector: Collector, damage: str) -> None:
    """Whoever cannot read all refs and lists cannot tell what is needed: it says why, and nothing happens."""
    left = collector.leave(99)
    with open_store(store) as manager:
        say(manager, manager.create_session("other"), 1)
    collector.run()
    lose_record(store)
    path = ref_of(store, "other")
    if damage == "a ref":
        path.write_bytes(path.read_bytes().replace(b"message 1", b"massage 1"))
    elif damage == "a header":
        path.write_bytes(path.read_bytes().replace(b'"other"', b'"ather"'))
    elif damage in ("an object", "a missing object"):
        needed = next(each for each in objects_of(store) if each != left)
        needed.unlink()
        if damage == "an object":
            needed.write_bytes(b"{}\n")
    else:
        (store / "refs" / "laptop").mkdir()
        (store / "refs" / "laptop" / "replica.json").write_bytes(b"{}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reports = [collector.run() for _ in range(9)]
    if damage != "an object":
        told = collector.run(dry_run=True)
        assert (told.freed.files, told.condemned.files) == (0, 0)
    # Damage of messages is looked for once something is about to be condemned.
    assert reports[-1].blocked
    assert all((report.freed.files, report.condemned.files) == (0, 0) for report in reports)
    assert left.exists()


def test_what_is_condemned_stays_where_anything_is_in_doubt(store: Path, collector: Collector) -> None:
    """Damage that comes between the condemning and the deletion: the list waits."""
    left = collector.leave(99)
    collector.until(lambda report: report.condemned.files == 1)
    for path in objects_of(store):
        if path != left and path.name.endswith(".jsonl.zst"):
            path.rename(store.with_name(path.name))
    reports = [collector.run() for _ in range(6)]
    assert all(report.blocked and report.freed.files == 0 for report in reports)
    assert left.exists()
    for path in store.parent.glob("*.jsonl.zst"):
        path.rename(store / "objects" / path.name[:2] / path.name)
    collector.until(lambda report: report.freed.files == 1)
    check_whole(store)


def test_nothing_goes_while_something_is_kept_aside(store: Path, collector: Collector) -> None:
    """What is brought back from there may need what nothing in the store leads to now."""
    left = collector.leave(99)
    elsewhere = store.with_name("elsewhere")
    with open_store(elsewhere, state_path=f"{store}.state", replica="elsewhere") as manager:
        say(manager, manager.create_session("theirs"), 1)
    (records,) = Path(f"{store}.state").glob("elsewhere-*/own/elsewhere")
    (own,) = Path(f"{store}.state").glob("store-*/own")
    shutil.move(records, own / "elsewhere.0123abcd")
    reports = [collector.run() for _ in range(9)]
    assert all("kept_aside()" in report.blocked[0] for report in reports)
    assert all(report.condemned.files == 0 for report in reports)
    assert left.exists()


def test_another_replica_is_waited_for(store: Path, collector: Collector) -> None:
    """Nothing goes as long as one has a ref or a file here, has not answered, and nobody has retired it."""
    left = collector.leave(99)
    with open_store(store) as manager:
        repo_of(manager).backend.write_replica_file("laptop", encode_replica_file(ReplicaFile("laptop", 1)))
        own = replica_files.own_id(repo_of(manager))
    collector.until(lambda report: report.condemned.files == 1)
    reports = [collector.run() for _ in range(9)]
    assert {report.waiting_for for report in reports} == {("laptop",)}
    assert left.exists()
    with open_store(store) as manager:
        replica_files.say(repo_of(manager), lambda said: replace(said, retired=("laptop",)))
        assert own == replica_files.own_id(repo_of(manager))
    assert collector.run().freed.files == 1
    assert not left.exists()


@pytest.mark.parametrize("folder", ["laptop", "own"])
def test_a_ref_of_another_replica_is_enough(store: Path, collector: Collector, folder: str) -> None:
    """By its folder or by its header: that replica may have further refs that are not here yet."""
    left = collector.leave(99)
    other = store.with_name("other")
    with open_store(other, replica="laptop") as manager:
        say(manager, manager.create_session("theirs"), 1)
    target = ref_of(store, "chat").parent if folder == "own" else store / "refs" / "laptop"
    target.mkdir(exist_ok=True)
    shutil.copy(ref_of(other, "theirs"), target)
    collector.until(lambda report: report.condemned.files == 1)
    assert {collector.run().waiting_for for _ in range(9)} == {("laptop",)}
    assert left.exists()


def test_one_that_comes_after_the_condemning_is_waited_for(store: Path, collector: Collector) -> None:
    """A replica that nobody knew of may need what is on the list."""
    left = collector.leave(99)
    collector.until(lambda report: report.condemned.files == 1)
    with open_store(store) as manager:
        repo_of(manager).backend.write_replica_file("laptop", encode_replica_file(ReplicaFile("laptop", 1)))
    assert all(collector.run().freed.files == 0 for _ in range(9))
    assert left.exists()
    with open_store(store) as manager:
        said = replica_files.own_said(repo_of(manager))
        assert said is not None
        assert (said.condemned is not None, said.done) == (True, ())


def test_what_was_reverted_is_put_back_first(store: Path) -> None:
    """An older copy comes to stand in the store while a manager has it open: what that lacks is no garbage."""
    with open_store(store) as manager:
        path = ref_of(store, "chat")
        older = path.read_bytes()
        session = manager.load_session("chat")
        session.add_message(message(33, TEXT))
        manager.save_session(session)
        path.write_bytes(older)
        assert manager.maintenance.gc().kept["grace"].files == 1
        with pytest.warns(match="put back"):
            assert "grace" not in manager.maintenance.gc(dry_run=False).kept


def test_one_gc_at_a_time(store: Path) -> None:
    """A second one on the machine is refused, and told which one it is; a dry run is not."""
    with (
        open_store(store) as manager,
        repo_of(manager).machine.keeping_house("repair"),
        open_store(store) as other,
        ThreadPoolExecutor() as threads,
    ):
        assert threads.submit(other.maintenance.gc).result().dry_run
        second = threads.submit(other.maintenance.gc, dry_run=False)
        with pytest.raises(StoreError, match="`repair` of process"):
            second.result()


def test_ages_are_of_one_store(store: Path, collector: Collector) -> None:
    """A copy that was put at the path begins anew: what is old in one need not be old in the other."""
    collector.leave(99)
    for _ in range(3):
        collector.run()
    shutil.copytree(store, store.with_name("copy"), copy_function=shutil.copy)
    shutil.rmtree(store)
    store.with_name("copy").rename(store)
    assert [collector.run().condemned.files for _ in range(4)] == [0, 0, 0, 1]
    assert GRACE == 9
