"""What goes wrong between the bucket and us: answers that are lost, late, refused or damaged."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest
from storekit import ROOT

from coda_fs_session.backends.base import NewObject, RefChangedError, RefKey, RefRefusedError, RefTakenError
from coda_fs_session.errors import ConfigError, CorruptionError, StoreError, UnsupportedError
from coda_fs_session.testing.kit.case import new_object

from .proxy import FAULTS, Fault, Proxy
from .servers import Server, free_port

bucket = pytest.importorskip("coda_fs_session.backends.bucket.backend")
client = pytest.importorskip("coda_fs_session.backends.bucket.client")

KEY = RefKey("here-00000001/chat.jsonl")
QUICK = {"retries": 2, "retry_seconds": 5, "request_seconds": 2}


def opened(url: str, server: Server, **more: Any) -> Any:
    return bucket.BucketBackend(url, {**server.options, **QUICK, **more})


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_a_fault_at_each_request_of_a_write(url: str, proxy: Proxy, fault: Fault, lasting: bool) -> None:
    """A verb that returns has done it once, and one that raises can be tried again: nothing is lost or there twice."""
    watching = opened(url, proxy.upstream)
    watching.prepare()
    for number in range(4):
        key = RefKey(f"here-00000001/{number}.jsonl")
        backend = opened(url, proxy)
        proxy.spoil_number(number, fault, times=100 if lasting else 1)
        raised = 0
        data = b""
        for line in (b"one\n", b"two\n", b"three\n"):
            for _ in range(3):
                try:
                    if not data:
                        backend.create_ref(key, line)
                    else:
                        backend.append_ref(key, backend.read_ref(key).token, line)
                except (RefTakenError, RefChangedError):
                    # Tried before, with an error, and done all the same.
                    assert raised
                except StoreError:
                    raised += 1
                    proxy.spoil = lambda verb, key: None
                    if watching.ref_tokens().get(key.path) is None:
                        continue
                    if watching.read_ref(key).data == data:
                        continue
                data += line
                break
        proxy.spoil = lambda verb, key: None
        assert watching.read_ref(key).data == data == b"one\ntwo\nthree\n"
        assert raised or not lasting or fault == "flip"


def test_an_answer_that_is_lost(url: str, proxy: Proxy) -> None:
    """The storage had taken the write, and refused it when it was repeated: it is no conflict."""
    backend = opened(url, proxy)
    backend.prepare()
    for verb in ("create", "append", "replace"):
        left = iter(["cut after"])
        proxy.spoil = lambda verb, key, left=left: next(left, None) if verb == "PUT" else None
        if verb == "create":
            token = backend.create_ref(KEY, b"one\n")
        elif verb == "append":
            token = backend.append_ref(KEY, token, b"two\n")
        else:
            token = backend.replace_ref(KEY, token, b"three\n")
        assert backend.read_ref(KEY).token == token
    assert backend.read_ref(KEY).data == b"three\n"


def test_a_new_ref_that_another_has_gone_on_with(url: str, proxy: Proxy) -> None:
    """It was made, the answer was lost, and somebody appended to it: it is not made once more under another key."""
    backend, other = opened(url, proxy), opened(url, proxy.upstream)
    backend.prepare()

    def spoil(verb: str, key: str) -> Fault | None:
        if verb != "PUT":
            return None
        proxy.spoil = go_on
        return "cut after"

    def go_on(verb: str, key: str) -> Fault | None:
        proxy.spoil = lambda verb, key: None
        other.append_ref(KEY, other.read_ref(KEY).token, b"theirs\n")
        return None

    proxy.spoil = spoil
    token = backend.create_ref(KEY, b"one\n")
    assert token.size == 4
    with pytest.raises(RefChangedError):
        backend.append_ref(KEY, token, b"two\n")
    backend.append_ref(KEY, backend.read_ref(KEY).token, b"two\n")
    assert other.read_ref(KEY).data == b"one\ntheirs\ntwo\n"
    with pytest.raises(RefTakenError):
        backend.create_ref(KEY, b"another\n")


def test_a_conflict_is_one_though_an_answer_was_lost(url: str, proxy: Proxy) -> None:
    """Where another has written, what was to be written is not there, and that is said."""
    backend, other = opened(url, proxy), opened(url, proxy.upstream)
    backend.prepare()
    token = backend.create_ref(KEY, b"one\n")
    other.append_ref(KEY, token, b"theirs\n")
    proxy.spoil_number(0, "cut before")
    with pytest.raises(RefChangedError):
        backend.append_ref(KEY, token, b"ours\n")
    assert other.read_ref(KEY).data == b"one\ntheirs\n"


def test_an_answer_that_is_lost_before_another_writes(url: str, proxy: Proxy) -> None:
    """The bytes are in the ref, and the repeated write is refused: nobody is told that they are not there."""
    backend, other = opened(url, proxy), opened(url, proxy.upstream)
    backend.prepare()
    token = backend.create_ref(KEY, b"one\n")
    writes = iter(range(10))

    def spoil(verb: str, key: str) -> Fault | None:
        number = next(writes) if verb == "PUT" else None
        if number == 1:
            other.append_ref(KEY, other.read_ref(KEY).token, b"theirs\n")
        return "cut after" if number == 0 else None

    proxy.spoil = spoil
    with pytest.raises(RefChangedError) as raised:
        backend.append_ref(KEY, token, b"ours\n")
    assert not isinstance(raised.value, RefRefusedError)
    assert other.read_ref(KEY).data == b"one\nours\ntheirs\n"


def test_a_flipped_bit(url: str, proxy: Proxy) -> None:
    """What came with another bit is read again; where it always comes so it is damaged, a ref and an object alike.

    A ref's last line looks as one that was not written whole, and would be cut off by the next save.
    """
    backend = opened(url, proxy)
    backend.prepare()
    backend.create_ref(KEY, b"one\n")
    plain = new_object(b"one\n" * 100)
    large = NewObject(*new_object(b"words " * 100_000)[:2], True)
    backend.put_objects([plain, large])
    reads = (
        lambda: backend.read_ref(KEY).data,
        lambda: backend.get_object(plain.id, size=len(plain.data), limit=2**20),
        lambda: backend.get_object(large.id, size=len(large.data), limit=2**20),
    )
    for read, data in zip(reads, (b"one\n", plain.data, large.data), strict=True):
        proxy.spoil_number(0, "flip")
        assert read() == data
        proxy.spoil = lambda verb, key: "flip"
        with pytest.raises(CorruptionError):
            read()
        proxy.spoil = lambda verb, key: None
        assert read() == data


def test_a_value_that_a_tool_has_put(url: str, server: Server) -> None:
    """It has no hash beside it, and is read all the same."""
    backend = opened(url, server)
    backend.prepare()
    server.request("PUT", f"{url.removeprefix('s3:/')}/refs/{KEY.path}", b"one\n")
    token = backend.read_ref(KEY).token
    assert backend.append_ref(KEY, token, b"two\n")
    assert backend.read_ref(KEY).data == b"one\ntwo\n"


def test_no_answer_at_all(url: str, proxy: Proxy) -> None:
    """A request ends after its time, though the storage never answers."""
    backend = opened(url, proxy, request_seconds=0.3, retries=1)
    backend.prepare()
    proxy.spoil = lambda verb, key: "hang"
    began = time.monotonic()
    with pytest.raises(StoreError, match="look at the network"):
        backend.read_ref(KEY)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("fault", "match"),
    [("403", "no right to"), ("503", "fewer requests"), ("cut before", "look at the network")],
)
def test_errors_say_what_to_do(url: str, proxy: Proxy, fault: Fault, match: str) -> None:
    """Each names the place, and none what is secret."""
    backend = opened(url, proxy, session_token="a-token-of-a-test")
    backend.prepare()
    backend.create_ref(KEY, b"one\n")
    proxy.spoil = lambda verb, key: fault
    verbs = (
        lambda: backend.read_ref(KEY),
        lambda: backend.create_ref(RefKey("here-00000001/another.jsonl"), b""),
        backend.ref_tokens,
        lambda: backend.get_object("ab" * 32, size=None, limit=10),
        lambda: backend.put_objects([new_object(b"one\n")]),
        lambda: backend.discard_object("ab" * 32),
    )
    for verb in verbs:
        with pytest.raises(StoreError, match=match) as caught:
            verb()
        said = f"{caught.value!r} {caught.value}"
        assert url in said
        assert "secret-of-a-test" not in said
        assert "a-token-of-a-test" not in said


def test_no_bucket(server: Server) -> None:
    """It is said to be missing, for a read too, and none is made."""
    backend = opened("s3://nobody-made-this/chats", server)
    for verb in (backend.prepare, lambda: backend.read_ref(KEY), backend.ref_tokens):
        with pytest.raises(StoreError, match="no such bucket"):
            verb()


def test_nobody_listens() -> None:
    """The error comes after the retries, and is about the network."""
    with pytest.raises(StoreError, match="look at the network"):
        opened("s3://bucket/chats", Server(free_port()), retries=1, retry_seconds=1).prepare()


def test_something_else_is_there(url: str, server: Server) -> None:
    """A prefix with other values in it becomes no store."""
    other = opened(url, server).client
    other.put("report.pdf", b"x")
    with pytest.raises(StoreError, match=r"holds something else \(report.pdf"):
        opened(url, server).prepare()
    assert [each.key for each in other.keys_below()] == ["report.pdf"]


def test_a_storage_without_conditions(url: str, proxy: Proxy) -> None:
    """It is found out before anything is written into it: two machines would overwrite each other's refs there."""
    proxy.without = ("if-none-match", "if-match")
    with pytest.raises(UnsupportedError, match="passes over the conditions"):
        opened(url, proxy).prepare()
    assert opened(url, proxy.upstream).place().store is None


def test_another_version(url: str, server: Server) -> None:
    """A store of a later version is refused, in reading and in writing."""
    opened(url, server).client.put("FORMAT", b'{"coda_fs_session":2}\n')
    for verb in ("prepare", "place"):
        with pytest.raises(StoreError, match="another version"):
            getattr(opened(url, server), verb)()


def test_a_child_of_a_fork(url: str, server: Server) -> None:
    """There the library would wait for ever, with a new client too: an error says how to start workers."""
    backend = opened(url, server)
    backend.prepare()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        for used in (backend, opened(url, server)):
            try:
                used.read_ref(KEY)
            except BaseException as error:
                os.write(writing, f"{type(error).__name__}: {error}\n".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert [line.partition(": ")[0] for line in said.splitlines()] == ["UnsupportedError"] * 2
    assert said.count("spawn") == 2
    with pytest.raises(KeyError):
        backend.read_ref(KEY)


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///a", "s3://id:secret@bucket/a", "s3://bucket/a?key=secret", "s3://bucket/.a", "s3://bucket/a//b"],
)
def test_urls_that_name_no_place(url: str) -> None:
    """They are refused at once, and what is secret in them is in no error."""
    with pytest.raises(ValueError, match=r"s3://") as caught:
        client.checked_url(url)
    assert "secret" not in str(caught.value)


def test_unencrypted(server: Server) -> None:
    """Requests go unencrypted to this machine alone, where nothing else is asked for."""
    with pytest.raises(ConfigError, match="not encrypted"):
        client.Client("s3://bucket", {**server.options, "endpoint": "http://192.0.2.1"})
    client.Client("s3://bucket", {**server.options, "endpoint": "http://192.0.2.1", "allow_http": True})


def test_an_endpoint_of_the_environment(url: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as that of the options does: on this machine it may be unencrypted, elsewhere it must be said."""
    for name, value in server.options.items():
        monkeypatch.setenv(f"AWS_{name.upper()}", value)
    client.Client(url).put("a", b"one")
    assert client.Client(url).get("a").data == b"one"
    monkeypatch.delenv("AWS_ENDPOINT")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1")
    with pytest.raises(ConfigError, match="not encrypted"):
        client.Client(url)


def test_nobody_pays_who_does_not_use_it() -> None:
    """The library is imported with the first bucket only."""
    program = (
        "import sys, coda_fs_session, coda_fs_session.cli, coda_fs_session.backends; print('obstore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False\n"


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error says how to install it."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigError, match=r"pip install 'coda-fs-session\[bucket\]'"):
        client.Client("s3://bucket/chats")


def test_a_client_shows_no_secrets(url: str, server: Server) -> None:
    """Not where it is printed either."""
    made = opened(url, server)
    assert "secret-of-a-test" not in f"{made!r} {made.client!r} {made.place()}"
