"""What a killed program has left half written, and a list that is half there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from storekit import fill, objects_of, open_store, ref_of

from coda_fs_session.backends.base import NewObject
from coda_fs_session.format.ids import object_id
from coda_fs_session.format.replica_file import ReplicaFile, encode_replica_file
from coda_fs_session.repo import replica_files

from .collecting import TEXT, Collector, repo_of


def test_files_that_were_not_finished(tmp_path: Path) -> None:
    """A grace after a gc first saw them they are gone, whoever else writes into the store; what else is there stays."""
    store = tmp_path / "store"
    collector = Collector(store)
    with collector.open() as manager:
        fill(manager, "chat", 2, size=TEXT)
    made = [
        store / f".tmp-{15 * '0'}a",
        store / "objects" / f".tmp-{15 * '0'}b",
        ref_of(store, "chat").with_name(f".tmp-{15 * '0'}c"),
    ]
    made += [objects_of(store)[0].with_name(f".tmp-{15 * '0'}d")]
    others = [store / ".stfolder", store / ".tmp-of-others", store / "refs" / ".syncthing.chat.jsonl.tmp"]
    for path in (*made, *others):
        path.write_bytes(b"half a")
    for _ in range(3):
        report = collector.run()
        assert (report.freed.files, report.kept["grace"].files, report.kept["grace"].bytes) == (0, 4, 24)
    with open_store(store) as manager:
        repo_of(manager).backend.write_replica_file("laptop", encode_replica_file(ReplicaFile("laptop", 1)))
    report = collector.run()
    assert (report.freed.files, report.freed.bytes) == (4, 24)
    assert not any(path.exists() for path in made)
    assert all(path.exists() for path in others)
    with open_store(store) as manager:
        assert len(manager.load_session("chat").messages) == 2
        (other,) = manager.maintenance.check(full=True).findings
        assert other.path.endswith(".tmp-of-others")


@pytest.mark.parametrize("damage", ["gone", "damaged", "no list"])
def test_a_list_that_cannot_be_read(tmp_path: Path, damage: str) -> None:
    """Nobody can tell what is condemned: that is said, and nothing goes until the list is back."""
    collector = Collector(tmp_path / "store")
    left = collector.leave(99)
    collector.until(lambda report: report.condemned.files == 1)
    with collector.open() as manager:
        said = replica_files.own_said(repo_of(manager))
        assert said is not None
        assert said.condemned is not None
    path = collector.file(said.condemned)
    good = path.read_bytes()
    path.unlink()
    if damage == "damaged":
        path.write_bytes(good[:-1])
    elif damage == "no list":
        with collector.open() as manager:
            repo = repo_of(manager)
            data = b"{}\n"
            repo.objects.put([NewObject(object_id(data), data)])
            replica_files.say(repo, lambda said: replace(said, condemned=object_id(data)))
    for _ in range(6):
        assert "the list of what is condemned" in collector.run().blocked[0]
    assert left.exists()
    path.write_bytes(good)
    with collector.open() as manager:
        replica_files.say(repo_of(manager), lambda now: replace(now, condemned=said.condemned))
    collector.until(lambda report: report.freed.files == 1)
