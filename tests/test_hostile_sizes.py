"""Small files that stand for a lot: what they would take in memory is known before, and refused."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from storekit import fill, message, objects_of, open_store, say, within

from coda_fs_session import CorruptionError, SessionManager, SessionTooLargeError, StoreError
from coda_fs_session.format.ids import line_id

MIB = 2**20
CREATED = "2024-01-01T00:00:00.000000+00:00"
LONG = (b'{"content":"', b"x", b'"}\n')
"""The beginning, the middle and the end of a message of any length."""


def bomb(store: Path, size: int, parts: tuple[bytes, bytes, bytes] = LONG) -> str:
    """Write an object of `size` bytes of which the disk has next to nothing, and return its id."""
    first, fill, last = parts
    middle = size - len(first) - len(last)
    assert middle % len(fill) == 0
    frame = zstandard.ZstdCompressor(write_checksum=True).compressobj(size=size)
    digest, data = hashlib.sha256(), b""
    pieces = [first, *[fill * (MIB // len(fill))] * (middle // (MIB // len(fill) * len(fill)))]
    pieces += [fill * ((middle - sum(map(len, pieces[1:]))) // len(fill)), last]
    for piece in pieces:
        digest.update(piece)
        data += frame.compress(piece)
    identity = digest.hexdigest()
    path = store / "objects" / identity[:2] / f"{identity}.jsonl.zst"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data + frame.flush())
    return identity


def hostile_ref(store: Path, name: str, base: dict[str, Any], **fields: object) -> None:
    """Write a ref of a replica that wishes us ill."""
    header = {"coda_fs_session": 1, "name": name, "replica": "hostile", "created": CREATED, "updated": CREATED}
    before = orjson.dumps({**header, **fields, "base": base})[:-1]
    path = store / "refs" / "hostile" / f"{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b'%b,"id":"%b"}\n' % (before, line_id(before).encode()))


def base_of(identity: str, messages: int, size: int) -> dict[str, Any]:
    chain = hashlib.sha256(("0" * 64 + identity).encode()).hexdigest()
    return {"messages": messages, "bytes": size, "chain": chain, "spine": [[[identity, messages, size]]]}


@contextmanager
def little_memory(limit: int) -> Iterator[None]:
    """Fail the block if Python's memory passes the limit."""
    tracemalloc.start()
    try:
        with within(60):
            yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak / MIB:.0f} MiB"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the session good."""
    with open_store(tmp_path / "store") as manager:
        fill(manager, "good")
    return tmp_path / "store"


def reads(manager: SessionManager, name: str, folder: Path) -> Iterable[Any]:
    """Return every way in which messages come into memory."""
    return (
        lambda: manager.load_session(name).messages,
        lambda: manager.load_session(name).get_messages(),
        lambda: manager.load_session(name).get_messages(limit=1),
        lambda: manager.load_session(name, partial=True),
        lambda: manager.export_session(name, folder / "export.json"),
    )


def test_a_message_that_is_larger_than_a_session_may_be(store: Path) -> None:
    """Bug: 16 KB on the disk took 1 GiB to read. It is refused by an error that names the option; 0 reads it all."""
    size = 32 * MIB
    hostile_ref(store, "bad", base_of(bomb(store, size), 1, size))
    with little_memory(8 * MIB), open_store(store, max_session_size=1) as manager:
        assert {info.name: info.size_bytes for info in manager.list_sessions()}["bad"] == size
        assert len(manager.load_session("bad")) == 1
        for read in reads(manager, "bad", store.parent):
            with pytest.raises(SessionTooLargeError, match="raise the option"):
                read()
        assert manager.load_session("good").get_messages()
        assert manager.stats().messages == 4
    with open_store(store, max_session_size=0) as manager:
        assert len(manager.load_session("bad").get_messages(limit=1)[0]["content"]) > size - 100
        assert manager.load_session("bad", partial=True).missing == 0


def test_a_part_of_a_session_that_is_larger(store: Path) -> None:
    """The limit is for what is read: the end of a long session is read, all of it is not, and it can be shortened."""
    with open_store(store, max_session_size=0) as manager:
        fill(manager, "long", 40, size=70_000)
    with open_store(store, max_session_size=1) as manager:
        session = manager.load_session("long")
        assert session.get_messages(limit=3) == [message(number, 70_000) for number in (37, 38, 39)]
        with pytest.raises(SessionTooLargeError, match="3 MB, more than max_session_size"):
            session.get_messages()
        session.truncate_messages(5)
        manager.save_session(session)
        assert len(session.get_messages()) == 5


def test_many_messages_in_one_chunk(store: Path) -> None:
    """No writer makes a chunk of several messages, or a tail object, of more than 256 KiB; a larger one is not read."""
    size = 15 * MIB
    identity = bomb(store, size, (b"{}\n", b"{}\n", b"{}\n"))
    hostile_ref(store, "chunk", base_of(identity, size // 3, size))
    chain = "0" * 64
    for _ in range(2):
        chain = hashlib.sha256(chain.encode() + b"{}\n").hexdigest()
    hostile_ref(store, "tail", {"messages": 2, "bytes": 6, "chain": chain, "tail": [identity, size, 2, 6]})
    with little_memory(8 * MIB), open_store(store, max_session_size=0) as manager:
        for name in ("chunk", "tail"):
            with pytest.raises(CorruptionError, match="several messages"):
                manager.load_session(name).get_messages(limit=1)
            assert manager.load_session(name, partial=True).missing
        assert manager.load_session("good").get_messages()


def test_large_things_that_a_name_is_looked_up_by(store: Path) -> None:
    """Telling the sides of a name apart reads no large message, and no commit larger than a session may be."""
    size = 32 * MIB
    long = bomb(store, size)
    commit = bomb(store, size, (b'{"coda_fs_session":1,"x":"', b"x", b'"}\n'))
    hostile_ref(store, "good", base_of(long, 1, size))
    hostile_ref(store, "more", base_of(long, 1, size))
    hostile_ref(store, "past", {"messages": 0, "bytes": 0, "chain": "0" * 64}, commit=[commit, size, 5])
    with open_store(store) as manager:
        # Of objects, so that there is something to compare with.
        for name in ("more", "past"):
            fill(manager, f"{name} elsewhere", 3, size=70_000)
    with little_memory(16 * MIB), open_store(store, max_session_size=1) as manager:
        infos = manager.list_sessions()
        assert [info.name for info in infos if info.error] == []
        assert len([info for info in infos if "good" in (info.name, info.diverged_from)]) == 2
        ours = next(info.name for info in infos if info.message_count == 3 and info.name.startswith("good"))
        assert manager.load_session(ours).get_messages() == [message(0), message(1), message(2)]
        say(manager, manager.load_session(ours), 3)
        with pytest.raises(StoreError, match="max_session_size"):
            manager.rename_session("past", "elsewhere")


@pytest.mark.parametrize(
    ("here", "other", "compress"),
    [("files", "files", True), ("files", "files", False), ("files", "sqlite", True), ("sqlite", "files", True)],
)
def test_a_sync_takes_large_objects_in_pieces(
    store: Path, tmp_path: Path, here: str, other: str, compress: bool
) -> None:
    """They arrive whole and verified, in the form that they are kept in there, and memory holds a part at a time."""
    size = 32 * MIB
    identity = bomb(store, size)
    hostile_ref(store, "bad", base_of(identity, 1, size))
    if here == "sqlite":
        with open_store(tmp_path / "first", backend="sqlite") as manager, open_store(store) as from_files:
            from_files.sync(manager)
        store = tmp_path / "first"
    there = tmp_path / "there"
    options = {"backend": other, "compress_messages": compress}
    with open_store(store, backend=here) as manager, open_store(there, **options) as target, little_memory(20 * MIB):
        report = manager.sync(target)
        assert report.problems == ()
        assert report.pushed.bytes > size
        manager.sync(target)
    with open_store(there, max_session_size=0, **options) as manager:
        assert len(manager.load_session("bad").get_messages()[0]["content"]) > size - 100
    if other == "files":
        (path,) = [path for path in objects_of(there) if path.name.startswith(identity)]
        assert path.name.endswith(".zst") == compress


def test_a_sync_leaves_a_damaged_large_object(store: Path, tmp_path: Path) -> None:
    """It is told, nothing of it is written, and everything else goes over; the good one of the other side mends it."""
    size = 8 * MIB
    identity = bomb(store, size)
    (path,) = [path for path in objects_of(store) if path.name.startswith(identity)]
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    hostile_ref(store, "bad", base_of(identity, 1, size))
    there = tmp_path / "there"
    with open_store(store) as manager:
        report = manager.sync(there)
        assert [type(problem) for problem in report.problems] == [CorruptionError]
        assert not [each for each in there.rglob("*") if identity in each.name or each.name.startswith(".tmp")]
    (there / "objects" / identity[:2]).mkdir(exist_ok=True)
    (there / "objects" / identity[:2] / path.name).write_bytes(good)
    with open_store(store) as manager:
        assert len(manager.sync(there).problems) == 1
        assert path.read_bytes()[:4] == good[:4]
        assert manager.sync(there).problems == ()
