"""The times of a session: naive local ones, the same in UTC, and those that an importer gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, fill, message, open_store
from test_custom_storage import DictStorage

from coda_fs_session import Session, SessionConflictError, SessionInfo, StoreError
from coda_fs_session.hooks.hooks import SessionHook
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing import Fault, FaultyBackend

OLD = datetime(2024, 5, 17, 12, 30, 1, 5, tzinfo=UTC)
OLDER = OLD - timedelta(days=1)
FUTURE = datetime(2300, 1, 1, tzinfo=UTC)
IMPOSSIBLE = [datetime.min, datetime.max, datetime(1, 6, 1, tzinfo=UTC), datetime(9999, 6, 1, tzinfo=UTC)]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the time zone of this process."""

    def use(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    if not hasattr(time, "tzset"):
        pytest.skip("the system has one time zone for all processes")
    yield use
    monkeypatch.undo()
    time.tzset()


def times(again: Opener, name: str = "chat") -> tuple[datetime, datetime]:
    """Return the times of a session as all that shows them agrees on: a list, the info, and a session loaded anew."""
    manager = again()
    (listed,) = (info for info in manager.list_sessions() if info.name == name)
    info, session = manager.get_session_info(name), manager.load_session(name)
    assert info is not None
    for each in (listed, info, session):
        assert each.created.utcoffset() == each.updated.utcoffset() == timedelta(0)
        assert each.created_at.tzinfo is each.updated_at.tzinfo is None
        assert (each.created_at.astimezone(UTC), each.updated_at.astimezone(UTC)) == (each.created, each.updated)
    assert (listed.created, listed.updated) == (info.created, info.updated) == (session.created, session.updated)
    return session.created, session.updated


def is_now(moment: datetime) -> bool:
    return abs(datetime.now(UTC) - moment) < timedelta(minutes=10)


def test_a_save_has_the_time_that_it_is_given(again: Opener) -> None:
    """It is shown by the session, a list and another manager; the next plain save shows now."""
    with again() as manager:
        session = manager.create_session("chat")
        session.add_message(message(0))
        manager.save_session(session, updated_at=OLD)
        assert session.updated == OLD
        assert not session.has_unsaved_changes
        created, updated = times(again)
        assert (is_now(created), updated) == (True, OLD)
        session.add_message(message(1))
        manager.save_session(session)
        assert is_now(session.updated)
        assert is_now(times(again)[1])
        session.update_metadata({"topic": "x"})
        manager.save_session(session, updated_at=OLDER)
        assert times(again)[1] == OLDER
        session.drop_last()
        manager.save_session(session, updated_at=OLD)
        assert times(again)[1] == OLD
        assert again().load_session("chat").get_messages() == [message(0)]
    assert times(again)[1] == OLD


def test_the_time_alone_can_be_saved(again: Opener) -> None:
    """Where nothing else has changed the time is, and no message comes or goes; given again it writes nothing."""
    with again() as manager:
        messages = fill(manager, "chat", 3)
        session = manager.load_session("chat")
        before = session.revision
        manager.save_session(session, updated_at=OLD)
        assert times(again)[1] == OLD
        assert (again().load_session("chat").get_messages(), session.revision) == (messages, before)
        manager.save_session(session)
        assert times(again)[1] == OLD, "a save of no change moves no time"


def test_it_writes_nothing_twice(tmp_path: Path) -> None:
    """A time that the session has already is no change."""
    manager = open_store(tmp_path / "store")
    fill(manager, "chat")
    session = manager.load_session("chat")
    (path,) = (tmp_path / "store").glob("refs/*/chat.jsonl")
    sizes = []
    for _ in range(2):
        manager.save_session(session, updated_at=OLD)
        sizes.append(path.stat().st_size)
    assert sizes[0] == sizes[1]


def test_a_new_session_has_the_times_that_it_is_given(again: Opener) -> None:
    """By any way to make one: created, saved as an object of one's own, or a branch; `created_at` stands for both."""
    with again() as manager:
        manager.create_session("both", created_at=OLDER, updated_at=OLD)
        manager.create_session("one", created_at=OLD)
        manager.create_session("last", updated_at=FUTURE)
        own = Session("own", [message(0)], created_at=OLDER, updated_at=OLDER)
        manager.save_session(own, updated_at=OLD)
        manager.create_session("branch", branch_from="own", created_at=OLDER, updated_at=OLD)
        manager.create_session("young", branch_from="own", created_at=OLD)
        manager.create_session("now", branch_from="own")
    assert times(again, "both") == times(again, "own") == times(again, "branch") == (OLDER, OLD)
    assert times(again, "one") == times(again, "young") == (OLD, OLD)
    assert is_now(times(again, "last")[0])
    assert times(again, "last")[1] == FUTURE
    assert all(map(is_now, times(again, "now")))
    assert again().load_session("branch").parent == "own"
    again().create_session("both", created_at=FUTURE, updated_at=FUTURE)
    assert times(again, "both") == (OLDER, OLD), "one that is there keeps its times"


def test_a_renamed_session_keeps_its_times(again: Opener, zone: Callable[[str], None]) -> None:
    """Also where its local time came twice."""
    zone("Europe/Berlin")
    second = datetime(2024, 10, 27, 1, 30, tzinfo=UTC)
    with again() as manager:
        manager.create_session("chat", created_at=second - timedelta(hours=1), updated_at=second)
        if not isinstance(manager._storage, DictStorage):
            manager.rename_session("chat", "talk")
            assert times(again, "talk") == (second - timedelta(hours=1), second)


def test_naive_times_are_local(again: Opener, zone: Callable[[str], None]) -> None:
    """Aware ones may be of any zone; of a local time that comes twice, `fold` says which is meant."""
    zone("Europe/Berlin")
    with again() as manager:
        summer = datetime(2024, 7, 1, 12)
        session = manager.create_session("chat", created_at=summer)
        manager.save_session(session, updated_at=datetime(2024, 7, 1, 23, tzinfo=timezone(timedelta(hours=9))))
        assert times(again) == (datetime(2024, 7, 1, 10, tzinfo=UTC), datetime(2024, 7, 1, 14, tzinfo=UTC))
        assert session.created_at == summer
        twice = datetime(2024, 10, 27, 2, 30)
        session = manager.create_session("fold", created_at=twice, updated_at=twice.replace(fold=1))
        assert session.updated - session.created == timedelta(hours=1)
        assert session.created_at == session.updated_at == twice
        assert (session.created_at.fold, session.updated_at.fold) == (0, 1)
        info = manager.get_session_info("fold")
        assert info is not None
        expected = timedelta(0) if isinstance(manager._storage, _KeepsNoFold) else timedelta(hours=1)
        assert info.updated - info.created == expected


_KeepsNoFold = DictStorage
"""Keeps naive local times as text, which has no fold: the first of two moments is meant."""


def test_what_a_storage_of_four_methods_tells(zone: Callable[[str], None]) -> None:
    """An info made of the fields of old has the times in UTC too."""
    zone("America/New_York")
    info = SessionInfo("chat", 0, datetime(2024, 1, 1), datetime(2024, 7, 1), {}, 0)
    assert info.created == datetime(2024, 1, 1, 5, tzinfo=UTC)
    assert info.updated == datetime(2024, 7, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize("moment", [*IMPOSSIBLE, "2024-05-17", OLD.date(), 5])
def test_a_time_that_is_none(again: Opener, moment: Any) -> None:
    """It is refused at once, and changes nothing: no session is made, none is saved, none has another time."""
    error = ValueError if isinstance(moment, datetime) else TypeError
    with again() as manager:
        fill(manager, "chat")
        session = manager.load_session("chat")
        session.add_message(message(5))
        before = session.updated
        for field in ("created_at", "updated_at"):
            for more in ({}, {"branch_from": "chat"}):
                with pytest.raises(error):
                    manager.create_session("new", **more, **{field: moment})
            with pytest.raises(error):
                manager.create_session("chat", **{field: moment})
        for each in (session, Session("new")):
            with pytest.raises(error):
                manager.save_session(each, updated_at=moment)
        assert session.updated == before
        assert session.has_unsaved_changes
        assert [info.name for info in manager.list_sessions()] == ["chat"]
        assert len(again().load_session("chat")) == 3


def test_a_time_in_the_future_breaks_nothing(again: Opener) -> None:
    """Metadata set after such a save wins over what was set before, and every later save is in its place."""
    with again() as manager:
        session = manager.create_session("chat", created_at=FUTURE)
        for number, moment in enumerate([FUTURE, None, FUTURE, OLD, None]):
            session.add_message(message(number))
            session.update_metadata({"number": number})
            manager.save_session(session, updated_at=moment)
            other = again().load_session("chat")
            assert (len(other), other.metadata["number"]) == (number + 1, number)
            assert other.updated == moment if moment else is_now(other.updated)


def test_a_session_of_long_ago_is_last(again: Opener) -> None:
    """What is shown as the time is what lists are ordered by."""
    with again() as manager:
        for name, moment in (("a", OLD), ("b", FUTURE), ("c", OLDER)):
            manager.save_session(Session(name), updated_at=moment)
        fill(manager, "now")
        assert [info.name for info in manager.list_sessions()] == ["b", "now", "a", "c"]
        manager.save_session(manager.load_session("c"), updated_at=FUTURE + timedelta(seconds=1))
        assert [info.name for info in again().list_sessions()] == ["c", "b", "now", "a"]


def test_many_saves_are_rewritten_with_the_time(tmp_path: Path) -> None:
    """Where a ref is written anew, it has the time of the last save too."""
    manager = open_store(tmp_path / "store")
    session = manager.create_session("chat")
    for number in range(600):
        session.add_message(message(number, 1000))
        manager.save_session(session, updated_at=OLD + timedelta(seconds=number))
        if number % 50 == 0 or number > 590:
            assert open_store(tmp_path / "store").load_session("chat").updated == OLD + timedelta(seconds=number)
    session.add_message(message(0, 200_000))
    manager.save_session(session, updated_at=OLDER)
    assert open_store(tmp_path / "store").load_session("chat").updated == OLDER


@pytest.mark.parametrize("policy", ["append", "branch"])
def test_a_stale_save_has_its_time(again: Opener, policy: Any) -> None:
    """Where others have saved meanwhile, what comes after theirs, or becomes a branch, has it."""
    with again() as here, again() as there:
        if isinstance(here._storage, DictStorage):
            return
        fill(here, "chat", 2)
        session, other = here.load_session("chat"), there.load_session("chat")
        session.add_message(message(10))
        if here._storage is there._storage:
            return
        other.add_message(message(20))
        there.save_session(other)
        with pytest.warns() if policy == "branch" else _nothing():
            here.save_session(session, on_conflict=policy, updated_at=OLD)
        assert times(again, session.name)[1] == session.updated == OLD
        assert session.name == "chat" or policy == "branch"


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_a_stale_time_alone(tmp_path: Path, backend: str) -> None:
    """Where others have saved meanwhile, the time is saved after theirs."""
    here, there = (open_store(tmp_path / "store", backend=backend) for _ in range(2))
    fill(here, "chat", 2)
    session, other = here.load_session("chat"), there.load_session("chat")
    other.add_message(message(20))
    there.save_session(other)
    here.save_session(session, updated_at=OLD)
    again = open_store(tmp_path / "store", backend=backend).load_session("chat")
    assert (len(again), again.updated, session.updated) == (3, OLD, OLD)


def test_a_condition_and_a_time(again: Opener) -> None:
    """Both hold for the same save; one that is refused leaves the time of the session as it was."""
    with again() as manager:
        fill(manager, "chat", 2)
        session = manager.load_session("chat")
        session.add_message(message(5))
        before = session.updated
        with pytest.raises(SessionConflictError):
            manager.save_session(session, expected="other", updated_at=OLD)
        assert session.updated == before
        manager.save_session(session, expected=session.revision, updated_at=OLD)
        assert times(again)[1] == OLD


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_save_that_failed_is_repeated_with_its_time(tmp_path: Path, when: Any) -> None:
    """Whether the first attempt got in or not, the session has each message once, and the time."""
    manager = open_store(tmp_path / "store")
    fill(manager, "chat", 2)
    session = manager.load_session("chat")
    storage = manager._storage
    assert isinstance(storage, RepoStorage)
    faulty = FaultyBackend(storage.repo.backend, Fault("append_ref", when=when))
    storage.repo.use(faulty)
    session.add_message(message(2))
    with pytest.raises(StoreError):
        manager.save_session(session, updated_at=OLD)
    manager.save_session(session, updated_at=OLD)
    other = open_store(tmp_path / "store").load_session("chat")
    assert (len(other), other.updated, session.updated) == (3, OLD, OLD)


def test_hooks_and_a_time(again: Opener) -> None:
    """A hook that changes what is saved leaves the time of the save."""

    class Mark(SessionHook):
        def before_save(self, session: Session, pending: Any) -> None:
            pending.metadata["seen"] = True

    with again() as manager:
        manager.use(Mark())
        session = manager.create_session("chat", created_at=OLDER)
        session.add_message(message(0))
        manager.save_session(session, updated_at=OLD)
    assert times(again) == (OLDER, OLD)


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...
