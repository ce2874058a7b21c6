"""Refs that are damaged, or no files at all: a located error for that session, and every other one unaffected."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from hostile_store import assert_only_bad_is_bad, change_header, damaged_store, sign
from storekit import fill, lose_record, message, open_store, say, untouched, within

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
from coda_fs_session.format.refs import Save, encode_save


def _claims(count: int) -> dict[str, object]:
    """Return a base that names an object of so many messages."""
    identity = "ab" * 32
    chain = hashlib.sha256(("0" * 64 + identity).encode()).hexdigest()
    return {"base": {"messages": count, "bytes": count, "chain": chain, "spine": [[[identity, count, count]]]}}


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


@pytest.mark.parametrize("verb", ["clear", "delete", "undo", "restore"])
def test_a_step_from_more_messages_than_can_be_counted(tmp_path: Path, verb: str) -> None:
    """Bug: a clear or a restore wrote a header that could not be read, and what was saved after it was lost."""
    store, path = damaged_store(tmp_path)
    header = orjson.loads(path.read_bytes().splitlines()[0])
    change_header(path, **_claims(2**53 - 1))
    identity = orjson.loads(path.read_bytes())["id"]
    line, _ = encode_save(Save(identity, header["updated"], [b'{"role":"user","content":"one more"}']))
    path.write_bytes(path.read_bytes() + line)
    before = path.read_bytes()
    with open_store(store, max_session_size=0) as manager:
        session, history = manager.load_session("bad"), manager.history("bad")
        session.clear_messages()
        verbs = {
            "clear": lambda: manager.save_session(session),
            "delete": lambda: manager.delete_session("bad"),
            "undo": history.undo,
            "restore": lambda: history.restore(0),
        }
        if verb != "clear":
            session.reload()
        with pytest.raises(StoreError, match="no program has written"):
            verbs[verb]()
        session.reload()
    assert path.read_bytes() == before


def test_marks_of_impossibly_many_saves(tmp_path: Path) -> None:
    """Bug: a seal after marks that claim the most saves that can be read made a ref that was damaged."""
    store, path = damaged_store(tmp_path)
    time = "2024-05-17T12:00:00.000000+00:00"
    change_header(path, marks=[[0, time, 0], [1, time, 2**53 - 1], [2, time, 2**53 - 1]])
    with open_store(store) as manager:
        session = manager.load_session("bad")
        for number in range(40):
            say(manager, session, number)
        session.add_message({"role": "user", "content": "large " * 200_000})
        manager.save_session(session)
    lose_record(store)
    with open_store(store) as manager:
        assert len(manager.load_session("bad")) == 41


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
