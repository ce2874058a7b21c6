"""An older copy comes to stand over what this machine has saved: it is put back, once, and the user is told."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from repo.machines import Machine, contents, said
from storekit import untouched

from coda_fs_session import ObjectNotYetHereError, SessionWarning, StoreFormatError
from coda_fs_session.backends.disk import tokens
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.machine.state import LocalState


def _rsync(backup: Path, store: Path) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    subprocess.run(["rsync", "-a", f"{backup}/", f"{store}/"], check=True)


def _copy_in_place(backup: Path, store: Path) -> None:
    subprocess.run(["cp", "-r", f"{backup}/.", f"{store}/"], check=True)


def _restore(backup: Path, store: Path) -> None:
    """As from a backup: the folder away, the old one there; only the objects made since are kept."""
    store.rename(store.with_name("away"))
    shutil.copytree(backup, store)
    shutil.copytree(store.with_name("away") / "objects", store / "objects", dirs_exist_ok=True)


def _by_rename(backup: Path, store: Path) -> None:
    """As sync tools do it, one ref after the other."""
    for path in (backup / "refs").rglob("*.jsonl"):
        copy = path.with_name(".copy")
        shutil.copy(path, copy)
        copy.replace(store / path.relative_to(backup))


def _delete_one(backup: Path, store: Path) -> None:
    next(store.glob("refs/*/chat.jsonl")).unlink()


Way = Callable[[Path, Path], None]
WAYS: list[Way] = [_rsync, _copy_in_place, _restore, _by_rename, _delete_one]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
every_length = pytest.mark.parametrize("more", [1, 3, 40], ids=["one save", "the tail", "sealed since"])


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    """A store with two sessions, closed, and a backup of it beside."""
    machine = Machine(tmp_path / "here", "")
    machine.create("chat", said(0, 1))
    machine.create("other", said("fine"))
    machine.manager().close()
    shutil.copytree(machine.store, backup_of(machine))
    return machine


def backup_of(machine: Machine) -> Path:
    return machine.folder / "backup"


def go_on(machine: Machine, count: int) -> list[str]:
    for number in range(count):
        machine.change("chat", f"more {number}")
    return ["0", "1", *(f"more {number}" for number in range(count))]


@contextmanager
def told(*parts: str) -> Iterator[None]:
    """Make sure that the block warns once, in these words; without any words not at all."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    texts = [str(each.message) for each in caught if each.category is SessionWarning]
    assert len(texts) == bool(parts), texts
    assert all(part in texts[0] for part in parts), texts


def whole_tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@every_length
@every_way
def test_put_back_when_a_manager_opens(here: Machine, way: Way, more: int) -> None:
    """Everything acknowledged is there again, one warning says of what file, and the next one to open has no work."""
    expected = go_on(here, more)
    here.manager().close()
    way(backup_of(here), here.store)
    with told("'chat'", "refs", "put back", *([f"{more} save"] if way is not _delete_one and more < 10 else [])):
        manager = here.manager()
    with told():
        assert contents(manager.load_session("chat")) == expected
        assert [info.reverted for info in manager.list_sessions()] == [False, False]
    before = whole_tree(here.store)
    with told():
        assert here.read("chat") == expected
        assert here.names() == ["chat", "other"]
    assert whole_tree(here.store) == before
    here.change("chat", "after")
    assert here.read("chat") == [*expected, "after"]


@every_length
@every_way
def test_put_back_under_a_running_manager(here: Machine, way: Way, more: int) -> None:
    """A session that another process continued is complete before one that is open here goes on."""
    manager = here.manager()
    session = manager.load_session("chat")
    expected = go_on(here, more)
    way(backup_of(here), here.store)
    session.add_message(said("mine")[0])
    with told("'chat'", "put back"):
        manager.save_session(session)
    assert here.read("chat") == contents(session) == [*expected, "mine"]


def test_one_ref_overwritten_in_place(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no folder tells is told when the session is listed or loaded; that writes nothing, saving puts it back."""
    expected = go_on(here, 3)
    here.manager().close()
    ref = next(here.store.glob("refs/*/chat.jsonl"))
    # What is looked at within a tick of the clock counts as not looked at.
    monkeypatch.setattr(tokens, "TICK_NS", 0)
    here.manager().close()
    ref.write_bytes((backup_of(here) / ref.relative_to(here.store)).read_bytes())
    with told():
        manager = here.manager()
    with untouched(here.store):
        infos = {info.name: info.reverted for info in manager.list_sessions()}
        assert infos == {"chat": True, "other": False}
        info = here.manager().get_session_info("chat")
        assert info is not None
        assert info.reverted
        with told("'chat'", str(ref), "put back by the next save"):
            session = manager.load_session("chat")
        assert contents(session) == ["0", "1"]
        manager.export_session("other", here.folder / "exported.json")
    session.add_message(said("mine")[0])
    with told("3 saves put back"):
        manager.save_session(session)
    assert here.read("chat") == contents(session) == [*expected, "mine"]
    assert not any(info.reverted for info in here.manager().list_sessions())


@pytest.mark.parametrize("step", ["delete", "rename", "create again", "metadata", "edit", "clear"])
@every_way
def test_steps_are_put_back(here: Machine, way: Way, step: str) -> None:
    """Not only messages: what was deleted stays deleted, what was renamed, edited or tagged stays so."""
    manager = here.manager()
    session = manager.load_session("chat")
    if step == "metadata":
        session.metadata["topic"] = "birds"
    elif step == "edit":
        session.messages[0]["content"] = "edited"
    elif step == "clear":
        session.clear_messages()
    manager.save_session(session)
    if step == "rename":
        manager.rename_session("chat", "talk")
    if step in ("delete", "create again"):
        manager.delete_session("chat")
    if step == "create again":
        manager.create_session("chat")
    expected = [(info.name, info.message_count, info.metadata) for info in manager.list_sessions()]
    manager.close()
    way(backup_of(here), here.store)
    with told("put back"):
        manager = here.manager()
    assert [(info.name, info.message_count, info.metadata) for info in manager.list_sessions()] == expected
    assert not any(info.undecided or info.diverged_from for info in manager.list_sessions())


@pytest.mark.parametrize("verb", ["create", "branch"])
def test_whole_sessions_are_complete_before_they_change(here: Machine, verb: str) -> None:
    """What is created under the name of a session that is gone, or branched from one that was reverted, finds it
    complete."""
    expected = go_on(here, 3)
    manager = here.manager()
    ref = next(here.store.glob("refs/*/chat.jsonl"))
    if verb == "create":
        ref.unlink()
    else:
        ref.write_bytes((backup_of(here) / ref.relative_to(here.store)).read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        if verb == "create":
            assert contents(manager.create_session("chat")) == expected
        else:
            manager.create_session("branch", branch_from="chat")
            assert here.read("branch") == expected[:2]
    assert here.read("chat") == expected


def test_all_refs_gone(here: Machine) -> None:
    """Bug: who lost every ref of this machine's was taken for another store, and the records were never looked at."""
    expected = go_on(here, 3)
    (old,) = (path.name for path in (here.store / "refs").iterdir())
    here.manager().close()
    shutil.rmtree(here.store / "refs")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        manager = here.manager()
    assert sorted(str(each.message).partition(":")[0] for each in caught) == ["session 'chat'", "session 'other'"]
    with told():
        assert contents(manager.load_session("chat")) == expected
        assert here.names() == ["chat", "other"]
    assert os.listdir(here.store / "refs") == [old]


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
    record = next((here.folder / "state").glob("*/own/*/chat.jsonl"))
    stale = record.read_bytes()
    expected = [*go_on(here, 2)[:3], "more 0", "more 1"]
    here.manager().close()
    data = record.read_bytes()
    if harm == "lost":
        record.unlink()
    elif harm == "all lost":
        here.lose_record()
    elif harm == "marker garbage":
        for path in record.parent.parent.glob(".*"):
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
        _by_rename(backup_of(here), here.store)
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
    _delete_one(backup_of(here), here.store)
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
    _delete_one(backup_of(here), here.store)
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


def test_objects_that_went_with_the_revert(here: Machine) -> None:
    """The ref is put back all the same: what is missing is named, the tail is there, and all heals on arrival."""
    expected = go_on(here, 40)
    here.manager().close()
    here.store.rename(here.folder / "away")
    shutil.copytree(backup_of(here), here.store)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SessionWarning)
        manager = here.manager()
        infos = [info for info in manager.list_sessions() if "chat" in info.name]
        newest = max(infos, key=lambda info: info.message_count)
        assert newest.message_count == len(expected)
        session = manager.load_session(newest.name)
        assert [each["content"] for each in session.get_messages(limit=1)] == expected[-1:]
        with pytest.raises(ObjectNotYetHereError):
            session.get_messages()
        assert len(here.manager().list_sessions()) == len(infos) + 1, "and it stays so"
    shutil.copytree(here.folder / "away/objects", here.store / "objects", dirs_exist_ok=True)
    assert here.names() == ["chat", "other"]
    assert here.read("chat") == expected


def test_a_damaged_ref_stays_as_it_is(here: Machine) -> None:
    """What this machine saved goes on in a new file; the damaged one is not touched."""
    expected = go_on(here, 3)
    here.manager().close()
    ref = next(here.store.glob("refs/*/chat.jsonl"))
    damaged = ref.read_bytes().replace(b"more 1", b"more or less", 1)
    ref.unlink()
    ref.write_bytes(damaged)
    with told("put back, into", "chat.2.jsonl"):
        manager = here.manager()
    with told():
        assert contents(manager.load_session("chat")) == expected
        here.change("chat", "after")
        assert here.read("chat") == [*expected, "after"]
    assert ref.read_bytes() == damaged
    assert here.names() == ["chat", "other"]


class _Faulty(Files):
    """Fails one of its calls, and then every one."""

    def __init__(self, at: int, code: int) -> None:
        super().__init__(durable=False)
        self.left = at
        self.code = code

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in ("open_append", "create", "write", "sync_data", "sync_folder", "rename", "link", "make_folder"):
            self.left -= 1
            if self.left < 0:
                raise OSError(self.code, os.strerror(self.code))
        return found


@pytest.mark.parametrize("way", [_by_rename, _delete_one])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_putting_back_is_interrupted(here: Machine, way: Way, code: int) -> None:
    """Whatever call fails, on a read-only disk all: opening is no error, and a later one puts everything back."""
    expected = go_on(here, 3)
    here.manager().close()
    ref = next(here.store.glob("refs/*/chat.jsonl"))
    newest = ref.stat().st_size
    way(backup_of(here), here.store)
    for call in range(30):
        files = _Faulty(call, code)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager = here.manager(files=files)
        if files.left >= 0:
            break
        if not caught and way is _by_rename:
            complete = ref.stat().st_size == newest
            assert {info.name: info.reverted for info in manager.list_sessions()} == {
                "chat": not complete,
                "other": False,
            }
        way(backup_of(here), here.store) if next(here.store.glob("refs/*/chat.jsonl"), None) else None
    assert call > 2
    assert here.read("chat") == expected
    assert not [path for path in here.store.rglob("refs/*/*") if "chat" in path.name][1:]


def _open(machine: Machine, barrier: Any, found: Any) -> None:
    warnings.simplefilter("ignore", SessionWarning)
    barrier.wait()
    manager = machine.manager()
    session = manager.load_session("chat")
    session.add_message(said(f"by {os.getpid()}")[0])
    manager.save_session(session)
    found.put(contents(session))
    manager.close()


@every_way
def test_two_processes_open_at_once(here: Machine, way: Way) -> None:
    """Each saving is put back once, by whoever comes first, and what both save afterwards comes after it."""
    expected = go_on(here, 3)
    way(backup_of(here), here.store)
    context = multiprocessing.get_context("fork")
    barrier, found = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_open, args=(here, barrier, found)) for _ in range(2)]
    for process in processes:
        process.start()
    lists = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert all(each[: len(expected)] == expected for each in lists)
    assert sorted(here.read("chat")) == sorted([*expected, *(f"by {process.pid}" for process in processes)])
    assert len(here.refs()) == 2


def test_a_record_is_kept_of_own_refs_only(here: Machine, tmp_path: Path) -> None:
    """What others wrote is theirs to put back, and the folder of records is private."""
    there = here.copied_to(tmp_path / "there", "there-00000002")
    there.change("chat", "theirs")
    there.send_to(here)
    here.change("other", 1)
    assert here.read("chat") == ["0", "1", "theirs"]
    (own,) = (path.parent for path in (here.folder / "state").glob("*/own/*/chat.jsonl"))
    records = [path for path in own.iterdir() if not path.name.startswith(".")]
    assert sorted(path.name for path in records) == ["chat.jsonl", "other.jsonl"]
    for path in records:
        ref = here.store / "refs" / own.name / path.name
        assert path.read_bytes() == ref.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600


def test_one_that_cannot_be_put_back_keeps_no_other(here: Machine) -> None:
    """A record of a later version is left for that version, and a save over what it is about is refused; the other
    sessions are complete."""
    expected = go_on(here, 3)
    here.change("other", "more")
    manager = here.manager()
    session = manager.load_session("other")
    (record,) = (here.folder / "state").glob("*/own/*/other.jsonl")
    later = record.read_bytes().replace(b'{"coda_fs_session":1', b'{"coda_fs_session":2', 1) + b"and more\n"
    record.write_bytes(later)
    _by_rename(backup_of(here), here.store)
    with told("'chat'", "put back"):
        assert here.read("chat") == expected
    session.add_message(said("mine")[0])
    with pytest.raises(StoreFormatError, match="upgrade"):
        manager.save_session(session)
    assert record.read_bytes() == later
    assert here.read("other") == ["fine"]
