"""A store in a bucket beside the verbs on sessions: keeping house, watching, searching, and what is kept in memory."""

from __future__ import annotations

import pytest

from coda_fs_session import ConfigError, StoreReadOnlyError, UnsupportedError
from coda_fs_session.repo.events import watch
from coda_fs_session.repo.index import keyed

from .fleet import Fleet, fleet, said, say

pytest.importorskip("obstore")
__all__ = ["fleet"]


def test_what_is_refused(fleet: Fleet) -> None:
    """What would need a lock that all processes know is refused before anything is done, and says what to do."""
    pod = fleet.pod()
    say(pod, pod.create_session("chat"), "one")
    before = {key.path: token for key, token in pod._storage.repo.backend.refs()}
    for keep_house in (
        lambda: pod.maintenance.purge("chat"),
        lambda: pod.maintenance.purge_text("one"),
        lambda: pod.maintenance.gc(dry_run=False),
        lambda: pod.maintenance.repair(dry_run=False),
        lambda: pod.maintenance.retire("desk", dry_run=False),
    ):
        with pytest.raises(UnsupportedError, match=r"alone = true|no gc"):
            keep_house()

    def two() -> None:
        with pod.transaction() as change:
            change.create_session("a")
            change.create_session("b")

    with pytest.raises(UnsupportedError, match="one by one"):
        two()
    assert {key.path: token for key, token in pod._storage.repo.backend.refs()} == before
    with pod.transaction() as change:
        change.create_session("a")
    assert "a" in fleet.pod()


def test_read_only(fleet: Fleet) -> None:
    """A process that only reads has all, and writes nothing."""
    with pytest.warns(match="there is no store"):
        fleet.pod(read_only=True)
    pod = fleet.pod()
    say(pod, pod.create_session("chat"), "one")
    with fleet.pod(read_only=True) as reading:
        assert said(reading.load_session("chat")) == ["one"]
        with pytest.raises(StoreReadOnlyError):
            reading.create_session("new")


def test_a_search(fleet: Fleet) -> None:
    """What all sessions say is found, by reading them."""
    pod = fleet.pod()
    say(pod, pod.create_session("chat"), "the weather in Rome")
    say(pod, pod.create_session("other"), "nothing of that")
    with fleet.pod() as fresh:
        assert [place.session for hit in fresh.search("rome").hits for place in hit.places] == ["chat"]


def test_keeping_house_alone(fleet: Fleet) -> None:
    """Where all others were stopped, one process takes a text or a session out of everything, and tells of versions."""
    pod = fleet.pod()
    session = pod.create_session("chat")
    say(pod, session, "the key is hunter2", "two")
    pod.rename_session("chat", "talk")
    say(pod, pod.create_session("secret"), "nobody is to know")
    pod.create_session("branch", branch_from="talk")
    pod.close()
    with fleet.pod(bucket={**fleet.server.options, "alone": True}) as alone:
        report = alone.maintenance.purge_text("hunter2")
        assert "branch" in [place.session for place in report.places]
        assert "old versions" in report.left[0]
        alone.maintenance.purge("secret")
        with pytest.raises(UnsupportedError, match="state folder"):
            alone.maintenance.gc(dry_run=False)
        assert not alone.maintenance.check(full=True).findings
    assert fleet.read("talk") == fleet.read("branch") == ["the key is *******", "two"]
    assert "secret" not in fleet.pod()
    client = fleet.pod()._storage.repo.backend.client
    held = b"".join(client.get(found.key).data for found in client.keys_below(""))
    assert b"hunter2" not in held
    assert b"nobody is to know" not in held
    fleet.pod().close()
    with pytest.raises(ConfigError, match="alone"):
        fleet.pod(bucket={**fleet.server.options, "alone": "yes"})


def test_most_rows(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that serves many sessions keeps what it knows of some: the others are read again."""
    monkeypatch.setattr(keyed, "MOST_ROWS", 3)
    pod = fleet.pod()
    for number in range(12):
        pod.create_session(f"chat {number}")
    fresh = fleet.pod()
    for _ in range(2):
        for number in range(12):
            assert fresh.load_session(f"chat {number}").name == f"chat {number}"
            assert len(fresh._storage.repo.index._parts["fleet"]) <= 5
    assert len(fresh.list_sessions()) == 12


def test_a_watch(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch tells what other processes do, also renames, by looking now and then."""
    monkeypatch.setattr(watch, "_FAR", 0.2)
    pod = fleet.pod()
    pod.create_session("chat")
    with fleet.pod().watch() as watching:
        pod.create_session("new")
        pod.rename_session("chat", "talk")
        events = [watching.next(timeout=20) for _ in range(2)]
        assert {(event.kind, event.name) for event in events if event} == {("created", "new"), ("renamed", "talk")}
