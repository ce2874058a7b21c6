"""Another store stands at the place: what was saved in the first one is kept aside, told, and can be brought back."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from repo.machines import Machine, contents, said

from coda_fs_session import (
    CorruptionError,
    SessionError,
    SessionInfo,
    SessionManager,
    SessionNotFoundError,
    SessionStorage,
    SessionWarning,
)
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.machine import aside, state

from .backups import records

ids = pytest.mark.parametrize("replica", ["", "given"], ids=["chosen id", "given id"])


@contextmanager
def warned() -> Iterator[list[str]]:
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(each.message) for each in caught if each.category is SessionWarning]


def machine_with_sessions(folder: Path, replica: str) -> Machine:
    machine = Machine(folder, replica)
    machine.create("chat", said(0, 1))
    machine.create("long", said(*range(30)))
    machine.manager().close()
    return machine


def listed(infos: list[SessionInfo]) -> list[tuple[str, int]]:
    return sorted((info.name, info.message_count) for info in infos)


def everything(machine: Machine) -> list[list[str]]:
    manager = machine.manager()
    return sorted(contents(manager.load_session(info.name)) for info in manager.list_sessions())


def own_refs(machine: Machine) -> list[Path]:
    return [path for path in machine.store.glob("refs/**/*.jsonl") if "other-" not in str(path)]


def replaced_by_another(machine: Machine, *, with_chat: bool = True) -> None:
    """Put a store in the place that knows nothing of this machine."""
    machine.store.rename(machine.folder / "first")
    other = Machine(machine.folder / "elsewhere", "other-00000001")
    if with_chat:
        other.create("chat", said("another"))
        shutil.copytree(other.store, machine.store)


@ids
@pytest.mark.parametrize("there", ["another store", "nothing"])
def test_another_store(tmp_path: Path, replica: str, there: str) -> None:
    """Bug: a store that did not know a given id made the next save drop every record, without a word.

    One warning names what is kept aside, once; listing shows it, bringing it back leaves both sides of a name.
    """
    here = machine_with_sessions(tmp_path, replica)
    replaced_by_another(here, with_chat=there == "another store")
    with warned() as texts:
        manager = here.manager()
        assert listed(manager.kept_aside()) == [("chat", 2), ("long", 30)]
        here.create("new", said("new"))
        assert listed(here.manager().kept_aside()) == [("chat", 2), ("long", 30)]
    assert len(texts) == 1
    assert all(part in texts[0] for part in (str(here.store), "2 sessions: 'chat', 'long'", "bring_back()"))
    with warned() as texts:
        manager = here.manager()
        (brought,) = manager.bring_back("chat")
        assert brought.message_count == 2
        assert brought.name == "chat" or brought.diverged_from == "chat"
        assert listed(manager.kept_aside()) == [("long", 30)]
        with pytest.raises(SessionNotFoundError, match="kept aside") as caught:
            manager.bring_back("chat")
        assert caught.value.name == "chat"
        assert [info.name for info in manager.bring_back()] == ["long"]
        assert manager.bring_back() == manager.kept_aside() == []
    assert texts == []
    # Not before: known objects make it the store that the records are of, and then it takes no verb.
    shutil.copytree(tmp_path / "first/objects", here.store / "objects", dirs_exist_ok=True)
    expected = [["0", "1"], list(map(str, range(30))), ["new"], *([["another"]] if there == "another store" else [])]
    assert everything(here) == sorted(expected)
    assert listed(here.manager().kept_aside()) == []


@ids
def test_the_first_store_comes_back(tmp_path: Path, replica: str) -> None:
    """What was kept aside is of that store again: nothing is aside, and what an older copy of it lacks is put back."""
    here = machine_with_sessions(tmp_path, replica)
    backup = Path(shutil.copytree(here.store, tmp_path / "backup"))
    here.change("chat", "more")
    here.manager().close()
    replaced_by_another(here)
    with warned():
        here.create("new", said("new"))
    shutil.rmtree(here.store)
    (tmp_path / "first").rename(here.store)
    for path in (backup / "refs").rglob("*.jsonl"):
        shutil.copyfile(path, here.store / path.relative_to(backup))
    with warned() as texts:
        manager = here.manager()
    assert [text for text in texts if "put back" in text and "'chat'" in text]
    assert contents(manager.load_session("chat")) == ["0", "1", "more"]
    assert here.names() == ["chat", "long"]
    assert listed(manager.kept_aside()) == [("new", 1)]


@ids
def test_an_older_copy_of_all_is_no_other_store(tmp_path: Path, replica: str) -> None:
    """What it lacks is put back and nothing kept aside, also if only the birth of a small session tells."""
    here = Machine(tmp_path, replica)
    here.create("chat", said(0))
    backup = shutil.copytree(here.store, tmp_path / "backup")
    here.change("chat", 1)
    shutil.rmtree(here.store)
    backup.rename(here.store)
    with warned() as texts:
        manager = here.manager()
    assert manager.kept_aside() == []
    assert contents(manager.load_session("chat")) == ["0", "1"]
    assert ["had been reverted to an older copy" in text for text in texts] == [True]


@ids
@pytest.mark.parametrize("tool", ["a mirror", "a new copy"])
def test_everything_of_ours_was_taken_away(tmp_path: Path, replica: str, tool: str) -> None:
    """Bug: a mirror of a replica that had nothing of this one's was taken for another store, and nothing put back.

    The other replica is known from before, so it is the same store: also where every file in it is another one.
    """
    there = Machine(tmp_path / "there", "there-00000001")
    there.create("chat", said("theirs"))
    here = Machine(tmp_path / "here", replica)
    shutil.copytree(there.store, here.store)
    here.change("chat", "mine")
    here.create("only here", said("x"))
    if tool == "a new copy":
        shutil.rmtree(here.store)
        shutil.copytree(there.store, here.store)
        # Numbers of files are used again.
        os.utime(here.store / "FORMAT", (1, 1))
    elif shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    else:
        subprocess.run(["rsync", "-a", "--delete", f"{there.store}/", f"{here.store}/"], check=True)
    with warned() as texts:
        manager = here.manager()
    assert len(texts) == 2
    assert all("was gone from the store" in text for text in texts)
    assert manager.kept_aside() == []
    here.change("only here", "y")
    assert everything(here) == [["theirs", "mine"], ["x", "y"]]


@pytest.mark.parametrize("how", ["in place", "by a rename", "with another FORMAT"])
def test_another_history_of_the_same_name(tmp_path: Path, how: str) -> None:
    """Bug: with a given id the record of a ref that somebody had put another history in place of was dropped.

    Both are kept: as sides where the store is the same one, else the record aside.
    """
    here = Machine(tmp_path / "here", "given")
    here.create("chat", said("mine"))
    here.manager().close()
    there = Machine(tmp_path / "there", "given")
    there.create("chat", said("theirs"))
    ref = here.only_ref()
    if how == "in place":
        shutil.copyfile(there.only_ref(), ref)
    else:
        for path in [there.only_ref(), *([there.store / "FORMAT"] if how == "with another FORMAT" else [])]:
            copy = path.with_name(".copy")
            shutil.copy(path, copy)
            copy.replace(here.store / path.relative_to(there.store))
    with warned() as texts:
        manager = here.manager()
        session = manager.load_session("chat")
        session.add_message(said("next")[0])
        manager.save_session(session)
    assert texts
    if how == "with another FORMAT":
        assert everything(here) == [["theirs", "next"]]
        assert listed(manager.kept_aside()) == [("chat", 1)]
        manager.bring_back("chat")
    found = everything(here)
    assert {each[0] for each in found} == {"mine", "theirs"}
    assert sum(map(len, found)) == 3


def test_deleted_and_created_again(tmp_path: Path) -> None:
    """Bug: the older file of a session that had been deleted and made anew made the record of it disappear."""
    here = Machine(tmp_path, "given")
    here.create("chat", said("1"))
    here.manager().delete_session("chat")
    here.manager().close()
    backup = Path(shutil.copytree(here.store, tmp_path / "backup"))
    here.create("chat", said("3", "4"))
    here.manager().close()
    for path in backup.rglob("*"):
        if path.is_file():
            copy = path.with_name(".copy")
            shutil.copy2(path, copy)
            copy.replace(here.store / path.relative_to(backup))
    with warned() as texts:
        assert here.read("chat") == ["3", "4"]
    assert len(texts) == 1


@pytest.mark.parametrize("gone", [False, True], ids=["an older ref", "no ref"])
def test_a_damaged_record_is_kept_aside(tmp_path: Path, gone: bool) -> None:
    """A record that tells nothing is not dropped either: it is listed with what is wrong, and stays where it is."""
    here = machine_with_sessions(tmp_path, "")
    backup = Path(shutil.copytree(here.store, tmp_path / "backup"))
    here.change("chat", "more")
    here.manager().close()
    (record,) = records(here, "chat")
    record.write_bytes(record.read_bytes().replace(b"more", b"less", 1))
    damaged = record.read_bytes()
    ref = next(here.store.glob("refs/**/chat.jsonl"))
    ref.unlink()
    if not gone:
        shutil.copyfile(backup / ref.relative_to(here.store), ref)
    with warned() as texts:
        manager = here.manager()
        here.manager()
    assert len(texts) == 1
    assert "kept aside" in texts[0]
    (info,) = manager.kept_aside()
    assert (info.name, type(info.error)) == ("chat", CorruptionError)
    assert manager.bring_back() == []
    with pytest.raises(CorruptionError):
        manager.bring_back("chat")
    (kept,) = (path for path in records(here, "chat") if "." in path.relative_to(here.folder).parts[3])
    assert kept.read_bytes() == damaged
    with warned() as texts:
        here.create("chat", said("0", "1", "on")) if gone else here.change("chat", "on")
        assert here.read("chat") == ["0", "1", "on"]
    assert texts == []


class _Failing(Files):
    """Fails at one of its calls that change something, and at every one after it."""

    def __init__(self, at: int) -> None:
        super().__init__(durable=False)
        self.left = at

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in ("open_append", "create", "write", "sync_data", "sync_folder", "rename", "link", "unlink"):
            self.left -= 1
            if self.left < 0:
                raise OSError(5, os.strerror(5))
        return found


@pytest.mark.parametrize(("fails", "replica"), [("store", ""), ("state", "given")])
def test_interrupted_anywhere(tmp_path: Path, fails: str, replica: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever call fails while something is set aside or brought back, nothing is lost and nothing is there twice."""
    for call in range(60):
        here = machine_with_sessions(tmp_path / str(call), replica)
        replaced_by_another(here)
        files = _Failing(call)
        with warnings.catch_warnings(), contextlib.suppress(*([SessionError, OSError] if call < 59 else [])):
            warnings.simplefilter("ignore", SessionWarning)
            with monkeypatch.context() as patch:
                if fails == "state":
                    patch.setattr(state, "Files", lambda files=files, **_: files)
                    patch.setattr(aside, "Files", lambda files=files, **_: files)
                manager = here.manager(**({"files": files} if fails == "store" else {}))
                manager.bring_back()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SessionWarning)
            here.manager().bring_back()
        assert here.manager().kept_aside() == []
        assert sorted(info.message_count for info in here.manager().list_sessions()) == [1, 2, 30]
        assert len(own_refs(here)) == 2
        if files.left >= 0:
            break
    assert 2 < call < 59


def _bring_back(machine: Machine, barrier: Any) -> None:
    warnings.simplefilter("ignore", SessionWarning)
    manager = machine.manager()
    barrier.wait()
    manager.bring_back()
    manager.close()


@ids
def test_two_processes_at_once(tmp_path: Path, replica: str) -> None:
    """Both set aside and bring back; each session is there once."""
    here = machine_with_sessions(tmp_path, replica)
    replaced_by_another(here)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    processes = [context.Process(target=_bring_back, args=(here, barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(info.message_count for info in here.manager().list_sessions()) == [1, 2, 30]
    assert len(own_refs(here)) == 2
    assert here.manager().kept_aside() == []


class _Custom(SessionStorage):
    def save(self, session: Any) -> None: ...
    def load(self, name: str) -> None: ...
    def delete(self, name: str) -> None: ...
    def list_all(self) -> list[SessionInfo]:
        return []


@pytest.mark.parametrize("kind", ["memory", "custom"])
def test_where_nothing_can_be_aside(kind: str) -> None:
    """Memory and storages of one's own have nothing aside, and say so."""
    manager = SessionManager({"session": {"backend": "memory"}}, storage=_Custom() if kind == "custom" else None)
    assert manager.kept_aside() == manager.bring_back() == []
    with pytest.raises(SessionNotFoundError, match="kept aside"):
        manager.bring_back("chat")
