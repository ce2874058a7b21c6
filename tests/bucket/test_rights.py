"""Machines that may not do all: what a sync with a hub says then, and that nothing is lost or half there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coda_fs_session import StoreError

from .proxy import Proxy
from .servers import Server
from .test_hub import Machine

pytest.importorskip("coda_fs_session.backends.bucket.client")


def machines(folder: Path, proxy: Proxy) -> tuple[Machine, Machine]:
    """Return a machine that reaches the storage, and one that does so by the proxy."""
    return Machine(folder, "desk", proxy.upstream), Machine(folder, "lap", proxy)


def read_only(proxy: Proxy) -> None:
    proxy.spoil = lambda verb, key: "403" if verb in ("PUT", "DELETE", "POST") else None


def test_a_key_with_no_right_at_all(tmp_path: Path, proxy: Proxy, url: str) -> None:
    """It is said what to look at, without the secret, and what is here stays as it is."""
    desk, lap = machines(tmp_path, proxy)
    desk.say("chat", "hello")
    desk.sync(url)
    lap.say("of the lap", "hello")
    proxy.spoil = lambda verb, key: "403"
    with pytest.raises(StoreError, match="no right to") as caught:
        lap.sync(url)
    assert "secret-of-a-test" not in str(caught.value)
    assert lap.names() == ["of the lap"]
    proxy.spoil = lambda verb, key: None
    assert lap.sync(url).problems == ()
    assert lap.names() == ["chat", "of the lap"]


def test_a_key_that_may_only_read(tmp_path: Path, proxy: Proxy, url: str) -> None:
    """A pull works. A sync both ways does while there is nothing to write; else it says so, and what arrived stays."""
    desk, lap = machines(tmp_path, proxy)
    desk.say("chat", "hello", *("x" * 40_000 for _ in range(4)))
    desk.sync(url)
    read_only(proxy)
    assert lap.sync(url, direction="pull").problems == ()
    assert lap.sync(url).problems == ()
    assert lap.read("chat") == desk.read("chat")
    desk.say("chat", "again")
    desk.sync(url)
    lap.say("of the lap", "hello", *("y" * 40_000 for _ in range(4)))
    with pytest.raises(StoreError, match="no right to"):
        lap.sync(url)
    assert lap.sync(url, direction="pull").problems == ()
    assert lap.read("chat") == desk.read("chat")
    assert lap.names() == ["chat", "of the lap"]
    desk.sync(url)
    assert desk.names() == ["chat"]
    proxy.spoil = lambda verb, key: None
    assert lap.sync(url).pushed.new == ("of the lap",)


def test_a_first_push_that_may_not_write(tmp_path: Path, proxy: Proxy, url: str) -> None:
    """It ends with an error, and there is no store there, not half of one."""
    _, lap = machines(tmp_path, proxy)
    lap.say("of the lap", "hello")
    read_only(proxy)
    with pytest.raises(StoreError, match="no right to"):
        lap.sync(url)
    with pytest.raises(StoreError, match="no store"):
        lap.sync(url, direction="pull")
    assert lap.names() == ["of the lap"]


def test_without_the_extra(tmp_path: Path, server: Server) -> None:
    """It is said how to install it; the package itself does without, and no folder is made."""
    code = """
import sys
sys.modules["obstore"] = None
from coda_fs_session import ConfigError, SessionManager
manager = SessionManager({"session": {"storage_path": sys.argv[1]}})
manager.save_session(manager.create_session("chat"))
try:
    manager.sync("s3://chats/home")
except ConfigError as error:
    assert "coda-fs-session[bucket]" in str(error)
else:
    raise AssertionError("no error")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "store")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "s3:").exists()


def test_objects_that_are_gone_from_the_bucket(
    tmp_path: Path, server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a whole session that lost its objects there, the next look puts them there again; so of an emptied bucket."""
    from coda_fs_session.backends.bucket.client import Client

    desk, lap = (Machine(tmp_path, each, server) for each in ("desk", "lap"))
    desk.say("chat", *(f"{each} " + "x" * 40_000 for each in range(4)))
    desk.sync(url)
    store = Client(url, server.options)
    for folder in ("objects", ""):
        store.delete([found.key for found in store.keys_below(folder)])
        monkeypatch.setattr("coda_fs_session.repo.sync.hub._LOOK_SECONDS", 0)
        assert desk.sync(url).problems == ()
        monkeypatch.undo()
        assert desk.sync(url).pushed.refs == 0
    assert lap.sync(url).problems == ()
    assert lap.read("chat") == desk.read("chat")


def test_ten_thousand_sessions(tmp_path: Path, server: Server, url: str, proxy: Proxy, long_size: bool) -> None:
    """A second sync of 10,000 sessions with nothing new asks for 15 things at most; a third for the pages alone."""
    if not long_size:
        pytest.skip("only with --long: it takes minutes")
    desk = Machine(tmp_path, "desk", server)
    with desk.manager(durability="none") as manager, manager.bulk():
        for number in range(10_000):
            manager.create_session(f"chat {number}")
    desk.sync(url)
    for at_most in (15, 10):
        proxy.verbs.clear()
        assert not desk.sync(url, hub_options=proxy.options).pushed
        assert proxy.verbs.total() <= at_most
    lap = Machine(tmp_path, "lap", server)
    assert lap.sync(url).pulled.refs == 10_000
    proxy.verbs.clear()
    assert not lap.sync(url, hub_options=proxy.options).pulled
    assert proxy.verbs.total() <= 15
