"""`sync` with a place in a bucket, over real requests: what it asks, what it says, and that nothing is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import ConfigError, SessionManager, StoreError

from .servers import Server

bucket = pytest.importorskip("coda_fs_session.backends.bucket.client")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is asked of the storage, by verb: a page of a listing, a value read, a value written."""
    counted: Counter[str] = Counter()
    for verb, name in (("get", "GET"), ("_put", "PUT"), ("delete", "DELETE")):
        _count(monkeypatch, verb, name, counted)
    listing = bucket.Client.keys_below

    def keys_below(self: Any, *args: Any, **options: Any) -> Iterator[Any]:
        for number, found in enumerate(listing(self, *args, **options)):
            counted["LIST"] += number % 1000 == 0
            yield found

    monkeypatch.setattr(bucket.Client, "keys_below", keys_below)
    return counted


def _count(monkeypatch: pytest.MonkeyPatch, verb: str, name: str, counted: Counter[str]) -> None:
    real = getattr(bucket.Client, verb)

    def counting(self: Any, *args: Any, **options: Any) -> Any:
        counted[name] += 1
        return real(self, *args, **options)

    monkeypatch.setattr(bucket.Client, verb, counting)


class Machine:
    """A machine with a store of its own and the options of the hub."""

    def __init__(self, folder: Path, replica: str, server: Server) -> None:
        self.options = {
            "storage_path": folder / replica / "store",
            "state_path": folder / replica / "state",
            "replica": replica,
            "autosave_interval": 0,
            "bucket": server.options,
        }

    def manager(self, **options: Any) -> SessionManager:
        return SessionManager({"session": {**self.options, **options}})

    def say(self, name: str, *texts: str) -> None:
        with self.manager() as manager:
            session = manager.create_session(name) if name not in self.names() else manager.load_session(name)
            for text in texts:
                session.add_message({"role": "user", "content": text})
            manager.save_session(session)

    def read(self, name: str) -> list[str]:
        with self.manager() as manager:
            return [message["content"] for message in manager.load_session(name).get_messages()]

    def names(self) -> list[str]:
        with self.manager() as manager:
            return sorted(info.name for info in manager.list_sessions())

    def sync(self, url: str, **options: Any) -> Any:
        with self.manager() as manager:
            return manager.sync(url, **options)


@pytest.fixture
def desk(tmp_path: Path, server: Server) -> Machine:
    return Machine(tmp_path, "desk", server)


@pytest.fixture
def lap(tmp_path: Path, server: Server) -> Machine:
    return Machine(tmp_path, "lap", server)


def settle() -> None:
    """Wait until files of this moment are told apart by their times."""
    time.sleep(2.1)


def test_requests_of_a_sync(url: str, desk: Machine, lap: Machine, requests: Counter[str]) -> None:
    """Nothing new is one listing; one message more is that and one put here, and one get there."""
    desk.say("chat", "hello", "x" * 20_000)
    desk.say("other", "hello")
    for machine in (desk, lap):
        machine.sync(url)
    settle()
    for machine in (desk, lap):
        machine.sync(url)
        requests.clear()
        assert not machine.sync(url).pushed
        assert requests == {"LIST": 1}
    desk.say("chat", "one more")
    requests.clear()
    assert desk.sync(url).pushed.advanced == ("chat",)
    assert requests == {"LIST": 1, "PUT": 1}
    requests.clear()
    assert lap.sync(url).pulled.advanced == ("chat",)
    assert requests == {"LIST": 1, "GET": 1}
    assert lap.read("chat") == desk.read("chat")
    lap.say("chat", "an answer")
    lap.sync(url)
    lap.say("chat", "and another")
    requests.clear()
    lap.sync(url)
    assert requests == {"LIST": 1, "PUT": 1}
    desk.sync(url)
    assert desk.read("chat")[-1] == "and another"


def test_odd_names(url: str, desk: Machine, lap: Machine) -> None:
    """Names of any characters arrive, and go by the same names there."""
    names = ["Ünïcode / name", "100%", "a+b c", "CON", "a?b*c", "~x", "…" * 50]
    for name in names:
        desk.say(name, name)
    assert desk.sync(url).problems == ()
    assert lap.sync(url).problems == ()
    assert lap.names() == sorted(names)
    assert [lap.read(name) for name in names] == [[name] for name in names]


def test_a_file_whose_name_no_bucket_takes(url: str, desk: Machine, lap: Machine, tmp_path: Path) -> None:
    """It is a problem of its own, and the others arrive."""
    desk.say("chat", "hello")
    desk.say("other", "hello")
    (ref,) = (tmp_path / "desk" / "store" / "refs" / "desk").rglob("other*.jsonl")
    ref.with_name("odd\x01.jsonl").write_bytes(ref.read_bytes())
    problems = desk.sync(url).problems
    assert ["odd" in str(problem) for problem in problems] == [True]
    lap.sync(url)
    assert lap.names() == ["chat", "other"]


def test_a_bucket_that_is_not_there(server: Server, desk: Machine) -> None:
    """It is said so, and none is made."""
    desk.say("chat", "hello")
    with pytest.raises(StoreError, match="there is no such bucket"):
        desk.sync("s3://nowhere-at-all/chats")
    assert server.request("HEAD", "/nowhere-at-all") == 404


def test_a_server_that_is_not_there(desk: Machine) -> None:
    """It ends soon, with what to do; what is here stays."""
    desk.say("chat", "hello")
    quick = {"endpoint": "http://127.0.0.1:9", "retries": 0, "request_seconds": 1}
    with pytest.raises(StoreError, match="look at the network"):
        desk.sync("s3://chats/home", hub_options=quick)
    assert desk.read("chat") == ["hello"]


@pytest.mark.parametrize("place", ["s3://key:secret@chats", "s3://chats?x=1", "s3://", "gs:///x", "s3://chats/.x"])
def test_a_url_that_is_none(desk: Machine, place: str) -> None:
    """It is refused at once, without what is secret in it."""
    with pytest.raises(ValueError, match="://") as caught:
        desk.sync(place)
    assert "secret@" not in str(caught.value)


def test_options_that_are_none(desk: Machine, url: str, tmp_path: Path) -> None:
    """A misspelt option is refused, in the configuration as in the call, and options go with a bucket alone."""
    with pytest.raises(ConfigError):
        desk.sync(url, hub_options={"endpiont": "http://127.0.0.1:9"})
    with pytest.raises(ConfigError, match=r"session\.bucket"):
        desk.manager(bucket="http://127.0.0.1:9")
    with pytest.raises(ValueError, match="for a bucket"):
        desk.sync(str(tmp_path / "stick"), hub_options={})


def test_other_urls(desk: Machine) -> None:
    """Of other URLs no folder is made."""
    with pytest.raises(ValueError, match="is a URL"):
        desk.sync("https://example.org/chats")


def test_pages_of_a_listing(url: str, desk: Machine, lap: Machine, requests: Counter[str], long_size: bool) -> None:
    """All pages of a listing are all sessions, and a second sync asks for these alone."""
    count = 2001 if long_size else 1001
    with desk.manager(durability="none") as manager, manager.bulk():
        for number in range(count):
            manager.create_session(f"chat {number}")
    settle()
    desk.sync(url)
    requests.clear()
    desk.sync(url)
    assert requests == {"LIST": 3 if long_size else 2}
    assert lap.sync(url).pulled.refs == count
    assert len(lap.names()) == count


def test_a_purge(url: str, desk: Machine, lap: Machine, server: Server) -> None:
    """What one machine purges is gone from the hub with the next sync, and from the other machine with its next."""
    secret = "the secret 4711"
    for number in range(3):
        desk.say("chat", *[f"{number} {text} " + "x" * 40_000 for text in ("a", secret, "b")])
    for machine in (desk, lap):
        machine.sync(url)
    lap.say("other", "hello")
    lap.sync(url)
    with desk.manager() as manager:
        manager.maintenance.purge_text(secret)
    assert desk.sync(url).problems == ()
    store = bucket.Client(url, server.options)
    values = [store.get(found.key).data for found in store.keys_below()]
    assert not [value for value in values if secret.encode() in unpacked(value)]
    lap.sync(url)
    lap.say("other", "again")
    assert not [text for text in lap.read("chat") if secret in text]
    for machine in (lap, desk, lap, desk):
        assert machine.sync(url).problems == ()
    assert lap.read("chat") == desk.read("chat")
    assert not [each for each in store.keys_below() if secret.encode() in unpacked(store.get(each.key).data)]
    with lap.manager() as manager:
        assert manager.maintenance.check(full=True).is_whole


def unpacked(value: bytes) -> bytes:
    from coda_fs_session.backends.disk import zstd

    return zstd.decompress(value, size=None, limit=2**30) if value.startswith(b"\x28\xb5\x2f\xfd") else value
