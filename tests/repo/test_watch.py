"""Watching: whatever changes a store, the watch comes to tell its final state, and ends when it is told to."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coda_fs_session import SessionEvent, SessionInfo, Watch
from coda_fs_session.repo.events import hints as hinting
from coda_fs_session.repo.events import watch as watching
from coda_fs_session.repo.storage import RepoStorage

from .machines import Machine, said
from .watching import PATIENCE, told


@pytest.fixture
def watch(here: Machine) -> Iterator[Watch]:
    """A watch of a store that other managers write, as other processes would."""
    with here.manager().watch() as found:
        yield found


def test_what_happens_is_told(here: Machine, watch: Watch) -> None:
    """Each kind of event comes with what is known of the session now."""
    here.create("chat", said(1))
    assert told(watch, "created", "chat", message_count=1).previous_name is None
    here.change("chat", 2)
    told(watch, "advanced", "chat", message_count=2)
    here.manager().rename_session("chat", "talk")
    event = told(watch, "renamed", "talk", message_count=2)
    assert event.previous_name == "chat"
    here.manager().delete_session("talk")
    assert told(watch, "deleted", "talk").info is None
    assert watch.next(0) is None


def test_what_was_there_is_no_news(here: Machine) -> None:
    """A watch begins with what there is when it is made, and tells what came after that, also before it is asked."""
    here.create("old", said(1))
    with here.manager().watch() as watch:
        here.create("new", said(1))
        here.change("new", 2)
        event = watch.next(PATIENCE)
        assert event is not None
        assert (event.kind, event.name) == ("created", "new")


def test_its_own_manager(here: Machine) -> None:
    """Saves of the manager that was asked to watch are told like anybody's."""
    manager = here.manager()
    with manager.watch() as watch:
        session = manager.create_session("chat")
        session.add_message(said(1)[0])
        manager.save_session(session)
        event = watch.next(PATIENCE)
        assert event is not None
        assert event.name == "chat"


def test_another_process(here: Machine, watch: Watch) -> None:
    """What another process saves is told."""
    script = f"""
from coda_fs_session import SessionManager
config = {{"storage_path": {str(here.store)!r}, "state_path": {str(here.folder / "other")!r}}}
with SessionManager({{"session": config}}) as manager:
    for number in range(20):
        session = manager.create_session("chat")
        session.add_message({{"role": "user", "content": str(number)}})
        manager.save_session(session)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", script], env=environment) as process:
        first = watch.next(PATIENCE)
        assert first is not None
        assert first.kind == "created"
        if first.info is None or first.info.message_count < 20:
            told(watch, "advanced", "chat", message_count=20)
    assert process.returncode == 0


def test_divergence(here: Machine, there: Machine, watch: Watch) -> None:
    """The other side of a session that went on in two places is told when it arrives."""
    here.create("chat", said(1))
    here.manager().sync(there.store)
    here.change("chat", "here")
    there.change("chat", "there")
    event = watch.next(PATIENCE)
    assert event is not None
    there.send_to(here)
    deadline = time.monotonic() + PATIENCE
    while event is None or event.kind != "diverged":
        assert time.monotonic() < deadline, f"the last event was {event}"
        event = watch.next(1)
    assert event.info is not None
    assert event.name.partition("~")[0] == "chat"


@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
def test_rsync_into_the_store(here: Machine, there: Machine, watch: Watch) -> None:
    """Files that rsync brings are told like saves."""
    for number in range(5):
        there.create(f"chat-{number}", said(*range(30)))
    here.folder.mkdir(exist_ok=True)
    subprocess.run(["rsync", "-a", f"{there.store}/", f"{here.store}/"], check=True)
    names = set()
    while len(names) < 5:
        event = watch.next(PATIENCE)
        assert event is not None
        names.add(event.name)
    assert names == {f"chat-{number}" for number in range(5)}


def test_a_store_that_is_not_there_yet(here: Machine) -> None:
    """A watch can begin before its store does."""
    assert not here.store.exists()
    with here.manager().watch() as watch:
        assert watch.next(0.01) is None
        here.create("chat", said(1))
        assert told(watch, "created", "chat").info is not None
        here.change("chat", 2)
        told(watch, "advanced", "chat", message_count=2)


def test_another_folder_in_its_place(here: Machine, tmp_path: Path) -> None:
    """A store that is moved away is not a store that was emptied.

    A copy that takes its place is told by the difference, and listened to from then on.
    """
    here.create("both", said(1))
    here.create("only first", said(1))
    there = here.copied_to(tmp_path / "copy", "there-00000002")
    there.change("both", 2)
    there.manager().delete_session("only first")
    there.create("only second", said(1))
    with here.manager().watch() as watch:
        here.store.rename(tmp_path / "away")
        assert watch.next(1.0) is None
        there.store.rename(here.store)
        kinds = {}
        while len(kinds) < 3:
            event = watch.next(PATIENCE)
            assert event is not None
            kinds[event.name] = event.kind
        assert kinds == {"both": "advanced", "only first": "deleted", "only second": "created"}
        here.change("both", "after")
        told(watch, "advanced", "both", message_count=3)


def test_a_save_to_a_file_that_stays_open(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if all that the file system tells is that the file was written to."""
    monkeypatch.setattr(watching, "_LOOK", 10 * PATIENCE)
    manager = here.manager()
    session = manager.create_session("chat")
    for message in said(1, 2):
        session.add_message(message)
        manager.save_session(session)
    with Watch(here.manager()._storage, listing=10 * PATIENCE) as watch:
        session.add_message(*said(3))
        manager.save_session(session)
        told(watch, "advanced", "chat", message_count=3)


@pytest.mark.parametrize("loss", ["every event", "no observer"])
def test_lost_events(here: Machine, monkeypatch: pytest.MonkeyPatch, loss: str) -> None:
    """Where the file system tells nothing, as after an overflow or on a network disk, looking now and then does."""
    if loss == "every event":
        monkeypatch.setattr(hinting, "KINDS", frozenset())
    else:
        from watchdog import observers

        def fail(*arguments: object) -> None:
            raise OSError(28, "inotify watch limit reached")

        monkeypatch.setattr(observers, "Observer", fail)
    here.create("chat", said(1))
    manager = here.manager()
    with Watch(manager._storage, listing=0.3) as watch:
        here.change("chat", 2)
        told(watch, "advanced", "chat", message_count=2)
        here.manager().delete_session("chat")
        told(watch, "deleted", "chat")


def test_a_hint_that_comes_too_early(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database writes its log some time before what is in it can be seen: after a hint there is a second look."""
    here.create("chat", said(1))
    monkeypatch.setattr(hinting, "KINDS", frozenset())
    with Watch(here.manager()._storage, listing=10 * PATIENCE) as watch:
        watch._wake.set()
        assert watch.next(0) is None
        here.change("chat", 2)
        told(watch, "advanced", "chat", message_count=2)


def test_a_callback(here: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """It is called in a thread of its own; its errors are logged and it is called again."""
    events: list[SessionEvent] = []
    threads = set()
    arrived = threading.Condition()

    def take(event: SessionEvent) -> None:
        with arrived:
            events.append(event)
            threads.add(threading.current_thread())
            arrived.notify()
        if event.name == "first":
            raise RuntimeError("cannot show this")

    with here.manager().watch(take) as watch, caplog.at_level(logging.ERROR, "coda_fs_session"):
        for number, name in enumerate(("first", "second"), 1):
            here.create(name, said(1))
            with arrived:
                assert arrived.wait_for(lambda: events and events[-1].name == name, PATIENCE)  # noqa: B023
            assert len({event.name for event in events}) == number
    assert threading.current_thread() not in threads
    assert len(threads) == 1
    assert "cannot show this" in caplog.text
    here.create("third", said(1))
    assert watch.next(0) is None
    assert not any(thread.is_alive() for thread in threads)
    assert {event.name for event in events} == {"first", "second"}


def test_stopping_from_the_callback(here: Machine) -> None:
    """A callback may end its own watch, which then calls it no more."""
    called = threading.Event()

    def take(event: SessionEvent) -> None:
        watch.stop()
        called.set()

    watch = here.manager().watch(take)
    here.create("chat", said(1))
    assert called.wait(PATIENCE)
    assert watch._thread is not None
    watch._thread.join(PATIENCE)
    assert not watch._thread.is_alive()


def test_one_name(here: Machine) -> None:
    """Only the named session is told of, up to its being renamed away."""
    here.create("chat", said(1))
    with here.manager().watch(name="chat") as watch:
        here.create("other", said(1))
        here.change("chat", 2)
        assert [event.kind for event in [watch.next(PATIENCE)] if event and event.name == "chat"] == ["advanced"]
        here.manager().rename_session("chat", "talk")
        event = watch.next(PATIENCE)
        assert event is not None
        assert (event.kind, event.previous_name, event.name) == ("renamed", "chat", "talk")


def test_several_watches(here: Machine) -> None:
    """Each tells everything, whatever the others have told."""
    manager = here.manager()
    with manager.watch() as one, manager.watch() as other, here.manager().watch() as third:
        here.create("chat", said(1))
        for watch in (one, other, third):
            told(watch, "created", "chat")


def test_the_end_of_an_iterator(here: Machine) -> None:
    """Stopping the watch, or closing its manager, ends a loop over it that is waiting."""
    for end in ("stop", "close"):
        manager = here.manager()
        watch = manager.watch()
        seen: list[SessionEvent] = []
        loop = threading.Thread(target=lambda: seen.extend(watch))  # noqa: B023
        loop.start()
        watch.stop() if end == "stop" else manager.close()
        loop.join(PATIENCE)
        assert not loop.is_alive()
        assert seen == []
        assert watch.next() is None
        watch.stop()


def test_a_watch_that_was_let_go_of(here: Machine) -> None:
    """An iterator that nobody holds any more leaves no threads behind."""
    manager = here.manager()
    here.create("chat", said(1))
    before = set(threading.enumerate())
    watch = manager.watch()
    assert set(threading.enumerate()) - before
    del watch
    gc.collect()
    deadline = time.monotonic() + PATIENCE
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, set(threading.enumerate()) - before
        time.sleep(0.01)


def test_a_listing_that_fails(here: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that has a hiccup does not end the watch; what happened meanwhile is told afterwards."""
    from coda_fs_session import StoreError

    manager = here.manager()
    assert isinstance(manager._storage, RepoStorage)
    with Watch(manager._storage, listing=0.2) as watch:
        good = manager._storage.look
        failed = threading.Event()

        def fail() -> list[SessionInfo]:
            failed.set()
            raise StoreError("cannot be read")

        manager._storage.look = fail  # type: ignore[method-assign]
        here.create("chat", said(1))
        while not failed.is_set():
            assert watch.next(0.1) is None
        manager._storage.look = good  # type: ignore[method-assign]
        told(watch, "created", "chat")
    assert "cannot be read" in caplog.text


def test_after_a_fork(here: Machine) -> None:
    """A child does not wait for threads that it does not have, can watch for itself, and ends; the parent goes on."""
    here.create("chat", said(1))
    manager = here.manager()
    called = threading.Event()
    with manager.watch() as watch, manager.watch(lambda event: called.set()) as background:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert watch.next() is None
                background.stop()
                manager.close()
                with here.manager().watch() as own:
                    here.change("chat", "from the child")
                    told(own, "advanced", "chat", message_count=2)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        told(watch, "advanced", "chat", message_count=2)
        assert called.wait(PATIENCE)


def test_the_interpreter_ends(here: Machine) -> None:
    """A program that forgot its watches ends, and says nothing about it."""
    here.create("chat", said(1))
    script = f"""
from coda_fs_session import SessionManager
manager = SessionManager({{"session": {{"storage_path": {str(here.store)!r}, "state_path": {str(here.folder)!r}}}}})
watch = manager.watch(print)
other = manager.watch()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the thread that loses this race is that of inotify")
def test_the_race_of_an_ending_observer_is_not_told(here: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """The thread of an observer may look once more after it was stopped; watchdog calls that an error."""
    here.create("chat", said(1))
    watch = here.manager().watch()
    observer = watch._observer._observer
    assert observer is not None
    (emitter,) = observer.emitters
    watch.stop()
    emitter.queue_events(0)
    assert not caplog.records
