"""Retention: history that is older expires, step by step, and everything that is told of it stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import fill, message, open_store

from coda_fs_session import HistoryExpiredError, ObjectNotYetHereError, SessionManager
from coda_fs_session.repo.maintenance.unneeded import unneeded
from coda_fs_session.repo.sync.report import SyncReport

from .collecting import TEXT, Collector, repo_of

RETENTION = 30
"""Days; one run counts a third of them at most."""


@pytest.fixture(params=["files", "sqlite"])
def collector(tmp_path: Path, request: pytest.FixtureRequest) -> Collector:
    """A store with a session of two large messages, one of which has taken the place of another."""
    collector = Collector(tmp_path / "store", backend=request.param)
    with collector.open() as manager:
        fill(manager, "chat", 2, size=TEXT)
        edit(manager, 7)
    return collector


def edit(manager: SessionManager, number: int) -> None:
    session = manager.load_session("chat")
    session.messages[1] = message(number, TEXT)
    manager.save_session(session)


def expire(collector: Collector, *, days: float = 10) -> int:
    """Run gc until something of history is deleted; return in which run that was."""
    for number in range(1, 30):
        if collector.run(days=days, retention=RETENTION).freed.files:
            return number
    raise AssertionError("nothing was deleted")


def entries(manager: SessionManager) -> list[tuple[str, int, bool]]:
    return [(entry.kind, entry.messages, entry.expired) for entry in manager.history("chat")]


def test_history_expires(collector: Collector) -> None:
    """After the retention, and a grace and another, it is gone: its entries are listed, and tell that they expired."""
    with collector.open() as manager:
        before = entries(manager)
    assert not any(expired for _, _, expired in before)
    # The first run begins to count; three count the retention, then three a grace, and three another one.
    assert expire(collector) == 1 + 3 + 3 + 3
    with collector.open() as manager:
        assert manager.load_session("chat").messages == [message(0, TEXT), message(7, TEXT)]
        after = entries(manager)
        assert [entry[:2] for entry in after] == [entry[:2] for entry in before]
        assert [entry[2] for entry in after] == [False, True, False]
        (gone,) = [entry for entry in manager.history("chat") if entry.expired]
        history = manager.history("chat")
        for go in (history.at, history.restore, lambda to: history.tag("old", to)):
            with pytest.raises(HistoryExpiredError, match="retention_days"):
                go(gone.id)  # type: ignore[operator]
        with pytest.raises(HistoryExpiredError):
            manager.create_session("older", branch_from="chat", at=gone.id)
        with pytest.raises(HistoryExpiredError):
            history.undo()
        assert manager.load_session("chat").messages == [message(0, TEXT), message(7, TEXT)]
        assert [each.name for each in manager.list_sessions()] == ["chat"]


def test_what_expired_is_not_lost(collector: Collector) -> None:
    """No check calls it damage, no repair brings it back, another gc is not kept from its work, and a purge is none."""
    expire(collector)
    with collector.open() as manager:
        report = manager.maintenance.check(full=True)
        assert report.findings == ()
        assert manager.maintenance.repair(dry_run=False).mended == ()
        assert any(expired for _, _, expired in entries(manager))
        edit(manager, 8)
    assert expire(collector) > 1
    with collector.open() as manager:
        assert manager.maintenance.check(full=True).findings == ()
        assert manager.maintenance.purge("chat").places
        assert manager.maintenance.check(full=True).is_whole


def test_what_is_lost_did_not_expire(collector: Collector) -> None:
    """An object of history that is not there, and was let go by nobody, is told as before."""
    with collector.open() as manager:
        repo = repo_of(manager)
        (lost,) = unneeded(repo).past.values()
        repo.backend.discard_object(lost[0].id)
        assert [each.rule for each in manager.maintenance.check().findings] == ["history-missing"]
        _, before, _ = manager.history("chat")
        assert not before.expired
        with pytest.raises(ObjectNotYetHereError):
            assert manager.history("chat").at(before.id).messages == []


def test_until_then_it_is_there(collector: Collector) -> None:
    """A day before, and whatever the clock says meanwhile, an undo goes back to it."""
    collector.run(retention=RETENTION)
    for days in (3650, -3650, 3650):
        # Each counts as ten days, and one back as none.
        collector.run(days=days, retention=RETENTION)
    for _ in range(9):
        collector.run(days=1, retention=RETENTION)
    with collector.open() as manager:
        assert manager.history("chat").undo() is not None
        assert manager.load_session("chat").messages == [message(0, TEXT), message(1, TEXT)]


def test_for_ever(collector: Collector) -> None:
    """With a retention that no machine lives to see the end of, nothing of history ever goes."""
    for _ in range(40):
        assert collector.run(days=10, retention=1_000_000).freed.files == 0
    with collector.open() as manager:
        assert not any(expired for _, _, expired in entries(manager))


def test_a_dry_run_says_what_keeps_the_rest(collector: Collector) -> None:
    """Sessions, tags, history and the grace keep files; what expired is among those that would be condemned."""
    with collector.open() as manager:
        manager.history("chat").tag("kept")
        edit(manager, 8)
    kept = collector.run(retention=RETENTION, dry_run=True).kept
    messages = {why: amount for why, amount in kept.items() if why in ("sessions", "tags")}
    assert {why: amount.files for why, amount in messages.items()} == {"sessions": 2, "tags": 2}
    before = kept["history"].files
    for _ in range(7):
        collector.run(days=10, retention=RETENTION)
    report = collector.run(days=10, retention=RETENTION, dry_run=True)
    assert report.kept["history"].files == before - 1
    assert report.kept["tags"].files == 2


def test_a_tag_keeps_its_state(collector: Collector) -> None:
    """A state with a tag stays, however old; once the tag is taken away it expires as others do."""
    with collector.open() as manager:
        manager.history("chat").tag("first", 2)
        manager.history("chat").tag("then")
        edit(manager, 8)
        manager.history("chat").untag("then")
        manager.history("chat").tag("good")
    for _ in range(20):
        collector.run(days=10, retention=RETENTION)
    with collector.open() as manager:
        assert manager.history("chat").at("good").messages == [message(0, TEXT), message(8, TEXT)]
        assert any(entry.expired for entry in manager.history("chat"))
        assert manager.maintenance.check(full=True).findings == ()
        manager.history("chat").untag("first")


def test_what_was_deleted_can_be_brought_back_until_then(collector: Collector) -> None:
    """A deleted session is history: it is listed for ever, and comes back for the retention."""
    with collector.open() as manager:
        manager.delete_session("chat")
    for _ in range(3):
        collector.run(days=10, retention=RETENTION)
    with collector.open() as manager:
        manager.history("chat").restore()
        assert len(manager.load_session("chat").messages) == 2
        manager.delete_session("chat")
    expire(collector)
    with collector.open() as manager:
        assert [each.name for each in manager.deleted_sessions()] == ["chat"]
        with pytest.raises(HistoryExpiredError):
            manager.history("chat").restore()
        assert manager.maintenance.check(full=True).findings == ()
        fill(manager, "chat", 1)


def condemn(collector: Collector) -> None:
    while not collector.run(days=10, retention=RETENTION).condemned.files:
        pass


def test_what_is_gone_back_to_meanwhile_stays(collector: Collector) -> None:
    """History that is condemned, and needed again before it is deleted, is kept, and begins anew."""
    condemn(collector)
    with collector.open() as manager:
        assert manager.history("chat").undo() is not None
    for _ in range(8):
        collector.run(days=10, retention=RETENTION)
    with collector.open() as manager:
        assert manager.load_session("chat").messages == [message(0, TEXT), message(1, TEXT)]
        assert manager.maintenance.check(full=True).is_whole


@pytest.mark.parametrize("chosen", [False, True])
def test_a_sync_does_not_need_it(collector: Collector, tmp_path: Path, chosen: bool) -> None:
    """A session whose history has expired arrives whole in another store, which knows that nothing is missing."""
    expire(collector)
    sync: Callable[[SessionManager, SessionManager], SyncReport] = (
        (lambda one, other: one.sync(other, names=["chat"])) if chosen else (lambda one, other: one.sync(other))
    )
    with collector.open() as manager, open_store(tmp_path / "other", replica="laptop") as other:
        for _ in range(2):
            report = sync(manager, other)
            assert not report.problems
        assert other.load_session("chat").messages == [message(0, TEXT), message(7, TEXT)]
        assert entries(other) == entries(manager)
        assert other.maintenance.check(full=True).is_whole
        edit(other, 9)
        sync(manager, other)
        assert manager.load_session("chat").messages == [message(0, TEXT), message(9, TEXT)]


def test_the_database_says_so_too(tmp_path: Path) -> None:
    """A copy of the database on a machine that knows nothing tells what expired from what is missing."""
    collector = Collector(tmp_path / "store", backend="sqlite")
    with collector.open() as manager:
        fill(manager, "chat", 2, size=TEXT)
        edit(manager, 7)
    expire(collector)
    with open_store(tmp_path / "store", backend="sqlite", state_path=str(tmp_path / "elsewhere")) as manager:
        assert manager.maintenance.check(full=True).findings == ()
        assert [expired for _, _, expired in entries(manager)] == [False, True, False]
