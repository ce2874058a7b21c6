"""The record of this machine's own refs: which it has, and where it is no good, cannot be kept, or is a clone's."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from repo.machines import Machine, contents, said

from coda_fs_session import SessionWarning
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.machine.state import LocalState

from .backups import backup_of, by_rename, delete_one, every_length, go_on, records, told


@pytest.mark.parametrize("replica", ["", "given"])
def test_two_stores_at_one_place_never_mix(tmp_path: Path, replica: str) -> None:
    """Disks that are plugged in by turns: each keeps its own sessions, whatever is recorded of the other."""
    machine = Machine(tmp_path, replica)
    disks = [tmp_path / "disk 0", tmp_path / "disk 1"]
    for turn in range(6):
        number = turn % 2
        if disks[number].exists():
            disks[number].rename(machine.store)
        machine.create(f"{number} {turn}", said(turn))
        machine.create("chat", said(number))
        if turn >= 2:
            machine.change("chat", turn)
            assert machine.read("chat") == [str(number), str(turn)]
        machine.manager().close()
        mine = [f"{number} {each}" for each in range(number, turn + 1, 2)]
        assert machine.names() == [*mine, "chat"]
        if not replica:
            assert len(list((machine.store / "refs").iterdir())) == 1, "a disk is the same replica each time"
        machine.store.rename(disks[number])


@pytest.mark.parametrize("harm", ["lost", "torn", "zeros", "damaged", "empty", "stale", "all lost", "marker garbage"])
@pytest.mark.parametrize("reverted", [False, True])
def test_a_record_that_is_no_good(here: Machine, harm: str, reverted: bool) -> None:
    """It puts back what it can, never anything wrong, and is made anew; the store is as readable as without it."""
    go_on(here, 1)
    (record,) = records(here, "chat")
    stale = record.read_bytes()
    expected = [*go_on(here, 2)[:3], "more 0", "more 1"]
    here.manager().close()
    assert records(here, "chat") == [record]
    data = record.read_bytes()
    if harm == "lost":
        record.unlink()
    elif harm == "all lost":
        here.lose_record()
    elif harm == "marker garbage":
        for path in (here.folder / "state").glob("*/own/**/*"):
            if path.is_file() and (path.name[0] == "." or path.parent.name[0] == "."):
                path.write_bytes(b"[[")
    else:
        record.write_bytes(
            {
                "torn": data[:-20],
                "zeros": data[:-20] + bytes(20),
                "damaged": data.replace(b"more", b"less", 1),
                "empty": b"",
                "stale": stale,
            }[harm]
        )
    if reverted:
        by_rename(backup_of(here), here.store)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        found = here.read("chat")
    wanted = {"torn": expected[:-1], "zeros": expected[:-1], "stale": expected[:3], "marker garbage": expected}
    assert found == (wanted.get(harm, ["0", "1"]) if reverted else expected)
    with told():
        here.change("chat", "after")
        assert here.read("chat") == [*found, "after"]
    # And the record serves again.
    here.manager().close()
    delete_one(backup_of(here), here.store)
    with told("put back"):
        assert here.read("chat") == [*found, "after"]


def test_a_record_that_cannot_be_kept(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving works as without a record, and the user is told once; the next process keeps one again."""
    manager = here.manager()
    session = manager.load_session("chat")

    def full(self: Files, descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with told("chat.jsonl", "safe"):
        for number in range(50):
            session.add_message(said(number)[0])
            # The store's own calls are those of another object.
            monkeypatch.setattr(manager._storage.repo.machine._files, "write", full.__get__(Files()))  # type: ignore[attr-defined]
            manager.save_session(session)
        monkeypatch.undo()
    expected = contents(session)
    with told():
        here.change("chat", "after")
    delete_one(backup_of(here), here.store)
    with told("put back"):
        assert here.read("chat") == [*expected, "after"]


def _clone(here: Machine, tmp_path: Path) -> Machine:
    """Copy store and state, as a disk image does; the state folder of a clone has its own name, see `LocalState`."""
    there = Machine(tmp_path / "there", here.replica)
    shutil.copytree(here.store, there.store)
    (state,) = (here.folder / "state").iterdir()
    name = Path(LocalState(there.store, folder=there.folder / "state").folder())
    shutil.rmtree(name)
    shutil.copytree(state, name)
    return there


@pytest.mark.parametrize("replica", ["", "given"])
@every_length
def test_a_cloned_replica(here: Machine, tmp_path: Path, more: int, replica: str) -> None:
    """Two machines write under one id, and the files of one come to the other: both sides' saves are there."""
    if replica:
        shutil.rmtree(here.folder)
        here = Machine(tmp_path / "here", replica)
        here.create("chat", said(0, 1))
        here.create("other", said("fine"))
    there = _clone(here, tmp_path)
    mine = go_on(here, more)
    here.create("mine", said("mine"))
    there.change("chat", "theirs")
    there.create("theirs", said("theirs"))
    there.manager().close()
    subprocess.run(["cp", "-r", f"{there.store}/.", f"{here.store}/"], check=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        manager = here.manager()
    assert any("somebody else writes" in str(each.message) for each in caught)
    infos = manager.list_sessions()
    assert {"chat", "other", "mine", "theirs"} < {info.name for info in infos}
    assert len(infos) == 5
    found = [contents(manager.load_session(info.name)) for info in infos if "chat" in info.name]
    assert sorted(found) == sorted([mine, ["0", "1", "theirs"]])
    with told():
        session = manager.load_session(next(i.name for i in infos if contents(manager.load_session(i.name)) == mine))
        session.add_message(said("on")[0])
        manager.save_session(session)
        manager.close()
        assert here.read(session.name) == [*mine, "on"]
    replicas = os.listdir(here.store / "refs")
    assert len(replicas) == (1 if replica else 2)
    # And the other way: nothing of ours is theirs to overwrite any more.
    subprocess.run(["cp", "-r", f"{here.store}/.", f"{there.store}/"], check=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        both = there.manager()
    assert sorted(contents(both.load_session(i.name)) for i in both.list_sessions() if "chat" in i.name) == sorted(
        [[*mine, "on"], ["0", "1", "theirs"]]
    )


def test_a_record_is_kept_of_own_refs_only(here: Machine, tmp_path: Path) -> None:
    """What others wrote is theirs to put back, and the folder of records is private."""
    there = here.copied_to(tmp_path / "there", "there-00000002")
    there.change("chat", "theirs")
    there.send_to(here)
    here.change("other", 1)
    assert here.read("chat") == ["0", "1", "theirs"]
    repo = here.repository()
    (own,) = repo.machine.record.replicas()
    kept = repo.machine.record.tokens(own)
    assert sorted(Path(key.path).name for key in kept) == ["chat.jsonl", "other.jsonl"]
    for key in kept:
        assert repo.machine.record.read(key) == (here.store / "refs" / key.path).read_bytes()
    files = [path for path in (here.folder / "state").glob(f"*/own/{own}/**/*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
