"""What somebody takes away from a hub, or puts in its place: it is noticed and told, and put there again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sync.hubs import Hub

from coda_fs_session.backends.base import Place, RefKey, Sign
from coda_fs_session.backends.memory import MemoryBackend
from coda_fs_session.repo.sync.memory import Memory

from .machines import Machine, said
from .syncing import some_sessions, states
from .test_hub import asked, synced

DAY = 86400


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock have gone on."""
    now = time.time
    monkeypatch.setattr("coda_fs_session.repo.sync.hub.time.time", lambda: now() + seconds)


def objects(hub: Hub) -> dict[str, bytes]:
    assert isinstance(hub.inner, MemoryBackend)
    return hub.inner._objects  # type: ignore[return-value]


@pytest.mark.parametrize("count", [1, 1000], ids=["one", "all"])
def test_objects_that_are_gone(
    hub: Hub,
    desk: Machine,
    lap: Machine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    count: int,
) -> None:
    """The next look, a day later, finds it: it is told, they are put there again, and no ref is read."""
    some_sessions(desk)
    for _ in range(2):
        synced(desk, hub)
    there = objects(hub)
    before = dict(there)
    for identity in sorted(there)[:count]:
        del there[identity]
    assert synced(lap, hub).problems
    assert asked(hub, desk) == {"look": 1}
    later(monkeypatch, DAY + 1)
    found = asked(hub, desk)
    assert "are gone from there" in caplog.text
    assert found["objects"] == 1
    assert found["read_ref"] == found["replace_ref"] == 0
    assert found["put_objects"] == min(count, len(before))
    assert objects(hub) == before
    assert synced(lap, hub).problems == ()
    assert states(lap.manager()) == states(desk.manager())


def test_a_look_a_day(
    hub: Hub, desk: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is one listing a day, or after the clock went back; a pull or a few sessions need none."""
    some_sessions(desk)
    for _ in range(2):
        synced(desk, hub)
    for seconds in (DAY + 1, -DAY):
        later(monkeypatch, seconds)
        assert asked(hub, desk, direction="pull") == {"look": 1}
        assert asked(hub, desk, names=["short"]) == {"look": 1}
        assert asked(hub, desk) == {"look": 1, "objects": 1}
        assert asked(hub, desk) == {"look": 1}
    assert "gone" not in caplog.text


def test_what_was_purged_is_not_missed(
    hub: Hub, desk: Machine, lap: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A purge takes objects from the hub: the look finds nothing wrong, on the machine that purged and on another."""
    desk.create("chat", said(*[f"{each} " + "x" * 3000 for each in range(60)], "the secret 4711"))
    desk.change("chat", *[f"{each} " + "y" * 3000 for each in range(60)])
    for machine in (desk, lap):
        synced(machine, hub)
    desk.manager().maintenance.purge_text("the secret 4711")
    for machine in (desk, lap, desk, lap):
        synced(machine, hub)
    later(monkeypatch, DAY + 1)
    for machine in (desk, lap):
        assert asked(hub, machine) == {"look": 1, "objects": 1}
    assert "gone" not in caplog.text


def test_a_hub_that_was_emptied(hub: Hub, desk: Machine, lap: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """Everything is put there again, by whoever comes first; it is told; nothing is taken away here."""
    some_sessions(desk)
    for machine in (desk, lap):
        synced(machine, hub)
    before = states(desk.manager())
    hub.inner = MemoryBackend()
    report = synced(lap, hub)
    assert "are gone from there" in caplog.text
    assert report.pushed.refs == len(lap.refs())
    assert synced(desk, hub).problems == ()
    assert hub.inner.place().store is not None
    assert states(lap.manager()) == states(desk.manager()) == before


def test_another_hub_under_the_same_url(hub: Hub, desk: Machine, lap: Machine, tmp_path: Path) -> None:
    """Where the URL shows another bucket now, the sessions of that come here, and those of here go there."""
    some_sessions(desk)
    synced(desk, hub)
    lap.create("of the lap", said("hello"))
    other = Hub()
    synced(lap, other)
    hub.inner = other.inner
    assert synced(desk, hub).problems == ()
    assert "of the lap" in desk.names()
    synced(lap, hub)
    assert states(lap.manager()) == states(desk.manager())


def test_a_copy_of_a_hub_that_is_older(hub: Hub, desk: Machine, lap: Machine) -> None:
    """Where a copy of yesterday was put in its place, what it lacks is put there again; no machine goes back."""
    some_sessions(desk)
    for machine in (desk, lap):
        synced(machine, hub)
    assert isinstance(hub.inner, MemoryBackend)
    backup = {key.path: hub.inner.read_ref(key).data for key, _ in hub.inner.refs()}
    copied = dict(objects(hub))
    desk.change("long", *range(40))
    desk.create("new", said(*range(40)))
    synced(desk, hub)
    old = MemoryBackend()
    old.prepare()
    for path, data in backup.items():
        old.create_ref(RefKey(path), data)
    old._objects.update(copied)  # type: ignore[arg-type]
    hub.inner = old
    for machine in (desk, lap):
        assert synced(machine, hub).problems == ()
    assert "new" in lap.names()
    assert states(lap.manager()) == states(desk.manager())


def test_a_second_sync_at_once(hub: Hub, desk: Machine, lap: Machine) -> None:
    """Right after a sync, while files are too young to be told apart by their times, the next one moves nothing."""
    from coda_fs_session.repo.storage import RepoStorage
    from coda_fs_session.repo.sync.exchange import sync

    some_sessions(desk)
    lap.create("of the lap", said(*range(40)))
    for machine in (desk, lap, desk):
        for turn in range(3):
            manager = machine.manager()
            assert isinstance(manager._storage, RepoStorage)
            hub.forget()
            report = sync(manager._storage, hub.storage())
            assert report.problems == ()
            if turn:
                assert not report.pushed
                assert not report.pulled
                assert hub.requests == {"look": 1}


def test_a_hub_without_a_session_that_is_gone(hub: Hub, desk: Machine) -> None:
    """Where no ref tells that the hub was emptied, as none was in it, the store there is made once more."""
    desk.create("new", said("a"))
    repo = desk.repository()
    there = Place(hub.address(), Sign((0,)))
    Memory(ready=True, looked=int(time.time())).remember(repo.machine, repo.backend.place(), there)
    assert asked(hub, desk) == {"look": 1, "place": 1, "prepare": 1, "create_ref": 1}
