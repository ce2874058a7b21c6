"""Records that are packed: they read the same, and are written to as before."""

from __future__ import annotations

import errno
import os
import random
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from coda_fs_session import SessionWarning
from coda_fs_session.backends.base import NO_TOKEN, RefKey
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.machine import own_refs, packing, packs
from coda_fs_session.errors import StoreError

from .packed import OWN, Contents, append, at_once, files_of, found, kept, key, line, opened, some

__all__ = ["at_once"]


def test_packed_records_are_the_same(tmp_path: Path) -> None:
    """Their bytes, how they end, and the tokens that were compared before: none need be looked at again."""
    contents = some() | {key("ünï\ncode\udcff.jsonl"): b"torn \xc3\xa9 in the mid\xc3", key("empty.jsonl"): b""}
    record = opened(tmp_path)
    for each, data in contents.items():
        record.keep(each, data)
    tokens = record.tokens(OWN)
    assert tokens.keys() == contents.keys()
    record.close()
    assert files_of(tmp_path) == set()
    assert found(tmp_path) == contents
    again = opened(tmp_path)
    assert again.tokens(OWN) == record.tokens(OWN) == tokens
    assert again.tokens(OWN, [f"{OWN}/a0"]) == {each: tokens[each] for each in tokens if "/a0/" in each.path}
    assert not again.is_empty(OWN)
    assert again.end(key("none.jsonl")) is again.read(key("none.jsonl")) is None


def test_each_of_many_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their names are, and none that is not there, though little of the index is read."""
    monkeypatch.setattr(packs, "_READ_BYTES", 2**12)
    names = [
        f"{letter}{number}" * repeat
        for letter in ("a", "B", "é", "\n", "\x01", "\udcff")
        for number in range(9)
        for repeat in (1, 3, 60)
    ]
    contents = {
        key(name[:240]): line(number) for number, name in enumerate(names) if len(os.fsencode(name[:240])) < 256
    }
    kept(tmp_path, contents)
    assert files_of(tmp_path) == set()
    assert found(tmp_path) == contents
    record = opened(tmp_path)
    for ref in contents:
        for other in (f"{ref.path}x", ref.path[:-1], ref.path.replace("/", "/0", 1)):
            assert (record.end(RefKey(other)) is None) == (RefKey(other) not in contents)


def test_a_packed_record_goes_on(tmp_path: Path) -> None:
    """The first append to its ref takes it out of the pack again; the others stay, and it is packed once more."""
    contents = some()
    kept(tmp_path, contents)
    for turn in range(3):
        record = opened(tmp_path)
        for each in list(contents)[:: turn + 1]:
            append(record, each, contents, line(99, turn))
        assert found(tmp_path) == contents
        record.close()
        assert files_of(tmp_path) == set()
        assert found(tmp_path) == contents


def test_a_ref_that_differs_from_its_packed_record_is_noticed(tmp_path: Path) -> None:
    """One that is shorter, longer, or ends otherwise is never written over."""
    contents = some()
    kept(tmp_path, contents)
    record = opened(tmp_path)
    for each, data in contents.items():
        for other in (data[:-1], data + b"\n", data[:-2] + b"x\n", b""):
            assert not record.is_even(each, NO_TOKEN._replace(size=len(other)), lambda length, it=other: it[-length:])
    assert found(tmp_path) == contents


def test_what_a_ref_lacks_in_its_middle_stays_recorded(tmp_path: Path) -> None:
    """Ends that are equal tell nothing of a ref that was damaged in place: the record goes on from what was packed."""
    contents = some()
    kept(tmp_path, contents)
    record, ref = opened(tmp_path), key("5.jsonl")
    damaged = contents[ref].replace(b"save", b"sXve", 1)
    assert record.is_even(ref, NO_TOKEN._replace(size=len(damaged)), lambda length: damaged[-length:])
    record.append(ref, b"more\n", lambda: damaged + b"more\n")
    assert record.read(ref) == contents[ref] + b"more\n"


def test_forgetting_and_keeping_aside(tmp_path: Path) -> None:
    """Of a packed record nothing is left when it is forgotten; kept aside and taken back, one or all, it is whole."""
    contents = some()
    kept(tmp_path, contents)
    record, (one, two, *_) = opened(tmp_path), contents
    record.forget(one)
    del contents[one]
    assert found(tmp_path) == contents
    record.set_aside(OWN, two)
    (aside,) = record.aside()
    moved = RefKey(f"{aside}/{two.path.partition('/')[2]}")
    assert found(tmp_path) == {each: data for each, data in contents.items() if each != two}
    assert record.read(moved) == contents[two]
    assert record.take_back(moved)
    assert found(tmp_path) == contents
    record.forget_replica(aside)
    record.set_aside(OWN)
    (aside,) = record.aside()
    assert record.is_empty(OWN)
    record.keep(one, b"another\n")
    record.keep(two, b"another\n")
    record.close()
    for each in record.tokens(aside):
        assert record.take_back(each) == (each.path.partition("/")[2] != two.path.partition("/")[2])
    assert found(tmp_path) == contents | {one: b"another\n", two: b"another\n"}
    record.forget_replica(aside)
    record.forget_replica(OWN)
    assert not record.aside()
    assert record.is_empty(OWN)


def test_little_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few files are not packed, and those few that a folder has beside much that is packed do not have it rewritten."""
    monkeypatch.setattr(packing, "_MOST_LOOSE", 4)
    record = opened(tmp_path)
    for number in range(3):
        record.keep(key(f"{number}.jsonl"), line(number))
        record.close()
        assert len(files_of(tmp_path)) == number + 1
    # The record of an old version has no list of them, and that of this one grows: so it is the fourth.
    record.keep(key("3.jsonl"), line(3))
    record.close()
    assert files_of(tmp_path) == set()
    record.keep(key("large.jsonl"), line(4) * 1000)
    for number in range(4):
        record.keep(key(f"{number}.jsonl"), line(number))
    record.close()
    pack = tmp_path / "own" / OWN / packing.PACK
    before = pack.stat()
    for number in range(4):
        record.keep(key(f"{number}.jsonl"), line(number, "again"))
    record.close()
    assert files_of(tmp_path) == {f"{number}.jsonl" for number in range(4)}
    assert os.path.samestat(before, pack.stat())
    assert found(tmp_path)[key("2.jsonl")] == line(2, "again")


def test_records_of_an_earlier_version_are_packed(tmp_path: Path) -> None:
    """Those that it left, in whatever folder; and what it wrote beside a pack, which it does not know, goes before."""
    contents = some()
    kept(tmp_path, contents)
    pack = tmp_path / "own" / OWN / packing.PACK
    newer = line(1, "by an earlier version")
    (pack.parent / "1.jsonl").write_bytes(newer)
    contents[key("1.jsonl")] = newer
    assert found(tmp_path) == contents
    shutil.rmtree(tmp_path / "own")
    for each, data in contents.items():
        path = tmp_path / "own" / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    record = opened(tmp_path)
    append(record, key("5.jsonl"), contents, line(5, "on"))
    record.keep(key("new.jsonl"), line(7))
    contents[key("new.jsonl")] = line(7)
    record.close()
    assert files_of(tmp_path) == set()
    assert found(tmp_path) == contents


def test_a_record_that_is_written_to_stays_a_file(tmp_path: Path) -> None:
    """Whoever has it open goes on with it unhindered; so does whoever puts a new one into its place right now."""
    contents = some()
    kept(tmp_path, contents)
    writer, ref, other = opened(tmp_path), key("5.jsonl"), key("4.jsonl")
    append(writer, ref, contents, line(5, "on"))

    class Slow(Files):
        def rename(self, source: str, target: str) -> None:
            if source.endswith(other.path):
                contents[other] = line(4, "replaced")
                opened(tmp_path).keep(other, contents[other])
            super().rename(source, target)

    packer = opened(tmp_path, Slow(durable=False))
    packer.keep(other, contents[other])
    packer.close()
    assert files_of(tmp_path) == {"5.jsonl", "4.jsonl"}
    assert found(tmp_path) == contents
    append(writer, ref, contents, line(5, "and on"))
    assert found(tmp_path) == contents


def test_a_record_that_is_packed_while_it_is_opened_is_not_lost(tmp_path: Path) -> None:
    """Who finds its file, which is removed right then, goes on with what was packed."""
    contents = some()
    kept(tmp_path, contents)
    writer, ref = opened(tmp_path), key("5.jsonl")
    append(writer, ref, contents, line(5, "on"))
    writer.give_back()

    class Late(Files):
        def open_append(self, path: str) -> int:
            descriptor = super().open_append(path)
            if path.endswith(ref.path) and "5.jsonl" in files_of(tmp_path):
                # Before the file is locked.
                packing.pack(Files(durable=False), packing.Packs(), f"{tmp_path}/own", OWN, [OWN])
                assert "5.jsonl" not in files_of(tmp_path)
            return descriptor

    late = opened(tmp_path, Late(durable=False))
    append(late, ref, contents, line(5, "and on"))
    assert found(tmp_path) == contents


def test_what_differs_is_noticed_where_packers_cannot_be_kept_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full or read-only disk: a ref that differs from its record is not written over for that."""
    ref, data = key("chat.jsonl"), line(1) + line(2)
    record = opened(tmp_path)
    record.keep(ref, data)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(own_refs, "alone", full)
    token = NO_TOKEN._replace(size=len(line(1)))
    assert not record.is_even(ref, token, lambda length: line(1)[-length:])


def test_a_record_in_the_hands_of_a_packer_is_waited_for(tmp_path: Path) -> None:
    """A packer may have renamed a file that is newer than what it packed: the pack is then not taken for the record."""
    ref = key("chat.jsonl")
    old, new = line(1), line(1) + line(2)
    kept(tmp_path, {ref: old})
    record = opened(tmp_path)
    record.keep(ref, new)
    path, scratch = tmp_path / "own" / ref.path, tmp_path / "own" / OWN / ".hands"
    result: list[bool] = []

    def look() -> None:
        token = NO_TOKEN._replace(size=len(new))
        result.append(opened(tmp_path).is_even(ref, token, lambda length: new[-length:]))

    with packing.alone(Files(), str(tmp_path / "own")):
        path.rename(scratch)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(0.5)
        assert not result
        scratch.rename(path)
    thread.join(20)
    assert result == [True]


def test_writers_and_packers_at_once(tmp_path: Path, seed: int) -> None:
    """Each record is what its one writer wrote last, whatever others pack meanwhile."""
    contents = some(9)
    kept(tmp_path, contents)
    done, failures = threading.Event(), list[BaseException]()

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(part: int) -> None:
        choice, mine = random.Random(f"{seed} {part}"), list(contents)[part::3]
        record = opened(tmp_path)
        for turn in range(60):
            ref = choice.choice(mine)
            if choice.random() < 0.2:
                contents[ref] = line(part, turn)
                record.keep(ref, contents[ref])
            else:
                append(record, ref, contents, line(part, turn))
            if choice.random() < 0.2:
                record.close()
                record = opened(tmp_path)

    def pack() -> None:
        while not done.is_set():
            packing.pack(Files(durable=False), packing.Packs(), f"{tmp_path}/own", OWN, [OWN, f"{OWN}/a0", f"{OWN}/a1"])

    with warnings.catch_warnings():
        warnings.simplefilter("error", SessionWarning)
        packers = [guarded(pack) for _ in range(2)]
        writers = [guarded(lambda part=part: write(part)) for part in range(3)]
        for thread in writers:
            thread.join()
        done.set()
        for thread in packers:
            thread.join()
    assert failures == []
    assert found(tmp_path) == contents


def test_any_sequence_of_changes(tmp_path: Path, seed: int) -> None:
    """Two processes that take turns see what a dictionary would hold."""
    choice, model = random.Random(seed), Contents()
    records = [opened(tmp_path), opened(tmp_path)]
    refs = list(some())
    for turn in range(400):
        place = choice.randrange(2)
        record, ref = records[place], choice.choice(refs)
        act = choice.choice(["append", "append", "append", "keep", "forget", "aside", "close"])
        if act == "append" and ref in model:
            append(record, ref, model, line(turn) * choice.choice([1, 5]))
        elif act == "keep":
            model[ref] = line(turn) * choice.choice([1, 9])
            record.keep(ref, model[ref])
        elif act == "forget" and choice.random() < 0.3:
            model.pop(ref, None)
            record.forget(ref)
        elif act == "aside" and ref in model:
            record.set_aside(OWN, ref)
            (aside,) = record.aside()
            assert record.take_back(RefKey(f"{aside}/{ref.path.partition('/')[2]}"))
            record.forget_replica(aside)
        elif act == "close":
            record.close()
            records[place] = opened(tmp_path)
        assert {each: records[0].read(each) for each in records[1].tokens(OWN)} == model, (turn, act)
    with pytest.raises(StoreError):
        opened(tmp_path / "none").set_aside(OWN)
