"""A purge reaches the other machines: each takes out what it has written, and what tools bring back goes again."""

from __future__ import annotations

import shutil
import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session import Session, SessionManager, SessionWarning
from coda_fs_session.backends.base import NewObject
from coda_fs_session.format.ids import ObjectId, object_id
from coda_fs_session.format.purge_records import PurgeRecord, encode_purge_record
from coda_fs_session.repo.replica_files import say

from .test_purge import SECRET, STARS, holding, tell

SOME = f"my key is {SECRET}"


def open_as(store: Path, replica: str, **options: Any) -> SessionManager:
    return open_store(store, replica=replica, state_path=f"{store}.{replica}", **options)


def fill(store: Path) -> None:
    """Two machines that hold it: in refs of their own, in objects, in metadata."""
    with open_as(store, "desk") as desk:
        tell(desk, "talk", SOME, "yes")
        tell(desk, "long", SOME, "x" * 70_000)
    with open_as(store, "laptop") as laptop:
        tell(laptop, "talk", "of the laptop")
        again = tell(laptop, "again", SOME)
        again.metadata["key"] = SECRET
        laptop.save_session(again)
        laptop.create_session("branch", branch_from="again")


def purge(store: Path) -> None:
    with open_as(store, "desk") as desk:
        tell(desk, "note", "")
        noted = desk.load_session("note")
        noted.metadata["key"] = SECRET
        desk.save_session(noted)
        report = desk.maintenance.purge_text(SECRET)
        assert {place.session for place in report.places} >= {"again", "long", "talk"}
        assert report.elsewhere
        assert desk.maintenance.check(full=True).is_whole


def look(store: Path) -> None:
    """What a machine shows of another one's refs it keeps until it looks at them again."""
    with open_as(store, "desk") as desk:
        desk.list_sessions()


def exchange(laptop: Path, desk: Path, rounds: int, **options: Any) -> Any:
    """Let the laptop sync with the desk, and both do their part as they close; return what the last sync tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(rounds):
            with open_as(laptop, "laptop") as manager:
                report = manager.sync(desk, **options)
            open_as(desk, "desk").close()
    return report


def test_another_machine(tmp_path: Path) -> None:
    """It takes the text out when a manager that writes closes, says of which sessions once, and changes no others."""
    store = tmp_path / "store"
    fill(store)
    purge(store)
    assert holding(store, SECRET)
    with pytest.warns(SessionWarning, match="'again'.* here too"):
        open_as(store, "laptop").close()
    look(store)
    assert holding(store, SECRET) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_as(store, "laptop") as laptop:
            assert laptop.load_session("again").messages[0]["content"] == f"my key is {STARS}"
            assert laptop.load_session("again").metadata == {"key": STARS}
            assert [each["content"] for each in laptop.load_session("talk")][1:] == ["yes", "of the laptop"]
            assert {info.name for info in laptop.list_sessions()} == {"again", "branch", "long", "note", "talk"}
            assert laptop.maintenance.check(full=True).findings == ()


def test_what_a_tool_brings_back(tmp_path: Path) -> None:
    """Old object files go again, and old refs of this machine are put back as they are now."""
    store = tmp_path / "store"
    fill(store)
    shutil.copytree(store, tmp_path / "backup")
    purge(store)
    with pytest.warns(SessionWarning):
        open_as(store, "laptop").close()
    shutil.copytree(tmp_path / "backup", store, dirs_exist_ok=True)
    assert holding(store, SECRET)
    for replica in ("desk", "laptop"):
        open_as(store, replica).close()
    look(store)
    assert holding(store, SECRET) == []
    with open_as(store, "desk") as desk:
        assert desk.maintenance.check(full=True).is_whole


@pytest.mark.parametrize(("heeded", "obeys"), [("none", False), (["phone"], False), (["phone", "desk"], True)])
def test_whom_a_machine_obeys(tmp_path: Path, heeded: Any, obeys: bool) -> None:
    store = tmp_path / "store"
    fill(store)
    purge(store)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_as(store, "laptop", purge_from=heeded).close()
    look(store)
    assert (holding(store, SECRET) == []) is obeys


def test_an_object_stays_where_nothing_good_stands_for_it(tmp_path: Path) -> None:
    """Whatever a record says: what is here is removed only if what stands for it is a mask of it."""
    store = tmp_path / "store"
    fill(store)
    shutil.copytree(store, tmp_path / "backup")
    purge(store)
    shutil.copytree(tmp_path / "backup" / "objects", store / "objects", dirs_exist_ok=True)
    for path in store.glob("objects/*/*"):
        if STARS.encode() in path.read_bytes():
            path.unlink()
    before = sum(SECRET.encode() in path.read_bytes() for path in store.glob("objects/*/*"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_as(store, "laptop").close()
    assert sum(SECRET.encode() in path.read_bytes() for path in store.glob("objects/*/*")) == before > 0


def test_a_record_that_lies(tmp_path: Path) -> None:
    """An object stays that what is said to stand for it is no mask of; what others have is not for one to take away."""
    store = tmp_path / "store"
    with open_as(store, "desk") as desk:
        tell(desk, "talk", SOME)
        desk.create_session("branch", branch_from="talk")
        engine = desk._engine
        assert engine is not None
        ((gone, _),) = engine.repo.backend.objects()
        data = engine.repo.backend.get_object(gone, size=None, limit=1000)
        other = data.replace(b"my key", b"no key")
        record = encode_purge_record(PurgeRecord(engine.repo.now(), {ObjectId(gone): object_id(other)}))
        engine.repo.objects.put([NewObject(object_id(each), each) for each in (other, record)])
        say(engine.repo, lambda said: replace(said, purged=(object_id(record),)))
    with open_as(store, "laptop") as laptop:
        tell(laptop, "own", "yes")
    with open_as(store, "laptop") as laptop:
        assert laptop.load_session("branch").messages[0]["content"] == SOME


def test_a_sync_with_a_store_that_was_not_told(tmp_path: Path) -> None:
    """What was purged goes there in place of what is there, and nothing of it comes back, however long the ref is."""
    with open_as(tmp_path / "store", "desk") as desk:
        session = desk.create_session("talk")
        for number in range(3):
            for text in ("a", SECRET, "b"):
                session.add_message({"role": "user", "content": f"{number} {text} {'x' * 40_000}"})
            desk.save_session(session)
        desk.sync(tmp_path / "stick")
    with open_as(tmp_path / "store", "desk") as desk:
        desk.maintenance.purge_text(SECRET)
        assert desk.sync(tmp_path / "stick").pushed.refs == 1
        again = desk.sync(tmp_path / "stick")
        assert not again.pushed
        assert not again.pulled
    assert holding(tmp_path / "store", SECRET) == []
    assert holding(tmp_path / "stick" / "refs", SECRET) == []


def test_a_session_goes_on_after_a_purge(tmp_path: Path) -> None:
    """Two other machines add to a session in which something was purged, and a program that read nothing yet merges."""
    desk, laptop, phone = (tmp_path / each for each in ("desk", "laptop", "phone"))
    with open_as(desk, "desk") as manager:
        tell(manager, "talk", "hello", SOME)
        manager.maintenance.purge_text(SECRET)
    for store in (laptop, phone):
        with open_as(store, store.name) as manager:
            manager.sync(desk)
            tell(manager, "talk", f"of the {store.name}")
    for store in (laptop, phone):
        with open_as(store, store.name) as manager:
            manager.sync(desk)
    # Whoever reads an object knows of purges; whoever reads lines need not.
    assert not [path for path in desk.glob("refs/*/talk*") if STARS.encode() in path.read_bytes()]
    with open_as(phone, "phone") as manager:
        derived = next(info.name for info in manager.list_sessions() if "~" in info.name)
    with open_as(desk, "desk") as manager:
        manager.branches.merge(derived, "talk")
    with open_as(desk, "desk") as manager:
        texts = [each["content"] for each in manager.load_session("talk")]
        assert texts[:2] == ["hello", SOME.replace(SECRET, STARS)]
        assert sorted(texts[2:]) == ["of the laptop", "of the phone"]
        assert [info.name for info in manager.list_sessions()] == ["talk"]
        assert manager.maintenance.check(full=True).findings == ()


@pytest.mark.parametrize("how", ["saved", "created", "in a transaction"])
def test_what_is_purged_and_comes_again_stands_in_an_object(tmp_path: Path, how: str) -> None:
    """Where it stood before: its place among what was purged is known to whoever reads an object, and to no other."""
    with open_as(tmp_path / "store", "desk") as manager:
        tell(manager, "talk", "hello", SOME)
        manager.maintenance.purge_text(SECRET)
        said = ["hello", SOME.replace(SECRET, STARS), "more"]
        if how == "saved":
            tell(manager, "again", *said)
        else:
            session = Session("again")
            for text in said:
                session.add_message({"role": "user", "content": text})
            with manager.transaction() if how != "created" else nullcontext():
                manager.save_session(session)
        before = manager.load_session("again").revision
    for looks in (False, True):
        with open_as(tmp_path / "store", "desk") as manager:
            if looks:
                manager.search("hello")
                manager.load_session("talk")
            again = manager.load_session("again")
            assert again.revision == before
            assert [each["content"] for each in again] == said


def test_a_text_and_then_its_session(tmp_path: Path) -> None:
    """Both are purged where only another machine may write: a sync takes the tombstone for what goes on from there.

    It once put one beside the other each time, and the old one stayed.
    """
    desk, laptop = tmp_path / "desk", tmp_path / "laptop"
    with open_as(laptop, "laptop") as manager:
        tell(manager, "talk", "hello", SOME)
        session = manager.load_session("talk")
        session.messages[1]["content"] = f"{SOME} edited"
        manager.save_session(session)
    with open_as(desk, "desk") as manager:
        tell(manager, "other", "mine")
        manager.sync(laptop)
        manager.maintenance.purge_text(SECRET)
        manager.maintenance.purge("talk")
    exchange(laptop, desk, 3)
    look(laptop)
    assert [*holding(laptop, SECRET), *holding(desk, SECRET)] == []
    for store in (desk, laptop):
        assert sorted(path.parent.name for path in store.glob("refs/*/talk*")) == ["desk", "laptop"]
