"""Analytics: what the API page computes, and more, without opening or changing a session."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, fill, message, open_store, ref_of, tree
from test_custom_storage import DictStorage

from coda_fs_session import Session, SessionAnalytics, SessionManager
from coda_fs_session.repo.storage import RepoStorage


class PageAnalytics:
    """The class of the API page."""

    def __init__(self, manager: SessionManager) -> None:
        self.manager = manager

    def get_statistics(self) -> dict[str, Any]:
        sessions = self.manager.list_sessions()
        active_sessions = sorted(sessions, key=lambda s: s.updated_at, reverse=True)[:5]
        return {
            "total_sessions": len(sessions),
            "total_messages": sum(s.message_count for s in sessions),
            "total_size_mb": sum(s.size_bytes for s in sessions) / 1024 / 1024,
            "active_sessions": [s.name for s in active_sessions],
        }

    def get_activity_timeline(self, days: int = 7) -> dict[date, int]:
        cutoff = datetime.now() - timedelta(days=days)
        daily_activity: Counter[date] = Counter()
        for session in self.manager.list_sessions():
            if session.updated_at > cutoff:
                daily_activity[session.updated_at.date()] += session.message_count
        return dict(daily_activity)


def aged(manager: SessionManager, name: str, count: int, days: float) -> None:
    """Store a session that was made and last changed this many days ago."""
    moment = datetime.now() - timedelta(days=days)
    manager.save_session(Session(name, [message(n) for n in range(count)], created_at=moment, updated_at=moment))


def various(manager: SessionManager) -> None:
    for number, days in enumerate([0, 0, 1.5, 3, 3, 6.9, 8, 40]):
        aged(manager, f"s{number}", 10 - number, days)
    manager.create_session("branch", branch_from="s0", at=4)


def test_as_on_the_page(make: Opener) -> None:
    """The page's numbers are the page's, and those beside them follow from the listing."""
    manager = make()
    various(manager)
    ours, pages = SessionAnalytics(manager), PageAnalytics(manager)
    statistics, expected = ours.get_statistics(), pages.get_statistics()
    assert {key: statistics[key] for key in expected} == expected
    assert statistics["longest_sessions"] == ["s0", "s1", "s2", "s3", "s4"]
    assert statistics["total_branches"] == 1
    assert statistics["damaged_sessions"] == []
    assert statistics["token_estimate"] == -(-sum(info.size_bytes for info in manager.list_sessions()) // 4)
    for days in (0, 1, 7, 100):
        assert ours.get_activity_timeline(days) == pages.get_activity_timeline(days)
    assert sum(ours.get_activity_timeline().values()) == 10 + 9 + 8 + 7 + 6 + 5 + 4


def test_growth(make: Opener) -> None:
    """Each of the last days has how many of the sessions were there by its end, older ones counted in the first."""
    manager = make()
    various(manager)
    growth = SessionAnalytics(manager).get_growth(10)
    days = sorted(growth)
    assert len(days) == 10
    assert days == list(growth)
    created = [info.created_at.date() for info in manager.list_sessions()]
    assert growth == {day: sum(each <= day for each in created) for day in days}
    assert growth[datetime.now().date()] == 9
    assert growth[days[0]] == 1
    assert SessionAnalytics(manager).get_growth(0) == {}


@pytest.mark.parametrize("days", [-1, 1.5, "7", True])
def test_days_are_checked(make: Opener, days: Any) -> None:
    """What is no number of days is refused."""
    analytics = SessionAnalytics(make())
    with pytest.raises(ValueError, match="days must be"):
        analytics.get_activity_timeline(days)
    with pytest.raises(ValueError, match="days must be"):
        analytics.get_growth(days)


def test_sharing(make: Opener) -> None:
    """Branches are counted with what they took over; the bytes are those of `stats()`."""
    manager = make()
    fill(manager, "parent", 20, size=70_000)
    for number in range(3):
        manager.create_session(f"branch-{number}", branch_from="parent", at=10)
    sharing, stats = SessionAnalytics(manager).get_sharing(), manager.stats()
    assert (sharing.branches, sharing.inherited_messages) == (3, 30)
    assert (sharing.logical_bytes, sharing.stored_bytes) == (stats.logical_bytes, stats.stored_bytes)
    assert sharing.shared_bytes == stats.shared_bytes > 30 * 70_000


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of sessions that the engine is asked to load."""
    names: list[str] = []
    load = RepoStorage.load

    def noted(self: RepoStorage, name: str) -> Session | None:
        names.append(name)
        return load(self, name)

    monkeypatch.setattr(RepoStorage, "load", noted)
    return names


def talk(manager: SessionManager, name: str) -> Session:
    session = manager.create_session(name)
    session.add_message({"role": "user", "content": "12345"})
    session.add_message({"role": "assistant", "content": "123456789", "model": "m1"})
    session.add_message({"role": "assistant", "content": [1, 2], "model": "m2"})
    session.add_message({"no role": 1, "model": 7})
    manager.save_session(session)
    return session


def test_breakdown(make: Opener) -> None:
    """Messages and tokens are counted by role and model; what has neither counts only in the totals."""
    manager = make()
    talk(manager, "a")
    talk(manager, "b")
    result = SessionAnalytics(manager).get_breakdown()
    assert type(result) is type(SessionAnalytics(manager).get_statistics()) is dict
    assert result["messages"] == 8
    assert result["messages_by_role"] == {"assistant": 4, "user": 2}
    assert result["messages_by_model"] == {"m1": 2, "m2": 2}
    assert result["tokens_by_role"] == {"assistant": 7, "user": 3}
    assert result["tokens_by_model"] == {"m1": 5, "m2": 3}
    assert result["tokens"] == 10
    assert result["unreadable"] == []


def test_breakdown_counts_as_the_manager_does() -> None:
    """A manager's `token_counter` is asked about each message's text."""
    manager = SessionManager({"session": {"backend": "memory"}}, token_counter=lambda text: len(text) * 100)
    session = talk(manager, "a")
    result = SessionAnalytics(manager).get_breakdown()
    assert result["tokens"] == session.get_token_count() == 1900
    assert result["tokens_by_role"] == {"assistant": 1400, "user": 500}


def test_breakdown_reads_what_changed(make: Opener, reads: list[str]) -> None:
    """Asked again, only sessions that changed are read: by messages, metadata, a rename, or by being new."""
    manager = make()
    sessions = [talk(manager, name) for name in "abc"]
    analytics = SessionAnalytics(manager)
    reads.clear()
    first = analytics.get_breakdown()
    assert sorted(reads) == ["a", "b", "c"]
    reads.clear()
    assert analytics.get_breakdown() == first
    assert reads == []
    sessions[1].messages[0]["role"] = "users"
    manager.save_session(sessions[1])
    manager.rename_session("c", "d")
    manager.delete_session("a")
    reads.clear()
    result = analytics.get_breakdown()
    assert sorted(reads) == ["b", "d"]
    assert result["messages_by_role"] == {"assistant": 4, "user": 1, "users": 1}
    assert result == SessionAnalytics(manager).get_breakdown()


def test_the_rest_reads_no_message(make: Opener, reads: list[str]) -> None:
    """Statistics, timeline and growth come from the index."""
    manager = make()
    various(manager)
    reads.clear()
    analytics = SessionAnalytics(manager)
    analytics.get_statistics()
    analytics.get_activity_timeline()
    analytics.get_growth()
    analytics.get_sharing()
    assert reads == []


def test_nothing_is_opened_or_changed(tmp_path: Path) -> None:
    """Unsaved changes are neither counted nor touched, hooks are not called, and no file of the store changes."""
    manager = open_store(tmp_path / "store")
    session = talk(manager, "a")
    session.add_message({"role": "user"})
    calls: list[str] = []

    class Note:
        def after_load(self, session: Session) -> None:
            calls.append(session.name)

    talk(open_store(tmp_path / "store"), "b")
    manager.use(Note())
    before = tree(tmp_path / "store")
    analytics = SessionAnalytics(manager)
    assert analytics.get_breakdown()["messages"] == 8
    analytics.get_statistics()
    analytics.get_sharing()
    assert tree(tmp_path / "store") == before
    assert calls == []
    assert [open_one.name for open_one in manager._sessions] == ["a"]
    assert (len(session), session.has_unsaved_changes) == (5, True)


def test_damaged_sessions_are_named(tmp_path: Path) -> None:
    """One session that cannot be read is named, and counted in nothing that needs its messages; it is tried again."""
    manager = open_store(tmp_path / "store")
    for name in "ab":
        talk(manager, name)
    analytics = SessionAnalytics(manager)
    good = analytics.get_breakdown()
    ref = ref_of(tmp_path / "store", "b")
    intact = ref.read_bytes()
    ref.write_bytes(b"{" + intact)
    assert analytics.get_statistics()["damaged_sessions"] == ["b"]
    damaged = analytics.get_breakdown()
    assert (damaged["messages"], damaged["unreadable"]) == (4, ["b"])
    ref.write_bytes(intact)
    assert analytics.get_breakdown() == good


def test_custom_storage() -> None:
    """A storage with only four methods is analysed too."""
    manager = SessionManager({}, storage=DictStorage())
    talk(manager, "a")
    manager.create_session("b", branch_from="a")
    analytics = SessionAnalytics(manager)
    assert analytics.get_breakdown()["messages"] == 8
    assert analytics.get_statistics()["total_sessions"] == 2
    assert analytics.get_growth(1) == {datetime.now().date(): 2}
    assert analytics.get_sharing().stored_bytes == 0


def test_memory_is_a_chunk_at_a_time(tmp_path: Path) -> None:
    """Counting a long session does not hold all its messages."""
    import tracemalloc

    manager = open_store(tmp_path / "store", message_cache_size=0)
    fill(manager, "long", 400, size=50_000)
    analytics = SessionAnalytics(open_store(tmp_path / "store", message_cache_size=0))
    tracemalloc.start()
    try:
        assert analytics.get_breakdown()["messages"] == 400
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
