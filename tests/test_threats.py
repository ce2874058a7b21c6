"""What a hostile replica of a synced folder cannot do, whatever files it adds (THREATS.md names these tests)."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from repo.machines import Machine, contents, said
from storekit import tree, within

from coda_fs_session import SessionError, SessionWarning
from coda_fs_session.format.generations import Generation
from coda_fs_session.format.jsonl import encode_message
from coda_fs_session.format.records import Base
from coda_fs_session.format.refs import Header, Save, encode_header, encode_save, parse_ref

TALKS = {"short": ["one", "two"], "long": [f"{number} of many" for number in range(60)]}
NOW = "2026-01-02T03:04:05.000006+00:00"
ESCAPES = ["../../outside", "/tmp/outside", "..", "a/../../b", "short", "", "\0", ".hidden", "x" * 300]


@pytest.fixture
def victim(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "victim", "victim-00000001")
    for name, texts in TALKS.items():
        machine.create(name, said(*texts))
    return machine


def bytes_of(header: Header, *texts: str, replaced: int | None = None) -> bytes:
    """Return a ref, every line of which verifies."""
    data, last = encode_header(header)
    if texts or replaced is not None:
        lines = [encode_message(message, "message") for message in said(*texts)]
        data += encode_save(Save(last, NOW, lines, replaced))[0]
    return data


def forged(victim: Machine, rng: random.Random) -> Iterator[bytes]:
    """Yield refs that nobody but somebody hostile writes: of the victim's names, of its states, and of nonsense."""
    genuine = {path.stem: path.read_bytes() for path in victim.refs()}
    for name, data in genuine.items():
        header = parse_ref(data, name).header
        ours = header.generation_id
        for life in (0, 1, 2**40):
            yield bytes_of(Header(name, "mallory", NOW, NOW, life=life), "mine now")
            yield bytes_of(replace(header, replica="mallory", life=life))
        for operation in ("delete", "clear", "create", "rename", "truncate", "edit"):
            frozen = (header.base.messages, header.base.chain)
            step = Generation(ours, operation, *frozen, 0, 0, Base().chain, "theirs" if operation == "rename" else None)
            yield bytes_of(replace(header, replica="mallory", base=Base(), generation=step))
            yield bytes_of(replace(header, name="theirs", former_names=(name,), base=Base(), generation=step))
        yield bytes_of(Header("theirs", "mallory", NOW, NOW, former_names=(name, "theirs", name)))
        yield bytes_of(replace(header, created=NOW, updated="9998-01-02T03:04:05.000006+00:00"), "later", replaced=0)
        for _ in range(4):
            place = rng.randrange(len(data))
            yield data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]
            yield data[:place]
    for name in ESCAPES:
        yield bytes_of(Header(name, "../../outside", NOW, NOW, former_names=("short", name)), "escape")
    yield rng.randbytes(4096)
    yield bytes(4096)


def put(store: Path, data: bytes, *, replica: str = "mallory", name: str = "forged.jsonl") -> Path:
    path = store / "refs" / replica / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def everything(machine: Machine) -> list[list[str]]:
    """Return the messages of every session that can be read; a damaged ref beside them only makes them doubtful."""
    found, manager = [], machine.manager()
    for info in manager.list_sessions():
        with contextlib.suppress(SessionError):
            found.append(contents(manager.load_session(info.name)))
    return found


def test_no_added_file_takes_a_message_away(victim: Machine, seed: int) -> None:
    """Whatever refs are added, ours and all objects stay as they are on disk, byte for byte.

    An open session goes on, and what it has acknowledged is read again, all of it; unless a deletion hides it, as any
    replica may delete: then its ref and its objects are there still.
    """
    manager = victim.manager()
    sessions = {name: manager.load_session(name) for name in TALKS}
    mine = tree(victim.store)
    number = 0
    for number, data in enumerate(forged(victim, random.Random(seed))):
        path = put(victim.store, data)
        for name, texts in TALKS.items():
            assert contents(sessions[name]) == texts, number
        with within(20), warnings.catch_warnings():
            warnings.simplefilter("ignore", SessionWarning)
            victim.manager().list_sessions()
            for name in TALKS:
                try:
                    victim.manager().load_session(name).get_messages()
                except SessionError:
                    # Gone to another name, deleted, or undecided.
                    continue
        after = tree(victim.store)
        # The folder of all replicas has a new name in it.
        assert {place: after.get(place) for place in mine if place != "refs"} == {
            place: found for place, found in mine.items() if place != "refs"
        }, number
        path.unlink()
        assert all(texts in everything(victim) for texts in TALKS.values()), number
    assert number > 40


def test_what_is_saved_beside_hostile_refs_is_kept(victim: Machine, seed: int) -> None:
    """Beside all of them at once an open session saves, and a new program reads all that it has said."""
    manager = victim.manager()
    session = manager.load_session("long")
    for number, data in enumerate(forged(victim, random.Random(seed))):
        if b'"operation":"delete"' not in data:
            put(victim.store, data, name=f"{number}.jsonl")
    with within(60), warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        for number in range(3):
            session.add_message(said(f"beside {number}")[0])
            manager.save_session(session)
        expected = contents(session)
        assert expected[-3:] == [f"beside {number}" for number in range(3)]
        assert set(TALKS["long"]) <= set(expected)
        assert any(set(expected) <= set(texts) for texts in everything(victim))


def test_a_hostile_ref_stops_no_other_session(victim: Machine, seed: int) -> None:
    """Sessions whose names it does not claim are listed, read, made, saved, renamed and deleted as ever."""
    for number, data in enumerate(forged(victim, random.Random(seed))):
        put(victim.store, data, name=f"{number}.jsonl")
    with within(60), warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        victim.create("unclaimed", said(1))
        victim.change("unclaimed", 2)
        assert victim.read("unclaimed") == ["1", "2"]
        manager = victim.manager()
        assert "unclaimed" in {info.name for info in manager.list_sessions() if info.error is None}
        manager.create_session("branch", branch_from="unclaimed", at=1)
        manager.rename_session("branch", "twig")
        manager.delete_session("twig")
        assert manager.stats().sessions >= 1


def test_nothing_is_written_outside(victim: Machine, tmp_path: Path, seed: int) -> None:
    """Names and replicas that look like paths, links and devices in every place: only store and state are written."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jsonl").write_text("secret\n")
    for number, data in enumerate(forged(victim, random.Random(seed))):
        put(victim.store, data, name=f"{number}.jsonl")
    (victim.store / "refs" / "linked").symlink_to(outside)
    (victim.store / "refs" / "mallory" / "link.jsonl").symlink_to(outside / "secret.jsonl")
    (victim.store / "objects" / "zz").symlink_to(outside)
    for group in {path.parent.name for path in victim.store.glob("objects/*/*")}:
        (victim.store / "objects" / group / f"{group}{'0' * 62}.jsonl").symlink_to(outside / "secret.jsonl")
    os.mkfifo(victim.store / "refs" / "mallory" / "fifo.jsonl")
    before = {name: found for name, found in tree(tmp_path).items() if not name.startswith("victim/")}
    with within(60), warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        manager = victim.manager()
        for info in manager.list_sessions():
            if info.error is not None:
                continue
            session = manager.load_session(info.name)
            assert "secret" not in str(session.get_messages())
            session.add_message(said("goes on")[0])
            manager.save_session(session)
        there = Machine(tmp_path / "there", "there-00000002")
        manager.sync(there.store)
        manager.close()
    after = {name: found for name, found in tree(tmp_path).items() if not name.startswith(("victim/", "there"))}
    assert after == before
    assert not any(path.is_symlink() or path.is_fifo() for path in there.store.rglob("*"))
    assert set(os.listdir(victim.store / "refs")) == {"victim-00000001", "mallory", "linked"}


@pytest.mark.parametrize("verb", ["removed", "overwritten", "garbled"])
def test_what_this_machine_wrote_into_its_refs_comes_back(victim: Machine, verb: str) -> None:
    """A tool that carries deletions and changes takes or replaces one: what the machine has recorded is put back."""
    (ref,) = (path for path in victim.refs() if path.stem == "short")
    header = parse_ref(ref.read_bytes(), "short").header
    if verb == "removed":
        ref.unlink()
    elif verb == "overwritten":
        ref.write_bytes(bytes_of(header, "forged"))
    else:
        ref.write_bytes(bytes(100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        victim.manager().close()
        assert TALKS["short"] in everything(victim)


def test_no_wrong_bytes_pass_for_an_object(victim: Machine) -> None:
    """An object that was changed is an error that names the file; the other session reads, and a copy heals it."""
    (victim.folder / "copy").mkdir()
    shutil.copytree(victim.store / "objects", victim.folder / "copy" / "objects")
    for path in victim.store.glob("objects/*/*"):
        path.write_bytes(path.read_bytes().replace(b"many", b"more"))
    with pytest.raises(SessionError, match="restore the file"):
        victim.read("long")
    assert victim.read("short") == TALKS["short"]
    shutil.copytree(victim.folder / "copy" / "objects", victim.store / "objects", dirs_exist_ok=True)
    assert victim.read("long") == TALKS["long"]
