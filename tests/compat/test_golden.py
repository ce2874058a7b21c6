"""A store with every kind of record is read by every later version, and by a reader made from FORMAT.md alone."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storekit import ROOT, objects_of, open_store, untouched

from coda_fs_session import Session, SessionManager, SessionNotFoundError
from coda_fs_session.backends.disk.zstd import decompress
from coda_fs_session.format.chunks import STANDARD, holds_cut
from coda_fs_session.format.refs import parse_ref

from .reading import (
    FIXTURES,
    GOLDEN,
    READ_STORE,
    assert_same_as_library,
    found_in,
    needs_zstdcat,
    read_store,
)

EARLY = GOLDEN.with_name("v1-0")
"""The same store, as it was written before there were marks."""


def expected_of(store: Path) -> dict[str, Any]:
    """Return what was put into a golden store, or into a copy of the newest."""
    name = EARLY.name if store == EARLY else GOLDEN.name
    expected: dict[str, Any] = json.loads((FIXTURES / "stores" / f"{name}.expected.json").read_bytes())
    return expected


EXPECTED = expected_of(GOLDEN)
RECORDS = {
    "header": [
        *('"parent":{', '"generation":{', '"former_names":[', '"start":', '"colour":', '"spine":[[[', '"tail":['),
        *('"marks":[[', '"to":["', '"tags":{"draft":["', '"operation":"undo"', '"operation":"restore"'),
    ],
    "commit": [
        *(
            f'"commit":"{reason}"'
            for reason in ("clear", "truncate", "edit", "rename", "delete", "create", "seal", "undo", "restore", "tag")
        ),
        *('"replica":"desk-11111111","time"', '"edits":[[', '"replaced":[['),
    ],
    "save": ['"replace":', '"metadata":{', '"messages":[\t', '"tags":{"draft":["'],
}
"""Text that must occur somewhere in the golden store, or a kind of record has got lost from it."""


@pytest.fixture(params=["in place", "copied", "as an early version wrote it"])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The golden store where it is, which may be on a disk that cannot be written, and a copy; and an early one."""
    if request.param == "copied":
        return Path(shutil.copytree(GOLDEN, tmp_path / "store"))
    return GOLDEN if request.param == "in place" else EARLY


def _reader(store: Path, tmp_path: Path) -> SessionManager:
    return open_store(store, state_path=str(tmp_path / "state"))


def test_the_library_finds_in_the_golden_store_what_was_put_there(golden: Path, tmp_path: Path) -> None:
    """Every session comes back with its messages, metadata, parent and times; reading writes nothing into the store."""
    with untouched(golden), _reader(golden, tmp_path) as manager:
        assert dict(found_in(manager)) == expected_of(golden)["sessions"]


def test_names_that_were_deleted_or_renamed_are_gone(golden: Path, tmp_path: Path) -> None:
    """A tombstone, and a rename, hide every older ref of the name, also those of the other replica."""
    with untouched(golden), _reader(golden, tmp_path) as manager:
        for name in EXPECTED["gone"]:
            assert name not in manager
            with pytest.raises(SessionNotFoundError):
                manager.load_session(name)


@pytest.mark.parametrize("store", [GOLDEN, EARLY], ids=lambda store: store.name)
def test_the_golden_stores_are_complete(store: Path) -> None:
    """The files are those that were made, byte for byte, so that no later version has touched them."""
    files = {}
    for path in store.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            plain = decompress(data, size=None, limit=2**20) if path.suffix == ".zst" else data
            files[path.relative_to(store).as_posix()] = hashlib.sha256(plain).hexdigest()
    assert files == expected_of(store)["files"]


def test_the_golden_store_has_every_kind_of_record() -> None:
    """Each field and operation of FORMAT.md occurs in it, a compressed object, list nodes of two heights, and forks
    that have passed a cut."""
    everything = b"".join(path.read_bytes() for path in sorted(GOLDEN.rglob("*.jsonl"))).decode()
    for kind, texts in RECORDS.items():
        for text in texts:
            assert text in everything, f"no {kind} has {text}"
    assert list(GOLDEN.glob("objects/*/*.jsonl.zst"))
    header = json.loads((GOLDEN / "refs" / "desk-11111111" / "long-talk.jsonl").read_bytes().split(b"\n")[0])
    assert len(header["base"]["spine"]) == 3
    for path in GOLDEN.glob("refs/desk-11111111/cut-*.jsonl"):
        ref = parse_ref(path.read_bytes(), path)
        assert ref.header.base.tail is not None
        added = [line for save in ref.saves for line in save.messages]
        assert holds_cut(added[:-1], STANDARD, after=ref.header.base.tail.bytes)


@pytest.mark.parametrize("begun", [GOLDEN, EARLY], ids=lambda store: store.name)
def test_a_continued_golden_store_reads_the_same(begun: Path, tmp_path: Path) -> None:
    """This version can go on with every session of a store that the first version wrote."""
    store = Path(shutil.copytree(begun, tmp_path / "store"))
    message = {"role": "user", "content": "Said much later."}
    with _reader(store, tmp_path) as manager:
        for name in expected_of(begun)["sessions"]:
            session = manager.load_session(name)
            session.add_message(message)
            manager.save_session(session)
    with open_store(store, state_path=str(tmp_path / "elsewhere")) as manager:
        for name, expected in expected_of(begun)["sessions"].items():
            messages = manager.load_session(name).get_messages()
            assert len(messages) == expected["messages"] + 1
            assert messages[-1] == message


def test_make_fixtures_makes_these_very_fixtures() -> None:
    """The recipes are deterministic and still describe what is in the repository."""
    command = [sys.executable, ROOT / "scripts" / "make_fixtures.py", "--check"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_zstdcat
@pytest.mark.parametrize("store", [GOLDEN, EARLY], ids=lambda store: store.name)
def test_a_reader_without_the_package_agrees_on_the_golden_stores(store: Path, tmp_path: Path) -> None:
    """FORMAT.md is enough to write a reader: it gives the same bytes for every session, and the same metadata."""
    with untouched(store), _reader(store, tmp_path) as manager:
        assert_same_as_library(store, manager)


@needs_zstdcat
def test_read_store_is_a_program(tmp_path: Path) -> None:
    """Run by itself it prints the messages; for an unknown name it fails and says so."""
    done = subprocess.run([READ_STORE, GOLDEN, "long-talk"], capture_output=True, check=True)
    assert hashlib.sha256(done.stdout).hexdigest() == EXPECTED["sessions"]["long-talk"]["sha256"]
    failed = subprocess.run([READ_STORE, GOLDEN, "no such name"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "no session is called 'no such name'" in failed.stderr


# -- Stores of random work on real conversations -----------------------------------------------------------------------


def _conversations() -> list[list[dict[str, Any]]]:
    """Messages of many lengths; some are made large, so that there are cuts and compressed objects."""
    found = []
    for file in ("talk_en", "talk_many", "agents"):
        lines = (FIXTURES / "conversations" / f"{file}.jsonl").read_bytes().splitlines()
        found += [json.loads(line)["messages"] for line in lines[:10]]
    return found


def _add(session: Session, dice: random.Random, stock: list[list[dict[str, Any]]]) -> None:
    for message in dice.choice(stock)[: dice.randrange(1, 40)]:
        session.add_message(message)
    if dice.random() < 0.3:
        session.add_message({"role": "tool", "content": dice.choice("abc") * dice.randrange(30_000, 120_000)})


def _edit(session: Session, dice: random.Random, stock: list[list[dict[str, Any]]]) -> None:
    if len(session):
        session.messages[dice.randrange(len(session))] = dice.choice(stock)[0]


def _truncate(session: Session, dice: random.Random, stock: list[list[dict[str, Any]]]) -> None:
    session.truncate_messages(dice.randrange(len(session) + 1))


def _tag(session: Session, dice: random.Random, stock: list[list[dict[str, Any]]]) -> None:
    session.update_metadata({dice.choice("xyz"): dice.choice([1, 0.5, None, ["ü"]])})
    session.metadata.pop(dice.choice("xyz"), None)


@needs_zstdcat
@pytest.mark.parametrize("number", range(4))
def test_a_reader_without_the_package_agrees_on_random_stores(number: int, seed: int, tmp_path: Path) -> None:
    """Saves, edits, truncations, forks, renames and deletions, by two machines in turn."""
    dice = random.Random(seed + number)
    stock = _conversations()
    store = tmp_path / "store"
    changes: list[Callable[[Session, random.Random, list[list[dict[str, Any]]]], None]]
    changes = [_add, _add, _add, _add, _edit, _truncate, _tag]
    names = ["first"]
    for replica in ("one", "two", "one"):
        with open_store(store, state_path=str(tmp_path / replica), replica=replica) as manager:
            manager.create_session("first")
            for step in range(25):
                session = manager.load_session(dice.choice(names))
                dice.choice(changes)(session, dice, stock)
                manager.save_session(session)
                name = f"{replica} {len(names)} {step}"
                if dice.random() < 0.2:
                    at = dice.randrange(len(session) + 1)
                    manager.create_session(name, branch_from=session.name, at=at)
                    names.append(name)
                elif dice.random() < 0.05:
                    names.remove(session.name)
                    names.append(name)
                    manager.rename_session(session.name, name)
                elif dice.random() < 0.05 and len(names) > 3:
                    names.remove(session.name)
                    manager.delete_session(session.name)
            names = [info.name for info in manager.list_sessions()]
    with open_store(store, state_path=str(tmp_path / "reader")) as manager:
        assert_same_as_library(store, manager)


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x02
    path.write_bytes(data)


@needs_zstdcat
def test_read_store_finds_every_damage(tmp_path: Path) -> None:
    """One byte changed in any line of a ref, or in any object of the session, makes it fail; never other messages."""
    dice = random.Random(0)
    ref = GOLDEN / "refs" / "desk-11111111" / "long-talk.jsonl"
    probe = Path(shutil.copytree(GOLDEN, tmp_path / "probe"))
    used = [path for path in objects_of(GOLDEN) if _is_used_by(path, "long-talk", probe)]
    assert len(used) > 15
    spots = [(ref, dice.randrange(ref.stat().st_size)) for _ in range(10)]
    spots += [(path, dice.randrange(path.stat().st_size)) for path in dice.sample(used, 5)]
    for number, (path, at) in enumerate(spots):
        copy = Path(shutil.copytree(GOLDEN, tmp_path / str(number)))
        _flip(copy / path.relative_to(GOLDEN), at)
        done = subprocess.run([READ_STORE, copy, "long-talk"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, ""), (path, at)
        assert done.stderr.startswith("read_store: ")


def _is_used_by(path: Path, name: str, probe: Path) -> bool:
    """Tell whether a session can not be read without this object."""
    there, aside = probe / path.relative_to(GOLDEN), probe / "aside"
    there.rename(aside)
    try:
        read_store(probe, name)
    except Exception as error:
        return path.name.partition(".")[0] in str(error)
    else:
        return False
    finally:
        aside.rename(there)
