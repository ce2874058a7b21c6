"""A purge and gc in one store: what stands for what was purged stays, and the trash does not keep a purged text."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import objects_of, open_store

from .collecting import TEXT, Collector, repo_of

SECRET = "sk-ant-api03-Ab1"


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    return Collector(tmp_path / "store")


def test_what_stands_for_a_purged_object_stays(collector: Collector) -> None:
    """No ref names it: only the purge record does."""
    with collector.open() as manager:
        session = manager.create_session("chat")
        session.add_message({"role": "user", "content": f"{SECRET} {'x' * TEXT}"})
        manager.save_session(session)
        assert manager.maintenance.purge_text(SECRET).places
    left = collector.leave(99)
    there = {path for path in objects_of(collector.store) if path != left}
    collector.until(lambda report: report.freed.files == 1)
    assert not left.exists()
    assert there <= set(objects_of(collector.store))
    with open_store(collector.store) as manager:
        assert manager.load_session("chat").messages[0]["content"].startswith("*" * len(SECRET))
        assert manager.maintenance.check(full=True).is_whole


def test_nothing_goes_while_a_purge_record_is_missing(collector: Collector) -> None:
    """What stands for what cannot be told then."""
    with collector.open() as manager:
        session = manager.create_session("chat")
        session.add_message({"role": "user", "content": f"{SECRET} {'x' * TEXT}"})
        manager.save_session(session)
        manager.maintenance.purge_text(SECRET)
        (record,) = repo_of(manager).objects.purged.records
    collector.file(record).unlink()
    assert any(record in each for each in collector.run(dry_run=True).blocked)


def test_the_trash_does_not_keep_a_purged_text(collector: Collector) -> None:
    """Deleted objects that hold it are kept no longer; the others are."""
    with collector.open() as manager:
        repo = repo_of(manager)
        lines = [f'{{"role":"user","content":"{text} {"x" * TEXT}"}}'.encode() for text in (SECRET, "hello")]
        with_secret, without_it = (repo.objects.new_chunk([line]) for line in lines)
        repo.objects.put([with_secret, without_it])
        manager.save_session(manager.create_session("chat"))
    collector.until(lambda report: report.freed.files == 2)
    assert collector.trash() == sorted([with_secret.id, without_it.id])
    with collector.open() as manager:
        manager.maintenance.purge_text(SECRET)
    assert collector.trash() == [without_it.id]
