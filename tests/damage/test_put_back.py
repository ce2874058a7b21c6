"""An older copy comes to stand over what this machine has saved: it is put back, once, and the user is told."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import warnings
from typing import Any

import pytest
from repo.machines import Machine, contents, said
from storekit import untouched

from coda_fs_session import ObjectNotYetHereError, SessionWarning, StoreFormatError
from coda_fs_session.backends.disk import tokens
from coda_fs_session.backends.disk.files import Files

from .backups import Way, backup_of, by_rename, delete_one, every_length, every_way, go_on, records, told, whole_tree


@every_length
@every_way
def test_put_back_when_a_manager_opens(here: Machine, way: Way, more: int) -> None:
    """Everything acknowledged is there again, one warning says of what file, and the next one to open has no work."""
    expected = go_on(here, more)
    here.manager().close()
    way(backup_of(here), here.store)
    with told("'chat'", "refs", "put back", *([f"{more} save"] if way is not delete_one and more < 10 else [])):
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
    ref = next(here.store.glob("refs/**/chat.jsonl"))
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
        with told("'chat'", str(ref), "the next save puts that back"):
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
    ref = next(here.store.glob("refs/**/chat.jsonl"))
    if verb == "create":
        ref.unlink()
    else:
        by_rename(backup_of(here), here.store)
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
    ref = next(here.store.glob("refs/**/chat.jsonl"))
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


@pytest.mark.parametrize("way", [by_rename, delete_one])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_putting_back_is_interrupted(here: Machine, way: Way, code: int) -> None:
    """Whatever call fails, on a read-only disk all: opening is no error, and a later one puts everything back."""
    expected = go_on(here, 3)
    here.manager().close()
    ref = next(here.store.glob("refs/**/chat.jsonl"))
    newest = ref.stat().st_size
    way(backup_of(here), here.store)
    for call in range(30):
        files = _Faulty(call, code)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager = here.manager(files=files)
        if files.left >= 0:
            break
        if not caught and way is by_rename:
            complete = ref.stat().st_size == newest
            assert {info.name: info.reverted for info in manager.list_sessions()} == {
                "chat": not complete,
                "other": False,
            }
        way(backup_of(here), here.store) if next(here.store.glob("refs/**/chat.jsonl"), None) else None
    assert call > 2
    assert here.read("chat") == expected
    assert not [path for path in here.store.glob("refs/**/*") if "chat" in path.name][1:]


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


def test_one_that_cannot_be_put_back_keeps_no_other(here: Machine) -> None:
    """A record of a later version is left for that version, and a save over what it is about is refused; the other
    sessions are complete."""
    expected = go_on(here, 3)
    here.change("other", "more")
    manager = here.manager()
    session = manager.load_session("other")
    (record,) = records(here, "other")
    later = record.read_bytes().replace(b'{"coda_fs_session":1', b'{"coda_fs_session":2', 1) + b"and more\n"
    record.write_bytes(later)
    by_rename(backup_of(here), here.store)
    with told("'chat'", "put back"):
        assert here.read("chat") == expected
    session.add_message(said("mine")[0])
    with pytest.raises(StoreFormatError, match="upgrade"):
        manager.save_session(session)
    assert records(here, "other")[0].read_bytes() == later
    assert here.read("other") == ["fine"]
