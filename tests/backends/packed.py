"""Records to pack, in the folder of a replica and in folders within it; and how a backend writes them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from coda_fs_session.backends.base import NO_TOKEN, RefKey
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.machine import packing, packs
from coda_fs_session.backends.machine.own_refs import FileRecord

OWN = "here-00000001"
Contents = dict[RefKey, bytes]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack at every close, into small blocks, and read little of an index at once."""
    monkeypatch.setattr(packing, "_MOST_LOOSE", 1)
    monkeypatch.setattr(packing, "_BLOCK_BYTES", 300)
    monkeypatch.setattr(packs, "_READ_BYTES", 600)


def key(name: str) -> RefKey:
    return RefKey(f"{OWN}/{name}")


def line(number: int, serial: object = 0) -> bytes:
    identity = random.Random(f"{number} {serial}").getrandbits(64)
    return f'{{"save":"{serial} of {number}, é","id":"{identity:016x}"}}\n'.encode()


def some(count: int = 6) -> Contents:
    """Return refs in the replica's folder and in folders within it."""
    names = [f"{number}.jsonl" if number % 3 else f"a{number % 2}/{number}.jsonl" for number in range(count)]
    return {key(name): b"".join(line(number, each) for each in range(number + 1)) for number, name in enumerate(names)}


def opened(state: Path, files: Files | None = None) -> FileRecord:
    """Open the record anew, as another process would."""
    record = FileRecord(lambda: str(state), files)
    record.adopt(OWN)
    return record


def kept(state: Path, contents: Contents) -> None:
    """Keep these records, and pack them."""
    record = opened(state)
    for each, data in contents.items():
        record.keep(each, data)
    record.close()


def append(record: FileRecord, ref: RefKey, contents: Contents, data: bytes) -> None:
    """Append to a ref as a backend does."""
    before = contents[ref]
    assert record.is_even(ref, NO_TOKEN._replace(size=len(before)), lambda length: before[-length:])
    contents[ref] = before + data
    record.append(ref, data, lambda: contents[ref])


def found(state: Path) -> Contents:
    record = opened(state)
    contents = {each: record.read(each) for each in record.tokens(OWN)}
    for each, data in contents.items():
        end = record.end(each)
        assert data is not None
        assert end is not None
        assert (end.size, end.end) == (len(data), data[-32:])
    return {each: data for each, data in contents.items() if data is not None}


def files_of(state: Path) -> set[str]:
    return {path.name for path in (state / "own").rglob("*") if path.is_file() and not path.name.startswith(".")}
