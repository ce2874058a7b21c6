"""A store in a bucket: processes without disks that are one replica, and exclude each other by the bucket alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from storekit import ROOT

from coda_fs_session import (
    ConfigError,
    SessionConflictError,
    SessionExistsError,
    SessionManager,
    SessionNotFoundError,
    StoreError,
)

from .fleet import Fleet, asking, fleet, said, say
from .proxy import Fault, Proxy
from .servers import Server

pytest.importorskip("obstore")
__all__ = ["fleet"]


def test_what_one_saves_the_others_have(fleet: Fleet) -> None:
    """What a process has saved is there for one that begins after it, and the store says what it is."""
    with fleet.pod() as pod:
        session = pod.create_session("chat")
        say(pod, session, "one", "two")
        assert repr(pod) == f"<SessionManager: bucket at {fleet.url!r}>"
        told = pod.describe()
        assert (told.backend, told.path, told.state, told.replica) == ("bucket", fleet.url, None, "fleet")
    with fleet.pod() as pod:
        assert said(pod.load_session("chat")) == ["one", "two"]
        assert [(info.name, info.message_count) for info in pod.list_sessions()] == [("chat", 2)]
        assert pod.store_exists()


def test_no_folder_of_that_name(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL as the path of a store is a place in a bucket, and never a folder of this machine."""
    monkeypatch.chdir(tmp_path)
    for name, secret in fleet.server.options.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", secret)
    with SessionManager(fleet.url) as manager:
        manager.create_session("chat")
    assert fleet.read("chat") == []
    assert os.listdir(tmp_path) == []


def test_the_command(fleet: Fleet, tmp_path: Path) -> None:
    """The command takes a URL where it takes a folder, whatever the configuration says of another store."""
    config = tmp_path / "config.toml"
    config.write_text(f'[session]\nbackend = "sqlite"\nstorage_path = "{tmp_path}/other"\n')
    environment = {f"AWS_{name.upper()}": value for name, value in fleet.server.options.items()}
    environment["PYTHONPATH"] = str(ROOT)
    environment |= {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    def run(*words: str, stdin: str = "") -> str:
        command = [sys.executable, "-m", "coda_fs_session", "--config", str(config), "--store", fleet.url, *words]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
        ).stdout

    run("new", "chat")
    run("append", "chat", "--role", "user", stdin="hello")
    assert "hello" in run("show", "chat")
    assert "chat" in run("list")
    run("rename", "chat", "talk")
    assert fleet.read("talk") == ["hello"]
    assert os.listdir(tmp_path) == ["config.toml"]


def test_options_that_do_not_belong_together(fleet: Fleet, tmp_path: Path) -> None:
    """A backend without its place, a place without its backend, and a URL that names none: each is refused at once."""
    for options in (
        {"backend": "files", "storage_path": fleet.url},
        {"backend": "sqlite", "storage_path": fleet.url},
        {"backend": "bucket", "storage_path": tmp_path / "store"},
        {"backend": "bucket"},
        {"storage_path": "s3://"},
        {"storage_path": "s3://id:secret@bucket/chats"},
        {"storage_path": f"{fleet.url}?region=eu"},
        {"storage_path": fleet.url, "bucket": {"endpiont": "http://127.0.0.1:9"}},
    ):
        with pytest.raises(ConfigError) as caught:
            SessionManager({"session": options})
        assert "secret" not in str(caught.value)


def test_requests(fleet: Fleet, proxy: Proxy) -> None:
    """What each verb asks of the bucket. A read costs a twelfth of a listing or a write."""
    fleet.server = proxy
    pod = fleet.pod()
    session = pod.create_session("chat")
    say(pod, session, "one")
    pod.create_session("other")
    with asking(proxy) as first:
        fresh = fleet.pod()
        there = fresh.load_session("chat")
    with asking(proxy) as save:
        say(fresh, there, "two")
    with asking(proxy) as after:
        say(pod, session, "three")
    with asking(proxy) as create:
        new = pod.create_session("new")
    with asking(proxy) as first_save:
        say(pod, new, "one")
    with asking(proxy) as load:
        pod.load_session("chat")
    with asking(proxy) as told:
        pod.get_session_info("chat")
    with asking(proxy) as branch:
        pod.create_session("branch", branch_from="chat")
    with asking(proxy) as delete:
        pod.delete_session("other")
    with asking(proxy) as rename:
        pod.rename_session("new", "newer")
    with asking(proxy) as undo:
        pod.history("chat").undo()
    with asking(proxy) as listing:
        fleet.pod().list_sessions()
    assert first == {"GET": 2, "LIST": 1}
    assert save == first_save == {"PUT": 1}
    assert after == {"PUT": 2, "GET": 2}
    assert create == {"GET": 2, "PUT": 1}
    assert load == told == {"GET": 2}
    assert branch == {"GET": 4, "PUT": 2}
    assert (delete["PUT"], rename["PUT"], undo["PUT"]) == (2, 4, 3)
    assert not (delete + undo)["LIST"]
    assert listing["LIST"] <= 2


def test_one_name_for_many_at_once(fleet: Fleet) -> None:
    """Whoever makes a session of one name at the same time, one session has it, and all have that."""
    pods = [fleet.pod() for _ in range(6)]
    with ThreadPoolExecutor(len(pods)) as pool:
        for number in range(4):
            sessions = list(pool.map(lambda pod, name=f"chat {number}": pod.create_session(name), pods))
            list(pool.map(say, pods, sessions, [f"from {each}" for each in range(len(pods))]))
            assert sorted(fleet.read(f"chat {number}")) == [f"from {each}" for each in range(len(pods))]
    assert len(fleet.pod().list_sessions()) == 4


def test_a_name_that_another_thread_has_found(fleet: Fleet, proxy: Proxy) -> None:
    """A name that came since a thread looked for it is taken, also where another thread of the process has seen it."""
    pod, other = Fleet(fleet.url, proxy).pod(), fleet.pod()
    pod.create_session("first")
    come = threading.Event()

    def spoil(verb: str, key: str) -> None:
        if verb == "PUT" and not come.is_set():
            come.set()
            say(other, other.create_session("chat"), "one")
            assert pod._storage.load("chat") is not None

    proxy.spoil = spoil
    session = pod.create_session("chat")
    assert said(session) == ["one"]
    assert sorted(info.name for info in fleet.pod().list_sessions()) == ["chat", "first"]


def test_threads_that_load(fleet: Fleet, proxy: Proxy) -> None:
    """Threads of one process ask for different sessions at the same time."""
    pod = fleet.pod()
    names = [f"chat {number}" for number in range(3)]
    for name in names:
        say(pod, pod.create_session(name), name)
    fresh = Fleet(fleet.url, proxy).pod()
    fresh.load_session(names[0])
    together = threading.Barrier(len(names), timeout=30)

    def spoil(verb: str, key: str) -> None:
        if verb == "GET" and "/chat-" in key and ".2.jsonl" not in key:
            together.wait()

    proxy.spoil = spoil
    with ThreadPoolExecutor(len(names)) as pool:
        assert [said(session) for session in pool.map(fresh.load_session, names)] == [[name] for name in names]


def test_a_renamed_session(fleet: Fleet) -> None:
    """Whoever looks for the new name finds it; who has it open goes on; and the old name is free."""
    one, other = fleet.pod(), fleet.pod()
    session = one.create_session("b")
    say(one, session, "1")
    there = other.load_session("b")
    for new in ("c", "a", "b", "d"):
        one.rename_session(session.name, new)
        assert fleet.read(new) == said(session)
        say(other, there, f"as {new}")
        assert there.name == new
        say(one, session, f"also as {new}")
        assert fleet.read(new) == said(session)
    # One for each name that it had, however often it had that.
    assert len(one._storage.repo.backend.ref_tokens()) == 4
    for old in ("a", "b", "c"):
        with pytest.raises(SessionNotFoundError):
            fleet.pod().load_session(old)
        assert old not in one
    say(one, one.create_session("b"), "another")
    assert (fleet.read("b"), fleet.read("d")) == (["another"], said(session))
    assert sorted(info.name for info in fleet.pod().list_sessions()) == ["b", "d"]
    with pytest.raises(SessionExistsError):
        fleet.pod().rename_session("b", "d")
    one.delete_session("d")
    assert sorted(info.name for info in fleet.pod().list_sessions()) == ["b"]
    fleet.pod().history("d").restore()
    assert fleet.read("d") == said(session)
    assert not fleet.pod().maintenance.check(full=True).findings


@pytest.mark.parametrize("fault", ["cut before", "cut after"])
def test_a_rename_that_fails(fleet: Fleet, proxy: Proxy, fault: Fault) -> None:
    """Wherever it ends, the session is whole under one of its names, and can be renamed then."""
    for number in range(60):
        names = f"old {number}", f"new {number}"
        pod = Fleet(fleet.url, proxy).pod(bucket={**proxy.options, "retries": 0})
        session = pod.create_session(names[0])
        say(pod, session, "one")
        proxy.spoil_number(number, fault, times=50)
        failed = False
        try:
            pod.rename_session(*names)
        except StoreError:
            failed = True
        proxy.spoil = lambda verb, key: None
        left = [info.name for info in fleet.pod().list_sessions() if info.name in names]
        assert len(left) == 1
        assert fleet.read(left[0]) == ["one"]
        if left[0] == names[0]:
            again = fleet.pod()
            say(again, again.load_session(names[0]), "two")
            again.rename_session(*names)
            assert fleet.read(names[1]) == ["one", "two"]
        if not failed:
            return
    raise AssertionError("no rename went through")


def test_changes_that_do_not_fit(fleet: Fleet) -> None:
    """As on one machine: what others appended comes before, and what does not apply any more is refused."""
    one, other = fleet.pod(), fleet.pod()
    session = one.create_session("chat")
    say(one, session, "1", "2")
    there = other.load_session("chat")
    say(one, session, "3")
    say(other, there, "4")
    assert said(there) == ["1", "2", "3", "4"]
    session.messages = session.messages[:1]
    with pytest.raises(SessionConflictError):
        one.save_session(session)
    with pytest.raises(SessionConflictError):
        other.save_session(there, expected="0" * 16)


def test_what_a_machine_with_a_disk_brings(fleet: Fleet, server: Server, tmp_path: Path) -> None:
    """Sessions that a sync brings are found by name, also renamed ones, and go on there and here."""
    desk = SessionManager(
        {
            "session": {
                "storage_path": tmp_path / "store",
                "state_path": tmp_path / "state",
                "replica": "desk",
                "bucket": server.options,
                "autosave_interval": 0,
            }
        }
    )
    pod = fleet.pod()
    say(pod, pod.create_session("of the pod"), "1")
    session = desk.create_session("of the desk")
    say(desk, session, "1")
    desk.rename_session("of the desk", "renamed")
    desk.sync(fleet.url)
    fresh = fleet.pod()
    say(fresh, fresh.load_session("renamed"), "2")
    say(desk, desk.load_session("of the pod"), "2")
    desk.sync(fleet.url)
    assert said(desk.load_session("renamed")) == ["1", "2"]
    assert fleet.read("of the pod") == fleet.read("renamed") == ["1", "2"]
    assert sorted(info.name for info in fleet.pod().list_sessions()) == ["of the pod", "renamed"]


def test_a_store_on_a_disk_and_back(fleet: Fleet, tmp_path: Path) -> None:
    """A process of the fleet syncs with a folder too: a copy of everything, and back."""
    pod = fleet.pod()
    say(pod, pod.create_session("chat"), "1")
    assert pod.sync(tmp_path / "copy").pushed.refs == 1
    copy = SessionManager({"session": {"storage_path": tmp_path / "copy", "state_path": tmp_path / "state"}})
    say(copy, copy.load_session("chat"), "2")
    copy.close()
    pod.sync(tmp_path / "copy")
    assert fleet.read("chat") == ["1", "2"]


def test_names_that_begin_alike(fleet: Fleet, proxy: Proxy) -> None:
    """A user's sessions are listed without a look at those of others."""
    pod = fleet.pod()
    with pod.bulk():
        for user in ("anna", "bert", "Zoë"):
            for number in range(8):
                pod.create_session(f"{user}/{number}")
    pod.rename_session("bert/3", "anna/9")
    fresh = Fleet(fleet.url, proxy).pod()
    with asking(proxy) as asked:
        found = fresh.list_sessions(prefix="anna/")
    assert sorted(info.name for info in found) == [f"anna/{number}" for number in (*range(8), 9)]
    assert asked["GET"] < 24
    assert len(fresh.list_sessions(prefix="bert/")) == 7
    # Also of one whose ref has an earlier name.
    say(pod, pod.load_session("anna/9"), "one more")
    assert [info.message_count for info in fresh.list_sessions(prefix="anna/9")] == [1]
    assert len(fresh.list_sessions(prefix="Zo")) == 8


def test_many_in_a_row(fleet: Fleet) -> None:
    """In a block for many, each is stored at once, so that others find it."""
    pod = fleet.pod()
    told: list[int] = []
    with pod.bulk(progress=told.append):
        pod.create_session("one")
        assert "one" in fleet.pod()
    assert told in ([], [1])


def test_one_name_for_two(fleet: Fleet, server: Server, proxy: Proxy) -> None:
    """Two that rename at one moment may give one name to two sessions: both are kept under names of their own."""
    one, other = fleet.pod(), Fleet(fleet.url, proxy).pod()
    for name in ("a", "b"):
        say(one, one.create_session(name), name)
    waited = threading.Event()

    def spoil(verb: str, key: str) -> None:
        # Right before the first write of the other one.
        if verb == "PUT" and "refs" in key and not waited.is_set():
            waited.set()
            one.rename_session("a", "c")

    other.load_session("b")
    proxy.spoil = spoil
    try:
        other.rename_session("b", "c")
    except SessionExistsError:
        assert sorted(info.name for info in fleet.pod().list_sessions()) == ["b", "c"]
    names = [info.name for info in fleet.pod().list_sessions()]
    assert sorted(fleet.read(name)[0] for name in names) == ["a", "b"]
    assert waited.is_set()
