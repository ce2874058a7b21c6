"""What a transaction has left in the state folder, as others find it: finished once, kept aside, or refused."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.failing import FailingFiles, Fault

from coda_fs_session import SessionManager, SessionWarning, StoreError, StoreFormatError
from coda_fs_session.backends.disk import files
from coda_fs_session.backends.disk.files import Files

from .stores import content, message, open_store
from .test_transaction import Store, family, lines


@pytest.fixture
def store(scratch: Path) -> Store:
    return Store(scratch)


class UntilThePlan(FailingFiles):
    """A disk that fails for good once a plan is there, durably."""

    def __init__(self, disk: Path) -> None:
        super().__init__(disk)
        self._is_named = False

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self._is_named = target.endswith("/plan")

    def sync_folder(self, path: str) -> None:
        super().sync_folder(path)
        if self._is_named:
            self.fault = Fault(self.made, errno.EIO, "before", math.inf)


class FromThePlanOn(FailingFiles):
    """A disk that fails for good from the moment that a plan is there, before that is durable."""

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        if target.endswith("/plan"):
            self.fault = Fault(self.made, errno.EIO, "before", math.inf)


def leave(store: Store, work: Callable[[SessionManager], None] = family) -> Path:
    """Let a transaction end right after it was written down, and return the plan."""
    other = store.opened(UntilThePlan(store.disk))
    with pytest.raises(StoreError) as caught:
        work(other)
    assert "is written down" in caught.value.__notes__[0]
    other._autosave.stop()
    (plan,) = store.disk.glob("state/*/plan")
    return plan


def test_one_who_only_reads_leaves_it(store: Store) -> None:
    """A manager that is read_only shows what is there, and finishes nothing; the plan is listed as holding words."""
    after = store.after(family)
    plan = leave(store)
    with SessionManager(
        {"session": {"storage_path": str(store.disk / "store"), "state_path": str(store.disk / "state")}},
        read_only=True,
    ) as reader:
        assert {info.name for info in reader.list_sessions()} == {"chat", "old", "beside", "other"}
        assert plan.exists()
    with store.opened() as manager:
        assert manager._engine is not None
        # Not yet asked for anything: it is finished with the first verb.
        assert content(manager) == after
        assert manager._engine.repo.machine.record.plan_files() == []


def test_one_that_cannot_be_taken_back_is_told_of(store: Store) -> None:
    """Bug: a disk that failed right after a plan was there left it, and the error did not say that it will be done."""
    after = store.after(family)
    other = store.opened(FromThePlanOn(store.disk))
    with pytest.raises(StoreError) as caught:
        family(other)
    assert "is written down" in caught.value.__notes__[0]
    other._autosave.stop()
    with store.opened() as manager:
        assert content(manager) == after


def test_its_files_are_listed(store: Store) -> None:
    """Whatever holds words of messages for the sake of a transaction can be found: the plan, and one kept aside."""
    plan = leave(store)
    aside = plan.with_name("plan.20260101T000000000000")
    shutil.copy(plan, aside)
    with store.opened() as manager:
        manager.list_sessions()
        assert manager._engine is not None
        assert manager._engine.repo.machine.record.plan_files() == [str(aside)]


def test_one_that_is_damaged_is_kept_aside(store: Store) -> None:
    """It is told of once; the store goes on without it, and takes saves."""
    plan = leave(store)
    data = plan.read_bytes()
    plan.write_bytes(data[:-1] + b"x")
    with pytest.warns(SessionWarning, match="cannot be finished"), store.opened() as manager:
        assert content(manager) == store.before
    (aside,) = store.disk.glob("state/*/plan.*")
    assert aside.read_bytes() == data[:-1] + b"x"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with store.opened() as manager:
            manager.create_session("more")


def test_one_that_cannot_be_read_now_is_left(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: with too many open files a plan passed for damaged, and what it says was never written."""
    after = store.after(family)
    plan = leave(store)
    opened = files.open_with_status

    def none_left(path: str) -> tuple[int, os.stat_result]:
        if path == str(plan):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
        return opened(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "open_with_status", none_left)
        with pytest.warns(SessionWarning, match="cannot be finished now"), store.opened() as manager:
            manager.list_sessions()
    assert plan.exists()
    with store.opened() as manager:
        assert content(manager) == after
    assert not plan.exists()


def test_one_of_a_newer_version_is_refused(store: Store) -> None:
    """Reading works, with a warning; whatever writes raises, and the plan stays for that version."""
    plan = leave(store)
    _, _, rest = plan.read_bytes().partition(b"\n")
    _, _, body = rest.partition(b"\n")
    body = body.replace(b'"version":1', b'"version":2', 1)
    manager = store.opened()
    assert manager._engine is not None
    record = manager._engine.repo.machine.record
    with record.carry_out(hashlib.sha256(body).hexdigest().encode() + b"\n" + body):
        pass
    manager._autosave.stop()
    with pytest.warns(SessionWarning, match="cannot be finished now"):
        manager = store.opened()
    with manager:
        chat = manager.load_session("chat")
        chat.add_message(message(7))
        for write in (
            lambda: manager.save_session(chat),
            lambda: manager.create_session("more"),
            lambda: manager.rename_session("chat", "talk"),
            lambda: lines(manager),
        ):
            with pytest.raises(StoreFormatError, match="newer version"):
                write()
        for session in list(manager._sessions):
            session.reload()
    assert plan.exists()


def test_another_store_at_the_place(store: Store) -> None:
    """What was to be written is not written into it, and is kept aside."""
    leave(store)
    shutil.rmtree(store.disk / "store")
    with open_store(store.disk / "store", store.disk / "elsewhere", replica="other-00000000") as other:
        other.create_session("else")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with store.opened() as manager:
            assert set(content(manager)) == {"else"}
            manager.create_session("mine")
    assert any("another store" in str(each.message) for each in told)
    assert list(store.disk.glob("state/*/plan.*"))
    assert not list(store.disk.glob("state/*/plan"))


def test_a_store_that_was_copied_without_its_state(store: Store) -> None:
    """The copy is as far as the transaction got, and takes further saves; the store itself is finished."""
    after = store.after(family)
    leave(store)
    shutil.copytree(store.disk / "store", store.disk / "copy")
    with open_store(store.disk / "copy", store.disk / "copied", files=Files(durable=False)) as manager:
        assert content(manager) == store.before
        manager.create_session("more")
    assert store.read() == after


def test_what_a_tool_changed_meanwhile_stays(store: Store) -> None:
    """A ref that went on in another way is not written over: what was planned is beside it, with a warning."""
    plan = leave(store, lines)
    kept = plan.read_bytes()
    plan.unlink()
    with store.opened() as manager:
        session = manager.load_session("chat")
        session.add_message(message(77))
        manager.save_session(session)
    plan.write_bytes(kept)
    with pytest.warns(SessionWarning, match="list_sessions\\(\\) shows both"):
        found = store.read()
    sides = [messages[7:] for name, (messages, _, _) in found.items() if name.startswith("chat")]
    assert sorted(sides, key=str) == sorted([[message(77)], [message(60)]], key=str)
    assert found["beside"][0][2:] == [message(60)]
    assert not list(store.disk.glob("state/*/plan*"))


@pytest.mark.parametrize("is_recorded", [True, False])
def test_one_that_comes_back_does_nothing(store: Store, is_recorded: bool) -> None:
    """Where the plan comes back after all was done, and more, as from a backup of the state folder: all stays. So it
    does where the record of it is lost."""
    plan = leave(store)
    kept = plan.read_bytes()
    with store.opened() as manager:
        for name in ("chat", "child", "new", "renamed"):
            session = manager.load_session(name)
            session.add_message(message(77))
            manager.save_session(session)
        manager.load_session("new").clear_messages()
        manager.save_session(manager.load_session("new"))
        manager.rename_session("child", "children")
        manager.delete_session("beside")
        found = content(manager)
    plan.write_bytes(kept)
    if not is_recorded:
        shutil.rmtree(plan.parent / "own")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with store.opened() as manager:
            assert content(manager) == found
    assert not plan.exists()


def test_it_is_finished_by_one_of_many(store: Store) -> None:
    """Two managers that come at once finish it once, and each goes on."""
    after = store.after(lines)
    leave(store, lines)
    first, second = (store.opened() for _ in range(2))
    with first, second:
        assert content(first) == content(second) == after


def test_an_empty_block_finishes_it(store: Store) -> None:
    """A program that has the store open need not change anything for that."""
    after = store.after(lines)
    kept = leave(store, lines).read_bytes()
    (plan,) = store.disk.glob("state/*/plan")
    plan.unlink()
    with store.opened() as manager:
        manager.list_sessions()
        plan.write_bytes(kept)
        with manager.transaction():
            pass
        assert content(manager) == after
