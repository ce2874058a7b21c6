"""A store that goes away under a manager that is open: a disk that is pulled, a folder that is removed or replaced."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from storekit import fill, message, open_store, say, tree

from coda_fs_session import Session, SessionManager, StoreError, StoreGoneError
from coda_fs_session.backends.base import RefKey
from coda_fs_session.backends.files.backend import LocalBackend

LONG = 3
LINES = 2_000


@pytest.fixture(params=["files", "sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Pulled:
    """A store with a short session and one that is mostly in objects, both open, which is taken away and brought back.

    Args:
        left: what is at the path meanwhile: "nothing", "an empty folder" or "another store".
    """

    def __init__(self, folder: Path, backend: str, left: str) -> None:
        self.store, self.away, self.left, self.backend = folder / "store", folder / "away", left, backend
        if left == "another store":
            with self.open(state_path=str(folder / "other.state")) as other:
                fill(other, "short", 1)
            self.store.rename(folder / "other")
        # It holds what nobody else does; the timer does not come round in a test.
        self.manager = self.open(autosave_interval=300)
        fill(self.manager, "short", LONG)
        fill(self.manager, "long", LONG, size=70_000)
        self.short, self.long = self.manager.load_session("short"), self.manager.load_session("long")

    def open(self, **options: object) -> SessionManager:
        return open_store(self.store, backend=self.backend, **options)

    def pull(self) -> None:
        self.store.rename(self.away)
        if self.left == "an empty folder":
            self.store.mkdir()
        elif self.left == "another store":
            (self.store.parent / "other").rename(self.store)
        self.before = tree(self.store)

    def bring_back(self) -> None:
        assert tree(self.store) == self.before, "something was written where the store was"
        shutil.rmtree(self.store, ignore_errors=True)
        self.away.rename(self.store)


@pytest.fixture(params=["nothing", "an empty folder", "another store"])
def pulled(request: pytest.FixtureRequest, tmp_path: Path, backend: str) -> Iterator[Pulled]:
    pulled = Pulled(tmp_path, backend, request.param)
    yield pulled
    pulled.manager.close()


def test_every_verb_says_so(pulled: Pulled) -> None:
    """Whatever reads or writes raises StoreGoneError, which says what to do; in the store's place nothing is made."""
    manager, unopened = pulled.manager, pulled.manager.create_session("unopened").name
    pulled.pull()
    pulled.short.add_message(message(LONG))
    pulled.long.add_message(message(LONG, 70_000))
    calls: list[Callable[[], object]] = [
        lambda: manager.save_session(pulled.short),
        lambda: manager.save_session(pulled.long),
        lambda: manager.save_session(Session("made by hand", [message(0)])),
        lambda: manager.create_session("new"),
        lambda: manager.create_session("branch", branch_from="long"),
        lambda: manager.load_session(unopened),
        lambda: manager.load_session("long", partial=True),
        lambda: manager.delete_session("short"),
        lambda: manager.rename_session("short", "other name"),
        lambda: manager.get_session_info("short"),
        lambda: "short" in manager,
        manager.list_sessions,
        manager.stats,
        lambda: manager.sync(pulled.store.parent / "target"),
        manager.save_all,
    ]
    for number, call in enumerate(calls):
        with pytest.raises(StoreGoneError, match=r"put the folder back, and try again") as caught:
            call()
        assert str(caught.value.path).startswith(str(pulled.store)), number
    pulled.bring_back()


def test_everything_goes_on_when_it_is_back(pulled: Pulled) -> None:
    """What could not be saved meanwhile is saved then, once; a new manager finds all of it."""
    pulled.pull()
    for number in range(LONG, LONG + 2):
        pulled.short.add_message(message(number))
        pulled.long.add_message(message(number, 70_000))
        for session in (pulled.short, pulled.long):
            with pytest.raises(StoreGoneError):
                pulled.manager.save_session(session)
    pulled.bring_back()
    pulled.manager.save_all()
    pulled.manager.create_session("new")
    with pulled.open() as manager:
        assert sorted(info.name for info in manager.list_sessions()) == ["long", "new", "short"]
        for name, size in (("short", 0), ("long", 70_000)):
            assert manager.load_session(name).get_messages() == [message(number, size) for number in range(LONG + 2)]


def test_close_tells_what_is_not_saved(pulled: Pulled) -> None:
    """It names every such session, holds on to them though nobody else does, and saves them when it is called again."""
    pulled.pull()
    pulled.short.add_message(message(LONG))
    pulled.long.add_message(message(LONG, 70_000))
    del pulled.short, pulled.long
    for _ in range(2):
        with pytest.raises(StoreGoneError) as caught:
            pulled.manager.close()
        notes = "\n".join(caught.value.__notes__)
        assert "'short'" in notes
        assert "'long'" in notes
        # Its traceback may be all that holds them.
        del caught
        gc.collect()
    pulled.bring_back()
    pulled.manager.close()
    with pulled.open() as manager:
        assert len(manager.load_session("short")) == len(manager.load_session("long")) == LONG + 1


def test_what_is_in_memory_can_be_saved_elsewhere(pulled: Pulled, tmp_path: Path) -> None:
    """A session whose messages the program has read can be kept in another store, though its own never comes back."""
    messages = pulled.long.messages
    pulled.pull()
    messages.append(message(LONG, 70_000))
    with open_store(tmp_path / "elsewhere") as other:
        other.save_session(Session("long", messages))
    with open_store(tmp_path / "elsewhere") as other:
        assert other.load_session("long").get_messages() == [message(number, 70_000) for number in range(LONG + 1)]
    pulled.bring_back()


def test_a_watch_tells_of_no_deletions(pulled: Pulled, caplog: pytest.LogCaptureFixture) -> None:
    """An absence is not a deletion, nor a failure to log each time; what happens once the store is back is told."""
    with pulled.manager.watch() as watch:
        pulled.pull()
        assert watch.next(timeout=0.3) is None
        assert caplog.records == []
        pulled.bring_back()
        say(pulled.manager, pulled.short, LONG)
        event = watch.next(timeout=30)
        assert event is not None
        assert (event.kind, event.name) == ("advanced", "short")


def test_autosave_keeps_trying(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it cannot save while the store is gone it saves as soon as it is back."""
    store, away = tmp_path / "store", tmp_path / "away"
    manager = open_store(store, backend=backend, autosave_interval=0.05)
    fill(manager, "chat", LONG)
    session = manager.load_session("chat")
    failed = threading.Semaphore(0)
    # The handler is that of the whole run.
    monkeypatch.setattr(caplog.handler, "emit", lambda record: failed.release())
    store.rename(away)
    session.add_message(message(LONG))
    del session
    assert all(failed.acquire(timeout=30) for _ in range(2))
    assert not store.exists()
    away.rename(store)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with open_store(store, backend=backend) as other:
            if len(other.load_session("chat")) == LONG + 1:
                break
        time.sleep(0.02)
    else:
        pytest.fail("autosave has given up")
    manager.close()


def test_a_manager_of_no_store_yet_begins_one(tmp_path: Path, backend: str) -> None:
    """What was never there is not gone: the first write makes it, and so does one of a manager opened later."""
    manager = open_store(tmp_path / "store", backend=backend)
    assert manager.list_sessions() == []
    fill(manager, "chat")
    manager.close()
    shutil.rmtree(tmp_path / "store")
    with open_store(tmp_path / "store", backend=backend) as manager:
        fill(manager, "another")
        assert [info.name for info in manager.list_sessions()] == ["another"]


def test_a_store_restored_from_a_copy_is_the_same(tmp_path: Path, backend: str) -> None:
    """All its files are others, and the manager goes on with them."""
    store = tmp_path / "store"
    manager = open_store(store, backend=backend)
    fill(manager, "chat", LONG, size=70_000)
    if backend == "sqlite":
        # As one copies a database: while nobody has it open.
        manager.close()
    subprocess.run(["cp", "-r", store, tmp_path / "copy"], check=True)
    shutil.rmtree(store)
    (tmp_path / "copy").rename(store)
    say(manager, manager.load_session("chat"), LONG)
    manager.close()
    with open_store(store, backend=backend) as manager:
        assert len(manager.load_session("chat").get_messages()) == LONG + 1


def test_a_mirror_that_removes_all_refs_leaves_the_store(tmp_path: Path) -> None:
    """Where FORMAT is the file that it was, the store is the one that it was: an open session is written again."""
    store = tmp_path / "store"
    manager = open_store(store)
    fill(manager, "chat", LONG, size=70_000)
    session = manager.load_session("chat")
    shutil.rmtree(store / "refs")
    say(manager, session, LONG)
    manager.close()
    with open_store(store) as manager:
        assert len(manager.load_session("chat").get_messages()) == LONG + 1


def test_two_stores_of_one_given_replica(tmp_path: Path) -> None:
    """They cannot be told apart by their replicas: yet no ref ever names an object that only the other one has."""
    options = {"replica": "laptop", "message_cache_size": 0}
    store = tmp_path / "store"
    with open_store(store, **options) as manager:
        fill(manager, "other")
    store.rename(tmp_path / "other")
    manager = open_store(store, **options)
    fill(manager, "chat", LONG, size=70_000)
    session = manager.load_session("chat")
    store.rename(tmp_path / "away")
    (tmp_path / "other").rename(store)
    session.add_message(message(LONG, 70_000))
    for call in (
        lambda: manager.save_session(session),
        lambda: manager.create_session("branch", branch_from="chat"),
    ):
        with pytest.raises(StoreError):
            call()
    with open_store(store, **options) as other:
        assert [info.name for info in other.list_sessions() if info.error is None] == ["other"]
        assert len(other.load_session("other").get_messages()) == 3
    store.rename(tmp_path / "other")
    (tmp_path / "away").rename(store)
    manager.close()
    with open_store(store, **options) as manager:
        assert len(manager.load_session("chat").get_messages()) == LONG + 1


def test_a_sync_target_that_goes_away(tmp_path: Path) -> None:
    """A stick that is pulled in the middle of a sync is an error, and nothing is begun in its place."""
    manager = open_store(tmp_path / "store")
    fill(manager, "chat", LONG, size=70_000)
    target = tmp_path / "stick"
    manager.sync(target)
    fill(manager, "more", LONG, size=70_000)

    def pull(progress: object) -> None:
        if target.exists():
            target.rename(tmp_path / "pulled")

    with pytest.raises(StoreError):
        manager.sync(target, progress=pull)
    assert not target.exists()
    (tmp_path / "pulled").rename(target)
    manager.sync(target)
    with open_store(target) as there:
        assert len(there.load_session("more").get_messages()) == 3
    manager.close()


def test_each_verb_of_a_backend_looks(tmp_path: Path) -> None:
    """A disk may be pulled between any two of them: none takes what is gone for what never was."""
    backend = LocalBackend(tmp_path / "store")
    backend.prepare()
    key = RefKey("here/chat.jsonl")
    token = backend.create_ref(key, b"one\n")
    (tmp_path / "store").rename(tmp_path / "away")
    calls: list[Callable[[], object]] = [
        lambda: backend.read_ref(key),
        lambda: backend.ref_end(key),
        lambda: backend.get_object("0" * 64, size=None, limit=100),
        lambda: list(backend.refs()),
        lambda: backend.ref_folders({}),
        lambda: backend.ref_tokens_in([""]),
        backend.prepare,
    ]
    for call in calls:
        with pytest.raises(StoreGoneError):
            call()
    (tmp_path / "away").rename(tmp_path / "store")
    backend.prepare()
    assert backend.read_ref(key).data == b"one\n"
    backend.append_ref(key, token, b"two\n")
    backend.close()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Mounts ("mount") a folder at `tmp_path/mounted`, and takes it away ("umount", with files of it open)."""
    if os.getuid() != 0:
        pytest.skip("a disk that is pulled needs a mount, which only root may make")
    place, content = tmp_path / "mounted", tmp_path / "content"
    place.mkdir()
    content.mkdir()

    def call(verb: str) -> None:
        arguments = ["mount", "--bind", str(content), str(place)] if verb == "mount" else ["umount", "-l", str(place)]
        done = subprocess.run(arguments, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a disk that is pulled needs a mount, and here: {done.stderr.strip()}")

    call("mount")
    yield call
    while subprocess.run(["umount", "-l", str(place)], capture_output=True).returncode == 0:
        pass


def test_a_disk_that_is_really_unmounted(tmp_path: Path, mounted: Callable[[str], None]) -> None:
    """Under the mount is an empty folder, and it stays empty; after the next mount everything goes on."""
    store = tmp_path / "mounted"
    manager = open_store(store, state_path=str(tmp_path / "state"))
    fill(manager, "chat", LONG, size=70_000)
    session = manager.load_session("chat")
    mounted("umount")
    session.add_message(message(LONG))
    for call in (lambda: manager.save_session(session), manager.list_sessions, lambda: manager.create_session("new")):
        with pytest.raises(StoreGoneError):
            call()
    assert os.listdir(store) == []
    mounted("mount")
    manager.close()
    with open_store(store, state_path=str(tmp_path / "state")) as manager:
        assert len(manager.load_session("chat").get_messages()) == LONG + 1
