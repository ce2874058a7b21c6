"""A hub, where every look is a request: what a sync asks of it, and that nothing is lost on the way there and back."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sync.hubs import Hub

from coda_fs_session import SessionNotFoundError, StoreError
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.repo.sync.exchange import sync
from coda_fs_session.repo.sync.report import SyncReport

from .machines import Machine, said
from .syncing import some_sessions, states


def synced(machine: Machine, hub: Hub, **options: Any) -> SyncReport:
    """Sync as a process of its own would; the clock has gone on, so that files are told apart by their times."""
    for path in machine.store.rglob("*"):
        if path.is_file():
            # Old enough to be believed by their times.
            import os

            status = path.stat()
            if time.time() - status.st_mtime < 5 and path.suffix == ".jsonl" and "refs" in path.parts:
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 10_000_000_000))
    manager = machine.manager()
    assert isinstance(manager._storage, RepoStorage)
    return sync(manager._storage, hub.storage(), **options)


def asked(hub: Hub, machine: Machine, **options: Any) -> Counter[str]:
    """Return what requests a sync makes that has no problems."""
    hub.forget()
    report = synced(machine, hub, **options)
    assert report.problems == ()
    return hub.forget()


def test_two_machines_and_a_hub(hub: Hub, desk: Machine, lap: Machine) -> None:
    """What one puts there the other gets, with branches, names, deletes and renames; and back."""
    some_sessions(desk)
    synced(desk, hub)
    synced(lap, hub)
    assert states(lap.manager()) == states(desk.manager())
    lap.change("long", "more")
    lap.manager().delete_session("short")
    lap.manager().rename_session("branch", "twig")
    synced(lap, hub)
    report = synced(desk, hub)
    assert states(lap.manager()) == states(desk.manager())
    assert report.pulled.deleted == ("short",)
    assert report.pulled.renamed == ("twig",)
    assert desk.read("long")[-1] == "more"


def test_nothing_new_is_one_look(hub: Hub, desk: Machine, lap: Machine) -> None:
    """A sync with nothing to do asks the hub once what there is, on the machine that pushed and on the one that got."""
    some_sessions(desk)
    for machine in (desk, lap, desk, lap):
        synced(machine, hub)
    assert asked(hub, desk) == {"look": 1}
    assert asked(hub, lap) == {"look": 1}


def test_one_message_is_one_look_and_one_put(hub: Hub, desk: Machine, lap: Machine) -> None:
    """A session with a message more is one put of its ref; the other machine reads that ref and nothing else."""
    some_sessions(desk)
    for machine in (desk, lap, desk, lap):
        synced(machine, hub)
    desk.change("short", "one more")
    assert asked(hub, desk) == {"look": 1, "replace_ref": 1}
    assert asked(hub, lap) == {"look": 1, "read_ref": 1}
    assert lap.read("short") == ["hello", "one more"]


def test_the_first_push_after_a_pull_reads_nothing(hub: Hub, desk: Machine, lap: Machine) -> None:
    """What was pulled is known to be there: only what is new goes up, objects that are there not once more."""
    some_sessions(desk)
    synced(desk, hub)
    synced(lap, hub)
    manager = lap.manager()
    manager.create_session("other branch", branch_from="long", at=30)
    found = asked(hub, lap)
    assert found["look"] == 1
    assert set(found) <= {"look", "prepare", "create_ref", "put_objects"}
    assert found["put_objects"] <= 2


def test_each_object_is_put_once(hub: Hub, desk: Machine) -> None:
    """An object goes up when the first ref needs it; objects are listed once, and none is read there."""
    some_sessions(desk)
    found = asked(hub, desk)
    objects = len(list(desk.repository().backend.objects()))
    assert found["put_objects"] <= objects
    assert found["objects"] == 1
    assert not {"object_groups", "object_ids", "object_pieces", "get_object"} & set(found)


def test_requests_go_side_by_side(hub: Hub, desk: Machine, lap: Machine) -> None:
    """A first pull asks for 16 things at a time, so that the way there and back counts a sixteenth."""
    manager = desk.manager()
    with manager.bulk():
        for number in range(64):
            manager.create_session(f"chat {number}")
    synced(desk, hub)
    hub.seconds, hub.busiest = 0.02, 0
    synced(lap, hub)
    assert hub.busiest == 16


def test_divergence(hub: Hub, desk: Machine, lap: Machine) -> None:
    """A session that went on here and there is two on both machines, and a merge of one of them reaches the other."""
    desk.create("chat", said("first"))
    for machine in (desk, lap):
        synced(machine, hub)
    desk.change("chat", "at the desk")
    lap.change("chat", "on the lap")
    for machine in (desk, lap, desk, lap):
        synced(machine, hub)
    assert states(lap.manager()) == states(desk.manager())
    assert len(desk.names()) == 2
    first, second = desk.names()
    desk.manager().branches.merge(first, second)
    for machine in (desk, lap):
        synced(machine, hub)
    assert lap.names() == [first]
    assert states(lap.manager()) == states(desk.manager())


def test_a_long_history_arrives(hub: Hub, desk: Machine, lap: Machine) -> None:
    """Commits and list nodes come level by level: every earlier state is there on the other machine."""
    desk.create("long", said(*range(40)))
    for step in range(30):
        desk.change("long", *range(step, step + 8))
    synced(desk, hub)
    synced(lap, hub)
    here, there = list(desk.manager().history("long")), list(lap.manager().history("long"))
    assert len(here) > 15
    assert here == there
    assert lap.repository().backend.ref_tokens().keys() == desk.repository().backend.ref_tokens().keys()
    assert lap.manager().maintenance.check(full=True).findings == ()


def test_every_request_may_fail(hub: Hub, desk: Machine, lap: Machine, tmp_path: Path) -> None:
    """Whichever request fails, before or after its effect, a later sync makes all equal, and no ref lacks an object."""
    some_sessions(desk)
    synced(desk, hub)
    synced(lap, hub)
    lap.change("long", *range(30))
    lap.create("new", said(*range(30)))
    lap.create("newer", said(*range(30, 60)))
    number = 0
    while True:
        hub.forget()
        hub.fails_at, hub.after = number // 2, bool(number % 2)
        lap.change("short", number)
        desk.change("Ünïcode / name", number)
        failed = False
        try:
            synced(lap, hub)
        except StoreError:
            failed = True
        hub.fails_at = None
        third = Machine(tmp_path / f"third-{number}", "third-00000003")
        assert synced(third, hub).problems == ()
        assert third.manager().maintenance.check(full=True).findings == ()
        if not failed:
            break
        number += 1
    assert number > 4
    for machine in (lap, desk, lap, desk):
        assert synced(machine, hub).problems == ()
    assert states(lap.manager()) == states(desk.manager()) == states(synced_copy(hub, tmp_path).manager())


def synced_copy(hub: Hub, folder: Path) -> Machine:
    machine = Machine(folder / "copy", "copy-00000004")
    synced(machine, hub)
    return machine


def test_another_hub_at_the_place(hub: Hub, desk: Machine) -> None:
    """Where a ref is gone that was there, somebody began anew: everything is put there again, objects too."""
    some_sessions(desk)
    synced(desk, hub)
    hub.inner = Hub().inner
    synced(desk, hub)
    assert hub.inner.ref_tokens().keys() == desk.repository().backend.ref_tokens().keys()
    assert {each for each, _ in hub.inner.objects()} == {each for each, _ in desk.repository().backend.objects()}


def test_a_memory_that_is_lost(hub: Hub, desk: Machine, lap: Machine) -> None:
    """Without what the last sync left all refs are read once more, and objects are listed; nothing is written."""
    some_sessions(desk)
    synced(desk, hub)
    synced(lap, hub)
    for path in (lap.folder / "state").rglob("sync-*"):
        path.unlink()
    found = asked(hub, lap)
    assert set(found) == {"look", "place", "objects", "read_ref"}
    assert asked(hub, lap) == {"look": 1}


def test_a_ref_whose_objects_come_later(hub: Hub, desk: Machine, lap: Machine) -> None:
    """Where a tool has put a ref there before its objects, it is told, and the next sync brings them."""
    desk.create("long", said(*range(60)))
    synced(desk, hub)
    objects = dict(hub.inner._objects)  # type: ignore[attr-defined]
    hub.inner._objects.clear()  # type: ignore[attr-defined]
    assert synced(lap, hub).problems
    hub.inner._objects.update(objects)  # type: ignore[attr-defined]
    assert synced(lap, hub).problems == ()
    assert lap.read("long") == desk.read("long")
    assert asked(hub, lap) == {"look": 1}


def test_one_bad_ref(hub: Hub, desk: Machine, lap: Machine) -> None:
    """It is a problem in the report, and the others arrive."""
    some_sessions(desk)
    synced(desk, hub)
    key = next(key for key, _ in hub.inner.refs() if "short" in key.path)
    hub.inner.replace_ref(key, hub.inner.ref_tokens()[key.path], b"no ref\n")
    report = synced(lap, hub)
    assert [key.path in str(problem) for problem in report.problems] == [True]
    assert "short" not in lap.names()
    assert lap.read("long") == desk.read("long")


def test_directions(hub: Hub, desk: Machine, lap: Machine) -> None:
    """A push writes nothing here, a pull nothing there, and a pull from nothing is an error."""
    with pytest.raises(StoreError, match="no store"):
        synced(lap, hub, direction="pull")
    desk.create("desk", said("a"))
    synced(desk, hub, direction="push")
    lap.create("lap", said("b"))
    assert synced(lap, hub, direction="push").pulled.refs == 0
    assert lap.names() == ["lap"]
    hub.forget()
    synced(lap, hub, direction="pull")
    assert lap.names() == ["desk", "lap"]
    synced(desk, hub)
    assert desk.names() == ["desk", "lap"]


def test_a_few_sessions(hub: Hub, desk: Machine, lap: Machine) -> None:
    """With names only these travel, with their objects; a name that is nowhere is an error, and nothing is done."""
    some_sessions(desk)
    synced(desk, hub)
    report = synced(lap, hub, names=["long", "new name"])
    assert lap.names() == ["long", "new name"]
    assert report.pulled.new == ("long", "new name")
    assert lap.read("long") == desk.read("long")
    with pytest.raises(SessionNotFoundError, match="nowhere"):
        synced(lap, hub, names=["nowhere"])
    synced(lap, hub)
    assert states(lap.manager()) == states(desk.manager())


def test_a_dry_run(hub: Hub, desk: Machine, lap: Machine) -> None:
    """It tells what would go where, and writes nothing on either side."""
    some_sessions(desk)
    report = synced(desk, hub, dry_run=True)
    assert report.pushed.refs == len(desk.refs())
    assert not hub.inner.ref_tokens()
    assert not dict(hub.inner.objects())
    synced(desk, hub)
    report = synced(lap, hub, dry_run=True)
    assert report.pulled.refs == len(desk.refs())
    assert not lap.store.exists()


def test_what_was_pushed_is_told(hub: Hub, desk: Machine) -> None:
    """The names of what went up, by what this machine knows of the hub."""
    desk.create("chat", said("a"))
    desk.create("gone", said("a"))
    assert synced(desk, hub).pushed.new == ("chat", "gone")
    desk.change("chat", "b")
    desk.manager().delete_session("gone")
    pushed = synced(desk, hub).pushed
    assert (pushed.advanced, pushed.deleted) == (("chat",), ("gone",))
