"""Repairing a store: what is intact comes back, nothing good is overwritten, what is lost is named."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from damage.specimen import DESK, LAPTOP, SIZES, Reading, make, open_fresh, read_all, reading
from storekit import fill, message, open_store, ref_of, say, tree, untouched

from coda_fs_session import RepairReport, SessionError, SessionManager, StoreError, StoreReadOnlyError
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.memory import MemoryState
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing import Fault, FaultyBackend

from .damages import CASES, chunk_of, commit_of, flip, ref
from .test_check import rules_of

MENDED_FROM_ELSEWHERE = (
    *("a header flipped", "a line flipped", "an object removed", "an object flipped", "an object cut off"),
    *("a commit removed", "a commit flipped"),
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("repair") / "store"
    make(store)
    return store


@pytest.fixture
def store(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "store"))


def read_what_can_be(store: Path) -> dict[str, Reading]:
    manager, found = open_fresh(store, read_only=True), {}
    for info in manager.list_sessions():
        try:
            found[info.name] = reading(manager.load_session(info.name))
        except SessionError:
            continue
    return found


def repair(store: Path, **options: Any) -> RepairReport:
    """Repair a store after a dry run, which changes nothing and says the same."""
    with untouched(store):
        dry = open_fresh(store).maintenance.repair(**options)
    before = {name: entry[-1] for name, entry in tree(store).items()}
    done = open_fresh(store).maintenance.repair(dry_run=False, **options)
    after = {name: entry[-1] for name, entry in tree(store).items()}
    changed = {name for name, content in before.items() if content is not None and after.get(name) != content}
    # Only damaged objects are written over.
    assert options.get("without_lost") or all(name.startswith("objects/") for name in changed)
    if not options.get("without_lost"):
        assert (dry.mended, dry.lost, dry.left, dry.dry_run) == (done.mended, done.lost, done.left, True)
    return done


def is_whole(store: Path) -> bool:
    return open_fresh(store, read_only=True).maintenance.check(full=True).is_whole


@pytest.mark.parametrize("case", MENDED_FROM_ELSEWHERE)
def test_another_store_has_it(case: str, store: Path, good: Path) -> None:
    """What is damaged or missing is brought back from another store: all reads as before, and it checks clean."""
    before = read_what_can_be(store)
    CASES[case][0](store)
    report = repair(store, from_store=good)
    assert report.mended
    assert (report.lost, report.left) == ((), ())
    assert read_what_can_be(store) == before
    assert rules_of(open_fresh(store).maintenance.check(full=True)) <= {"ref-replaced"}


def test_a_ref_whose_objects_are_damaged_too(store: Path, good: Path) -> None:
    """With a ref of another store comes what it needs, also what nothing here needs as long as the ref is unreadable.

    What was here, and damaged, was once left so.
    """
    before = read_what_can_be(store)
    flip(chunk_of(store, "edited"))
    flip(ref(store, "edited"), 30)
    repair(store, from_store=good)
    assert read_what_can_be(store) == before
    assert is_whole(store)


def test_a_second_run_has_nothing_to_do(store: Path, good: Path) -> None:
    """What a repair has done needs no other one."""
    flip(ref(store, "tagged"))
    chunk_of(store, "edited").unlink()
    repair(store, from_store=good)
    again = repair(store, from_store=good)
    assert (again.mended, again.lost, again.left) == ((), (), ())


@pytest.mark.parametrize("place", ["objects/AB", "objects/ab (Case Conflict)", "objects 2/ab", "lost"])
@pytest.mark.parametrize("name", [str.lower, str.upper])
@pytest.mark.parametrize(("of", "session"), [(chunk_of, "continued"), (commit_of, "cleared")])
def test_where_a_tool_has_put_it(store: Path, place: str, name: Callable[[str], str], of: Any, session: str) -> None:
    """An object in a folder of another name, or in another case, is found and written to its place; that file stays.

    Once only a check named it, and a repair said that it was lost.
    """
    before, path = read_all(store), of(store, session)
    other = store / place / name(path.name)
    other.parent.mkdir(parents=True)
    path.rename(other)
    wrong = other.with_name(f"{path.name[:64]} (copy)")
    wrong.write_bytes(b"{}\n")
    report = repair(store)
    assert [(each.path, each.what) for each in report.mended] == [
        (str(path), f"the object is brought back from {other}"),
    ]
    assert (report.lost, report.left) == ((), ())
    assert other.exists()
    assert is_whole(store)
    assert read_all(store) == before


def test_a_line_in_the_middle(tmp_path: Path) -> None:
    """Of a damaged line the messages are lost, and named; what came before and behind it comes back."""
    store = tmp_path / "store"
    manager = open_fresh(store, sizes=SIZES._replace(minimum=4096, full=8192))
    session = manager.create_session("talk")
    for number in range(6):
        say(manager, session, number)
    path = ref(store, "talk")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"message 2", b"message 7"), *lines[4:]]))
    with pytest.raises(StoreError):
        open_fresh(store).load_session("talk")
    report = repair(store)
    (lost,) = report.lost
    assert (lost.session, lost.messages, lost.count) == ("talk", (range(2, 3),), 1)
    assert "lacks messages 2" in str(lost)
    assert open_fresh(store).load_session("talk").messages == [message(each) for each in (0, 1, 3, 4, 5)]
    assert is_whole(store)


def test_a_newline(tmp_path: Path) -> None:
    """Where only the newline between two saves is damaged, nothing is lost."""
    store = tmp_path / "store"
    manager = open_fresh(store, sizes=SIZES._replace(minimum=4096, full=8192))
    session = manager.create_session("talk")
    for number in range(4):
        say(manager, session, number)
    path = ref(store, "talk")
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], b"\x0b".join(lines[2:4]), *lines[4:]]))
    report = repair(store)
    assert report.lost == ()
    assert open_fresh(store).load_session("talk").messages == [message(each) for each in range(4)]


def test_another_ref_has_the_messages(tmp_path: Path) -> None:
    """A chunk that is lost is made once more of messages that stand in the ref of another machine."""
    store = tmp_path / "store"
    large = SIZES._replace(minimum=4096, full=8192)
    desk = open_fresh(store, sizes=large)
    session = desk.create_session("talk")
    say(desk, session, *range(12))
    other = Path(shutil.copytree(store, tmp_path / "other"))
    elsewhere = open_fresh(other, sizes=large)
    say(elsewhere, elsewhere.load_session("talk"), 12, 13)
    copy = ref(other, "talk").read_bytes()
    desk = open_fresh(store)
    say(desk, desk.load_session("talk"), 12, 13)
    beside = store / "refs" / LAPTOP / "talk.jsonl"
    beside.parent.mkdir()
    beside.write_bytes(copy)
    lost = list(store.glob("objects/*/*.jsonl"))
    assert lost
    for each in lost:
        each.unlink()
    report = repair(store)
    assert report.mended
    assert report.lost == ()
    assert open_fresh(store).load_session("talk").messages == [message(each) for each in range(14)]


def test_nothing_has_it(store: Path) -> None:
    """Messages that are nowhere are named by their places; the session goes on without them where that is asked for."""
    before = read_what_can_be(store)
    path = chunk_of(store, "continued")
    path.unlink()
    report = repair(store)
    assert {(each.session, each.messages) for each in report.lost} == {("continued", (range(2),))}
    assert [each.rule for each in report.left] == ["object-missing"]
    assert not is_whole(store)
    report = repair(store, without_lost=True)
    assert [each.why for each in report.lost] == ["the session goes on without them"]
    after = read_what_can_be(store)
    assert after.pop("continued").lines == before.pop("continued").lines[2:]
    assert after == before


def test_history_alone(store: Path) -> None:
    """What only an earlier state lacks loses no message of a session, and stays as a finding of history."""
    before = read_what_can_be(store)
    commit_of(store, "cleared").unlink()
    report = repair(store)
    assert (report.mended, report.lost, [each.severity for each in report.left]) == ((), (), ["history"])
    assert read_what_can_be(store) == before


def test_random_damage(good: Path, seed: int, long_size: bool, tmp_path: Path) -> None:
    """Whatever is damaged: what could be read reads the same after a repair; with another store, all of it."""
    chance, before = random.Random(seed), read_what_can_be(good)
    for number in range(60 if long_size else 6):
        here = Path(shutil.copytree(good, tmp_path / str(number)))
        files = sorted(path for path in here.rglob("*") if path.is_file() and path.parent != here)
        refs_are_good = True
        for path in chance.sample(files, 3):
            if chance.random() < 0.4 and "objects" in path.parts:
                path.unlink()
            elif chance.random() < 0.5:
                flip(path, chance.randrange(path.stat().st_size))
            else:
                os.truncate(path, chance.randrange(1, path.stat().st_size))
            refs_are_good &= "refs" not in path.parts
        read, again = read_what_can_be(here), Path(shutil.copytree(here, tmp_path / f"{number} again"))
        repair(here)
        after = read_what_can_be(here)
        assert {name: after.get(name) for name in read} == read
        repair(here, from_store=good)
        assert is_whole(here)
        repair(again, from_store=good)
        assert is_whole(again)
        # What is cut off at the end of a ref was never saved, as far as anybody can tell.
        assert not refs_are_good or read_what_can_be(again) == before
        shutil.rmtree(here)
        shutil.rmtree(again)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_each_call(when: Any, store: Path, good: Path, tmp_path: Path) -> None:
    """Ended at any write, a repair is ended by running it again, with the same outcome."""
    before = read_what_can_be(store)
    flip(ref(store, "tagged"))
    chunk_of(store, "edited").unlink()
    flip(commit_of(store, "cleared"))
    for number in range(8):
        here = Path(shutil.copytree(store, tmp_path / f"{number}"))
        verb, at = ("put_objects", number) if number < 4 else ("create_ref", number - 4)
        backend = FaultyBackend(LocalBackend(here, files=Files(durable=False)), Fault(verb, at=at, when=when))
        storage = RepoStorage(Repository(backend, MemoryState(DESK), Settings(sizes=SIZES)))
        manager = SessionManager({"session": {"autosave_interval": 0}}, storage=storage)
        with suppress(SessionError):
            manager.maintenance.repair(dry_run=False, from_store=good)
        repair(here, from_store=good)
        assert read_what_can_be(here) == before
        assert is_whole(here)


def test_what_this_machine_recorded(tmp_path: Path) -> None:
    """A damaged ref of this machine comes back from its own record, also where nothing of the file can be read."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        messages = fill(manager, "talk", 3)
    manager = open_store(store)
    assert manager.maintenance.check().is_whole
    flip(ref_of(store, "talk"), 40)
    report = manager.maintenance.repair(dry_run=False)
    assert "what this machine recorded" in str(report.mended[0])
    assert report.lost == ()
    assert open_store(store).load_session("talk").messages == messages
    assert open_store(store).maintenance.check(full=True).is_whole


@pytest.mark.parametrize("kind", ["files", "sqlite"])
def test_a_database(tmp_path: Path, kind: str) -> None:
    """An object that is gone from a database comes back from another store, be that of files or a database."""
    with open_store(tmp_path / "store", backend="sqlite") as manager:
        messages = fill(manager, "talk", 3, size=70_000)
        with open_store(tmp_path / "good", backend=kind) as good:
            manager.sync(good)
    with contextlib.closing(sqlite3.connect(tmp_path / "store" / "sessions.db")) as database, database:
        assert database.execute("DELETE FROM objects").rowcount == 3
    with open_store(tmp_path / "store", backend="sqlite") as manager:
        assert {each.rule for each in manager.maintenance.check().findings} == {"object-missing"}
        report = manager.maintenance.repair(dry_run=False, from_store=tmp_path / "good")
        assert (len(report.mended), report.lost, report.left) == (3, (), ())
        assert manager.maintenance.check(full=True).is_whole
        assert manager.load_session("talk").messages == messages


def test_one_at_a_time(tmp_path: Path) -> None:
    """While one keeps house, another one is refused at once, and told which it is; a dry run is not."""
    with open_store(tmp_path / "store") as manager:
        fill(manager, "talk")
        other = open_store(tmp_path / "store")
        assert other._engine is not None
        with other._engine.repo.machine.keeping_house("gc"):
            pass
        ready, done = threading.Event(), threading.Event()

        def hold() -> None:
            assert other._engine is not None
            with other._engine.repo.machine.keeping_house("gc"):
                ready.set()
                done.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            assert ready.wait(60)
            for _ in "ab":
                with pytest.raises(StoreError, match=rf"`gc` of process {os.getpid()}, since .* is keeping house"):
                    manager.maintenance.repair(dry_run=False)
            manager.maintenance.repair()
        finally:
            done.set()
            thread.join()
        manager.maintenance.repair(dry_run=False)


def test_refusals(tmp_path: Path) -> None:
    """A manager that only reads repairs nothing, but can tell; another store must be one, and another one."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        fill(manager, "talk")
        with pytest.raises(ValueError, match="itself"):
            manager.maintenance.repair(from_store=store)
        with pytest.raises(StoreError, match="no store"):
            manager.maintenance.repair(from_store=tmp_path / "nothing")
    reader = open_store(store, read_only=True)
    assert reader.maintenance.repair().mended == ()
    with pytest.raises(StoreReadOnlyError):
        reader.maintenance.repair(dry_run=False)


def test_edits_and_metadata_behind_the_damage(tmp_path: Path) -> None:
    """What later saves replaced is replaced, and what they set is set, though a save before them is lost."""
    store = tmp_path / "store"
    manager = open_fresh(store, sizes=SIZES._replace(minimum=4096, full=8192))
    session = manager.create_session("talk")
    for number in range(4):
        say(manager, session, number)
    session.messages[3]["content"] = "edited"
    session.metadata["topic"] = "tea"
    manager.save_session(session)
    path = ref(store, "talk")
    path.write_bytes(path.read_bytes().replace(b"message 1", b"message 7"))
    (lost,) = repair(store).lost
    assert lost.messages == (range(1, 2),)
    again = open_fresh(store).load_session("talk")
    assert again.messages == [message(0), message(2), {"role": "user", "content": "edited"}]
    assert again.metadata == {"topic": "tea"}


def test_another_store_has_less(tmp_path: Path) -> None:
    """An older ref of another store does not stand in for a damaged one that has more that is intact."""
    store = tmp_path / "store"
    manager = open_fresh(store, sizes=SIZES._replace(minimum=4096, full=8192))
    session = manager.create_session("talk")
    say(manager, session, 0)
    older = Path(shutil.copytree(store, tmp_path / "older"))
    say(manager, session, 1)
    say(manager, session, 2)
    flip(ref(store, "talk"))
    repair(store, from_store=older)
    assert open_fresh(store).load_session("talk").messages == [message(0), message(1)]


def test_a_damaged_save_without_messages(tmp_path: Path) -> None:
    """A save of metadata alone is damaged: nobody can tell what it had, so the loss is named without places."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        session = manager.create_session("talk")
        say(manager, session, 0)
        session.update_metadata({"colour": "teal"})
        manager.save_session(session)
        say(manager, session, 1)
    shutil.rmtree(f"{store}.state")
    (path,) = store.glob("refs/*/talk.jsonl")
    path.write_bytes(path.read_bytes().replace(b"teal", b"tail"))
    with open_store(store) as manager:
        (lost,) = manager.maintenance.repair(dry_run=False).lost
        assert (lost.session, lost.messages, lost.why) == ("talk", (), "they stood in the lines that are damaged")
        assert [each["content"] for each in manager.load_session("talk").messages] == ["message 0 ", "message 1 "]
