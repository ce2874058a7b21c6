"""Refs that are damaged, or no files at all: a located error for that session, and every other one unaffected."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from storekit import ROOT, fill, lose_record, message, open_store, ref_of, say, untouched, within

from coda_fs_session import (
    CorruptionError,
    SessionError,
    SessionManager,
    SessionNotFoundError,
    StoreError,
    StoreFormatError,
)
from coda_fs_session.backends.base import RefKey, Snapshot
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.format.ids import line_id


def sign(line: bytes) -> bytes:
    """Give a ref line (without its id) the id that belongs to it."""
    before = line[:-1]
    return b'%b,"id":"%b"}\n' % (before, line_id(before).encode())


def change_header(path: Path, **fields: object) -> None:
    """Rewrite the header of a ref without saves, with valid ids, as another program might."""
    header = orjson.loads(path.read_bytes().splitlines()[0])
    del header["id"]
    path.write_bytes(sign(orjson.dumps({**header, **fields})))


def _claims(count: int) -> dict[str, object]:
    """Return a base that names an object of so many messages."""
    identity = "ab" * 32
    chain = hashlib.sha256(("0" * 64 + identity).encode()).hexdigest()
    return {"base": {"messages": count, "bytes": count, "chain": chain, "spine": [[[identity, count, count]]]}}


def damaged_store(tmp_path: Path) -> tuple[Path, Path]:
    """Make a store with the sessions good and bad, and return it with the ref of bad."""
    store = tmp_path / "store"
    manager = open_store(store)
    for name in ("good", "bad"):
        session = manager.create_session(name)
        for number in range(3):
            session.add_message(message(number))
            manager.save_session(session)
    manager.close()
    # What the machine still knows of a damaged ref it puts beside it: see tests/damage/test_put_back.py.
    lose_record(store)
    return store, ref_of(store, "bad")


def assert_only_bad_is_bad(
    store: Path, path: Path, kind: type[StoreError] = CorruptionError, line: int | None = None
) -> StoreError:
    """Read a damaged store with and without an index: the damage is located, nothing is written, good is good."""
    error: StoreError
    for manager in (open_store(store), open_store(store, state_path=f"{store}.other.state")):
        with untouched(store), within(20):
            infos = {info.name: info for info in manager.list_sessions()}
            assert sorted(infos) == ["bad", "good"]
            assert isinstance(infos["bad"].error, kind)
            assert infos["good"].error is None
            assert infos["good"].message_count == 3
            assert "bad" in manager
            for opener in (manager.load_session, manager.create_session):
                with pytest.raises(kind) as caught:
                    opener("bad")
            error = caught.value
            assert isinstance(error, StoreError)
            assert error.path == path
            if isinstance(error, CorruptionError):
                assert error.line == line
            info = manager.get_session_info("bad")
            assert info is not None
            assert isinstance(info.error, kind)
            assert len(manager.load_session("good").get_messages()) == 3
            assert manager.stats().sessions == 1
        with within(20):
            session = manager.load_session("good")
            metadata = {"looked": len(session)}
            session.update_metadata(metadata)
            manager.save_session(session)
            session.update_metadata({"looked": 0})
            manager.save_session(session)
        manager.close()
    return error


def _folder(path: Path) -> None:
    path.mkdir()


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("good.jsonl"))


def _dangling(path: Path) -> None:
    path.symlink_to("/nonexistent")


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path may have 107 characters only
    try:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero: endless
    except OSError as error:
        pytest.skip(f"cannot make a device here: {error}")


@pytest.mark.parametrize("make", [_folder, os.mkfifo, _link, _dangling, _socket, _device])
def test_a_ref_that_is_no_regular_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A folder, FIFO, link, socket or device in a ref's place is neither followed nor waited for."""
    store, path = damaged_store(tmp_path)
    path.unlink()
    make(path)
    error = assert_only_bad_is_bad(store, path)
    advice = "put what this one stands for in its place" if path.is_symlink() else "move it out of the store"
    assert advice in str(error)
    assert getattr(error, "expected", None) == "a regular file"


@pytest.mark.parametrize("content", [b"", b"\n", b"\0" * 4096, b"{}\n", b"[1]\n", b'"text"\n', b"\xff\xfe"])
def test_a_ref_without_a_header(tmp_path: Path, content: bytes) -> None:
    """A ref that is empty, zero-filled or something else is a damaged session, never "not found" and never new."""
    store, path = damaged_store(tmp_path)
    path.write_bytes(content)
    error = assert_only_bad_is_bad(store, path, line=1)
    assert "restore the file" in str(error)


def test_a_damaged_header(tmp_path: Path) -> None:
    """One flipped bit in the header is found by its id, and named as line 1."""
    store, path = damaged_store(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b'"created"') + 15] ^= 1
    path.write_bytes(data)
    assert_only_bad_is_bad(store, path, line=1)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_damaged_line(tmp_path: Path, number: int) -> None:
    """A changed byte in a save is found by the line's id and named by its line, also in the last line."""
    store, path = damaged_store(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b"message", b"massage")
    path.write_bytes(b"".join(lines))
    error = assert_only_bad_is_bad(store, path, line=number)
    assert f"line {number}" in str(error)


def test_a_missing_line(tmp_path: Path) -> None:
    """A save that was cut out of the middle is missed by the one after it."""
    store, path = damaged_store(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert_only_bad_is_bad(store, path, line=3)


def test_a_torn_last_line_is_a_save_that_never_happened(tmp_path: Path) -> None:
    """Without damage reports: the session reads as before that save, reading writes nothing, the next save mends."""
    store, path = damaged_store(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    manager = open_store(store)
    with untouched(store):
        assert [info.message_count for info in manager.list_sessions() if info.name == "bad"] == [2]
        session = manager.load_session("bad")
        assert session.get_messages() == [message(0), message(1)]
    say(manager, session, 9)
    assert open_store(store).load_session("bad").get_messages() == [message(0), message(1), message(9)]
    assert path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("needed", ["sealed-boxes", {"feature": "sealed-boxes", "since": "3.1"}])
def test_a_ref_that_requires_a_later_version(tmp_path: Path, needed: object) -> None:
    """What a later version marks as required is not read without it; the error names it and says to upgrade."""
    store, path = damaged_store(tmp_path)
    change_header(path, requires=[needed])
    error = assert_only_bad_is_bad(store, path, StoreFormatError)
    assert "sealed-boxes" in str(error)
    assert "upgrade" in str(error)
    if isinstance(needed, dict):
        assert "3.1" in str(error)


def test_a_ref_of_a_newer_format(tmp_path: Path) -> None:
    """A ref of a newer version says so."""
    store, path = damaged_store(tmp_path)
    change_header(path, coda_fs_session=2)
    error = assert_only_bad_is_bad(store, path, StoreFormatError)
    assert "version 2" in str(error)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 5},
        {"name": None},
        {"created": "yesterday"},
        {"created": "2024-01-01T00:00:00"},
        {"created": 1700000000},
        {"updated": "0001-01-01T00:00:00+14:00"},
        {"updated": "9999-12-31T23:59:59.999999-14:00"},
        {"requires": 5},
        {"base": []},
        {"base": {"messages": -1, "bytes": 0, "chain": "0" * 64}},
        {"base": {"messages": 5, "bytes": 50, "chain": "0" * 64}},
        {"base": {"messages": 0, "bytes": 0, "chain": "0" * 64, "start_bytes": 2**64 - 1}},
        _claims(2**53),
        _claims(2**64 - 1),
        {"life": 2**52 + 1},
        {"base": {"messages": 0, "bytes": 0, "chain": "0" * 64, "spine": [[["x", 1, 1]]]}},
        {"base": {"messages": 0, "bytes": 0, "chain": "0" * 64, "tail": [1, 2, 3]}},
        {"base": {"messages": 0, "bytes": 0, "chain": "0" * 64, "metadata": {"k": ["not a time", 1]}}},
        {"base": {"messages": 0, "bytes": 0, "chain": "0" * 64, "metadata": {"k": 5}}},
        {"parent": "good"},
        {"generation": {"id": "0" * 64}},
        {"commit": ["../../etc/passwd", 1, 1]},
        {"former_names": 7},
    ],
    ids=str,
)
def test_a_well_formed_header_that_says_nonsense(tmp_path: Path, fields: dict[str, object]) -> None:
    """A header with a right id but impossible values, as a faulty program writes, is damage and not a crash."""
    store, path = damaged_store(tmp_path)
    change_header(path, **fields)
    assert_only_bad_is_bad(store, path, line=1)


def test_a_metadata_value_nested_out_of_reach(tmp_path: Path) -> None:
    """Metadata nested deeper than JSON libraries go is damage of that session."""
    store, path = damaged_store(tmp_path)
    header = orjson.loads(path.read_bytes().splitlines()[0])
    del header["id"]
    line = orjson.dumps(header)[:-2] + b',"metadata":{"k":["2024-01-01T00:00:00.000000+00:00",%b]}}}' % (
        b"[" * 900 + b"]" * 900
    )
    path.write_bytes(sign(line))
    assert_only_bad_is_bad(store, path, line=1)


def test_a_field_of_a_later_version_nested_out_of_reach(tmp_path: Path) -> None:
    """What could not be written again when the header is rewritten is not taken over from another program."""
    store, path = damaged_store(tmp_path)
    header = path.read_bytes().splitlines()[0]
    path.write_bytes(sign(header[: header.index(b',"id":')] + b',"later":%b}' % (b"[" * 300 + b"]" * 300)))
    assert_only_bad_is_bad(store, path, line=1)


@pytest.mark.parametrize("count", [2**53 - 1, 2**52])
def test_a_session_of_impossible_length(tmp_path: Path, count: int) -> None:
    """Numbers that a header may hold break no list, and nothing is written that could not be read again."""
    store, path = damaged_store(tmp_path)
    change_header(path, life=2**52, **_claims(count))
    with open_store(store, max_session_size=0) as manager, within(20):
        infos = {info.name: info for info in manager.list_sessions()}
        assert infos["bad"].message_count == len(manager.load_session("bad")) == count
        assert manager.stats().messages == count + 3
        # Refused before it is looked for: no chunk has as many messages in as many bytes.
        with pytest.raises(StoreError):
            manager.load_session("bad").get_messages(limit=1)
        assert manager.load_session("bad", partial=True).missing == count
        for change in (
            lambda: manager.create_session("branch", branch_from="bad"),
            lambda: manager.rename_session("bad", "renamed"),
            lambda: manager.delete_session("renamed"),
        ):
            with suppress(StoreError, SessionNotFoundError):
                change()
        say(manager, manager.create_session("bad"), 1)
        say(manager, manager.load_session("good"), 1)
        manager.sync(tmp_path / "other")
    lose_record(store)
    with open_store(store, max_session_size=0) as manager:
        assert [info.name for info in manager.list_sessions() if info.error] == []
        for info in manager.list_sessions():
            manager.load_session(info.name)
        assert len(manager.load_session("good")) == 4


@pytest.mark.parametrize("top", ["refs", "refs/hostile", "objects/ab"])
@pytest.mark.parametrize("name", ["d", "d" * 255], ids=["short", "long"])
def test_folders_a_thousand_deep(tmp_path: Path, top: str, name: str) -> None:
    """Bug: nothing could be listed where a path was longer than the system takes. What is too deep is no ref."""
    store, _ = damaged_store(tmp_path)
    (store / top).mkdir(exist_ok=True)
    folder = os.open(store / top, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    try:
        for _ in range(2):
            with open_store(store) as manager, within(20):
                assert sorted(info.name for info in manager.list_sessions()) == ["bad", "good"]
                assert "nobody" not in manager
                assert manager.stats().sessions == 2
                say(manager, manager.load_session("good"), 5)
                manager.sync(tmp_path / "other")
    finally:
        # Python's own way of removing folders gives up at that depth.
        subprocess.run(["rm", "-rf", store], check=True)


def test_a_ref_that_is_32_folders_deep(tmp_path: Path) -> None:
    """As FORMAT.md says, it counts, and one that is a folder deeper does not; the independent reader agrees."""
    store, path = damaged_store(tmp_path)
    for depth, found in ((32, ["bad", "good"]), (33, ["good"])):
        there = store / "refs" / "/".join("d" * depth) / "x.jsonl"
        there.parent.mkdir(parents=True)
        path.rename(there)
        path = there
        assert sorted(info.name for info in open_store(store).list_sessions()) == found
        run = subprocess.run([ROOT / "scripts/read_store", store], capture_output=True, text=True)
        assert sorted(line.partition("\t")[2] for line in run.stdout.splitlines()) == found, run.stderr


def test_a_folder_of_a_replica_that_is_a_link(tmp_path: Path) -> None:
    """A link in the place of a replica's folder is not followed: what lies behind it is no part of the store."""
    store = tmp_path / "store"
    manager = open_store(store, replica="mine-00000001")
    fill(manager, "chat")
    manager.close()
    (store / "refs" / "mine-00000001").rename(tmp_path / "outside")
    (store / "refs" / "mine-00000001").symlink_to(tmp_path / "outside")
    manager = open_store(store, replica="mine-00000001")
    with untouched(tmp_path / "outside"):
        assert manager.list_sessions() == []
        with pytest.raises(CorruptionError, match="links are not followed") as caught:
            manager.create_session("another")
    assert caught.value.path == store / "refs" / "mine-00000001"


def test_links_between_folders_do_not_loop(tmp_path: Path) -> None:
    """A link to a folder above is not walked into."""
    store, _ = damaged_store(tmp_path)
    (store / "refs" / "loop").symlink_to(store)
    with within(10):
        assert sorted(info.name for info in open_store(store).list_sessions()) == ["bad", "good"]


@pytest.mark.parametrize("name", ["notes.txt", "chat.txt~", "Thumbs.db", "pipe"])
def test_foreign_files_beside_the_refs(tmp_path: Path, name: str) -> None:
    """Files that are no refs, and do not look like ours, are left alone and not shown."""
    store, path = damaged_store(tmp_path)
    if name == "pipe":
        os.mkfifo(path.with_name(name))
    else:
        path.with_name(name).write_text("hello")
    manager = open_store(store)
    with untouched(store), within(10):
        assert sorted((info.name, info.error) for info in manager.list_sessions()) == [("bad", None), ("good", None)]


def test_a_conflict_copy_is_one_more_ref(tmp_path: Path) -> None:
    """A copy under any name counts for the session in its header; an equal one changes nothing."""
    store, path = damaged_store(tmp_path)
    copy = path.with_name("bad (conflicted copy 2024-01-01).jsonl")
    copy.write_bytes(path.read_bytes())
    manager = open_store(store)
    assert [(info.name, info.message_count) for info in manager.list_sessions() if info.name == "bad"] == [("bad", 3)]
    path.unlink()
    assert len(open_store(store).load_session("bad")) == 3


def test_an_unreadable_moment_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: a ref that could once not be read stayed in the index under its file's key, and its session vanished."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        fill(manager, "Hello World")
    (path,) = store.glob("refs/*/hello-world.*.jsonl")
    os.utime(path, (1, 1))
    real = os.open

    def refuse(name: str, *arguments: int, **options: int) -> int:
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", name)
        return real(name, *arguments, **options)

    def listed(manager: SessionManager) -> list[tuple[str, type[SessionError] | None]]:
        return [(info.name, type(info.error) if info.error else None) for info in manager.list_sessions()]

    monkeypatch.setattr(os, "open", refuse)
    with open_store(store) as manager:
        assert listed(manager) == [(path.stem, StoreError)]
        with pytest.raises(StoreError, match="check the permissions"):
            manager.load_session("Hello World")
        monkeypatch.undo()
        assert listed(manager) == [("Hello World", None)]
    with open_store(store) as manager:
        assert listed(manager) == [("Hello World", None)]


HOLE = 2**30


def _hole(path: Path, before: bytes, after: bytes = b"") -> None:
    """Write a file that takes up next to nothing on the disk, and a gibibyte to read."""
    with open(path, "wb") as file:
        file.write(before)
        file.truncate(HOLE)
        file.seek(HOLE)
        file.write(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b'{"', b""), (b'{"name":"x"}\n', b""), (b"{}", b""), (b'{"', b"\n"), (b"{}\n", b"{}\n")],
)
@pytest.mark.parametrize("place", ["bad.jsonl", "hostile/x.jsonl", "hostile/rubbish"])
def test_a_file_that_is_nearly_all_zeros(tmp_path: Path, before: bytes, after: bytes, place: str) -> None:
    """Bug: it was read whole at every look, six times its size in memory, and of 2 GiB no session could be read."""
    store, path = damaged_store(tmp_path)
    bad = path.parent / place if "/" not in place else store / "refs" / place
    bad.parent.mkdir(exist_ok=True)
    path.unlink()
    _hole(bad, before, after)
    tracemalloc.start()
    try:
        with open_store(store) as manager, within(20):
            names = {info.name: info.error for info in manager.list_sessions()}
            assert names.pop("good") is None
            assert all(isinstance(error, CorruptionError) for error in names.values())
            assert set(names) == ({"bad"} if place == "bad.jsonl" else {"x"} if place.endswith("x.jsonl") else set())
            assert manager.load_session("good").get_messages()
            say(manager, manager.create_session("new"), 1)
            manager.sync(tmp_path / "other")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * 2**20


def test_zeros_in_the_place_of_a_save_that_never_arrived(tmp_path: Path) -> None:
    """However many there are: that save never happened, the session reads as before it, and the next save mends."""
    store, path = damaged_store(tmp_path)
    good = path.read_bytes()
    os.truncate(path, HOLE)
    tracemalloc.start()
    try:
        with open_store(store) as manager, within(20):
            session = manager.load_session("bad")
            assert session.get_messages() == [message(0), message(1), message(2)]
            say(manager, session, 3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 * 2**20
    assert path.stat().st_size < len(good) + 1000
    assert len(open_store(store).load_session("bad")) == 4


def test_zeros_within_a_ref(tmp_path: Path) -> None:
    """Some may stand in a large save that was torn; where they are too many, or a line follows, it is damage."""
    store, path = damaged_store(tmp_path)
    good = path.read_bytes()
    edge = -len(good) % 512
    for zeros, problem in ((2**21, "line 5"), (2**25, "zeros where data was")):
        with open(path, "wb") as file:
            file.write(good)
            file.truncate(len(good) + edge + zeros)
            file.seek(0, os.SEEK_END)
            file.write(b"\n{}\n")
        assert problem in str(assert_only_bad_is_bad(store, path, line=5 if "5" in problem else None))
    with open(path, "wb") as file:
        file.write(good + b"x" * edge)
        file.truncate(len(good) + edge + 2**21)
        file.seek(0, os.SEEK_END)
        file.write(b"the rest of it\n")
    assert len(open_store(store).load_session("bad")) == 3


def test_what_cannot_be_read_is_not_read_at_each_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged ref, and rubbish beside it, are known by their tokens until one of these changes."""
    store, path = damaged_store(tmp_path)
    for name in ("bad.jsonl", "rubbish"):
        path.with_name(name).write_bytes(b'{"' + b"x" * 100)
        os.utime(path.with_name(name), (1, 1))
    reads: list[str] = []
    real = LocalBackend.read_ref

    def read(self: LocalBackend, key: RefKey) -> Snapshot:
        reads.append(key.path.rpartition("/")[2])
        return real(self, key)

    with open_store(store) as manager:
        manager.load_session("good")
        monkeypatch.setattr(LocalBackend, "read_ref", read)
        for number in range(3):
            manager.create_session(f"new {number}")
            assert "good" in manager
            assert "nobody" not in manager
        assert "bad.jsonl" not in reads
        assert "rubbish" not in reads


@pytest.mark.parametrize("name", ["bad", "renamed"])
def test_a_damaged_ref_that_is_mended_in_place(tmp_path: Path, name: str) -> None:
    """Neither its folder nor its inode tells it: the session is found at the next look all the same."""
    store, path = damaged_store(tmp_path)
    if name == "renamed":
        with open_store(store) as manager:
            manager.rename_session("bad", name)
        lose_record(store)
    good = path.read_bytes()
    path.write_bytes(b"damaged")
    os.utime(path, (1, 1))
    with open_store(store) as manager:
        for _ in range(2):
            assert manager.load_session("good").get_messages()
            assert name == "bad" or name not in manager
        path.write_bytes(good)
        os.utime(path, (2, 2))
        assert manager.load_session(name).get_messages() == [message(0), message(1), message(2)]
