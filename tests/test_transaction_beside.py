"""A block of changes beside other managers, threads, hooks, bulk and the timer; and in other storages."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, fill, message, open_store, say
from test_custom_storage import DictStorage
from test_transaction import found, manager, texts

from coda_fs_session import (
    Session,
    SessionConflictError,
    SessionError,
    SessionExistsError,
    SessionManager,
    StoreReadOnlyError,
)

__all__ = ["manager"]

SHARED = pytest.mark.parametrize("backend", ["files", "sqlite"])


def test_times_are_those_that_were_given(manager: SessionManager) -> None:
    """As outside a block: of sessions, branches and saves."""
    then, later = datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)
    chat = manager.load_session("chat")
    chat.add_message(message(3))
    with manager.transaction() as change:
        change.create_session("new", created_at=then, updated_at=later)
        change.create_session("child", branch_from="chat", created_at=then, updated_at=later)
        change.save_session(chat, updated_at=later)
    for name in ("new", "child"):
        info = manager.get_session_info(name)
        assert info is not None
        assert (info.created, info.updated) == (then, later)
        assert (manager.load_session(name).created, manager.load_session(name).updated) == (then, later)
    assert chat.updated == later


@SHARED
@pytest.mark.parametrize("policy", [None, "append", "branch", "raise"])
def test_a_save_that_is_stale_by_the_end(tmp_path: Path, backend: str, policy: Any) -> None:
    """`on_conflict` decides as for a save outside; "raise" drops the whole block."""
    here, there = (open_store(tmp_path / "s", backend=backend) for _ in range(2))
    fill(here, "chat", 1)
    chat = here.load_session("chat")
    chat.add_message(message(1))

    def run() -> None:
        with here.transaction() as change:
            change.save_session(chat, on_conflict=policy)
            change.create_session("new")
            say(there, there.load_session("chat"), 2)

    if policy == "raise":
        with pytest.raises(SessionConflictError):
            run()
        assert sorted(found(here)) == ["chat"]
        assert chat.has_unsaved_changes
    elif policy == "branch":
        with pytest.warns(match="what you saved is now"):
            run()
        assert chat.name.startswith("chat~")
        assert here.load_session(chat.name) is chat
        assert sorted(found(here)) == ["chat", chat.name, "new"]
        assert found(here)[chat.name][0] == texts(0, 1)
        assert found(here)["chat"][0] == texts(0, 2)
    else:
        run()
        assert found(there) == {"chat": (texts(0, 2, 1), {}, None), "new": ([], {}, None)}
        assert [each["content"] for each in chat.get_messages()] == texts(0, 2, 1)
    here.close()
    there.close()


@SHARED
@pytest.mark.parametrize("theirs", ["message", "metadata", "delete"])
def test_an_expectation_holds_at_the_end(tmp_path: Path, backend: str, theirs: str) -> None:
    """Whatever another manager did to the session in the block is a conflict then, also where an append could go after
    it; nothing of the block is done. Where it did nothing, the block is done."""
    here, there = (open_store(tmp_path / "s", backend=backend) for _ in range(2))
    fill(here, "chat", 1)
    chat = here.load_session("chat")
    chat.add_message(message(1))
    other = there.load_session("chat")

    def change_it() -> None:
        if theirs == "delete":
            there.delete_session("chat")
        elif theirs == "metadata":
            other.update_metadata({"topic": "theirs"})
            there.save_session(other)
        else:
            say(there, other, 2)

    def run(*, disturbed: bool) -> None:
        with here.transaction() as change:
            change.create_session("new")
            change.save_session(chat, expected=chat.revision)
            if disturbed:
                change_it()

    with pytest.raises(SessionConflictError, match="expected"):
        run(disturbed=True)
    assert "new" not in here
    assert chat.has_unsaved_changes
    if theirs != "delete":
        chat.reload()
        chat.add_message(message(3))
        run(disturbed=False)
        assert found(there)["chat"][0][-1:] == texts(3)
    # What the test has left unsaved is of a session that is gone.
    here._autosave.stop()
    there.close()


@SHARED
def test_two_managers_that_swap_the_same_two(tmp_path: Path, backend: str) -> None:
    """Blocks of several managers and threads come one after the other: 2 x 20 transfers between two sessions, each of
    which takes a message out of one and adds one to the other, leave as many as there were."""
    managers = [open_store(tmp_path / "s", backend=backend) for _ in range(2)]
    for name in ("left", "right"):
        fill(managers[0], name, 60)
    errors: list[BaseException] = []

    def transfer(manager: SessionManager) -> None:
        try:
            done = 0
            while done < 20:
                source, target = (manager.load_session(name) for name in ("left", "right"))
                revisions = source.revision, target.revision
                source.drop_last()
                target.add_message(message(100 + len(target)))
                try:
                    with manager.transaction() as change:
                        change.save_session(source, expected=revisions[0])
                        change.save_session(target, expected=revisions[1])
                except SessionConflictError:
                    source.reload()
                    target.reload()
                else:
                    done += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=transfer, args=(manager,)) for manager in managers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert {name: len(each[0]) for name, each in found(managers[0]).items()} == {"left": 20, "right": 100}
    for each in managers:
        each.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no os.fork")
@SHARED
def test_a_fork_in_the_block(tmp_path: Path, backend: str) -> None:
    """The end of the block in the child is an error, and does nothing; the parent's does all of it."""
    with open_store(tmp_path / "s", backend=backend) as manager:
        fill(manager, "chat")
        status, child = -1, -1
        try:
            with manager.transaction() as change:
                change.create_session("new")
                change.delete_session("chat")
                child = os.fork()
        except SessionError as error:
            os._exit(7 if not child and "forked" in str(error) else 8)
        finally:
            if not child:
                os._exit(9)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == 7
        assert list(found(manager)) == ["new"]


def test_a_block_in_a_block_is_refused(manager: SessionManager) -> None:
    """The inner one is refused at once; another manager may have its own, and another thread too."""
    with manager.transaction() as change:
        with pytest.raises(SessionError, match="under way"), manager.transaction():
            raise AssertionError
        with pytest.raises(SessionError, match="under way"), change:
            raise AssertionError
        thread = threading.Thread(target=lambda: _make_one(manager, "of a thread"))
        thread.start()
        thread.join()
        assert "of a thread" in manager
        change.create_session("outer")
    assert "outer" in manager
    with pytest.raises(SessionError, match="is over"):
        change.create_session("late")


def _make_one(manager: SessionManager, name: str) -> None:
    with manager.transaction() as change:
        change.create_session(name)


def test_bulk_and_a_block(manager: SessionManager) -> None:
    """A block cannot end within bulk() of its thread: nothing of it is done. Bulk within a block is done at once."""

    def run() -> None:
        with manager.transaction() as change:
            change.create_session("new")
            manager.create_session("at once")

    with manager.bulk(), pytest.raises(SessionError, match="bulk"):
        run()
    assert "new" not in manager
    assert "at once" in manager
    with manager.transaction() as change:
        with manager.bulk():
            manager.create_session("bulk")
        change.create_session("new")
    assert "new" in manager
    assert "bulk" in manager


def test_the_timer_leaves_what_the_block_saves(make: Opener) -> None:
    """Autosave in the block saves other sessions, and those of the block after an error in it."""
    with make(autosave_interval=3600) as manager:
        fill(manager, "chat")
        fill(manager, "other")
        chat, other = manager.load_session("chat"), manager.load_session("other")
        chat.add_message(message(7))
        other.add_message(message(8))

        def run() -> None:
            with manager.transaction() as change:
                change.save_session(chat)
                manager._autosave.save_all()
                assert chat.has_unsaved_changes
                assert not other.has_unsaved_changes
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run()
        manager._autosave.save_all()
        assert not chat.has_unsaved_changes


def test_hooks_see_each_session_once_before_anything_is_written(manager: SessionManager) -> None:
    """`before_save` sees all that is stored; what it raises drops the block, with nothing of it done."""

    class Hook:
        def __init__(self) -> None:
            self.seen: list[str] = []
            self.fails = False

        def message_added(self, session: Session, message: dict[str, Any]) -> None:
            message["seen"] = True

        def before_save(self, session: Session, pending: Any) -> None:
            self.seen.append(session.name)
            pending.metadata["seen"] = True
            assert sorted(found(manager)) == ["chat", "old", "other"]
            if self.fails and session.name == "other":
                raise ZeroDivisionError

    hook = Hook()
    manager.use(hook)
    chat, other = manager.load_session("chat"), manager.load_session("other")
    for hook.fails in (True, False):
        chat.add_message(message(7))
        other.add_message(message(8))
        hook.seen.clear()
        try:
            with manager.transaction() as change:
                new = change.create_session("new")
                new.add_message(message(9))
                change.save_session(chat)
                change.save_session(other)
        except ZeroDivisionError:
            assert hook.fails
            assert sorted(found(manager)) == ["chat", "old", "other"]
    assert sorted(hook.seen) == ["chat", "new", "other"]
    assert new.get_messages()[0]["seen"]
    assert new.metadata == {"seen": True}
    assert all(metadata["seen"] for name, (_, metadata, _) in found(manager).items() if name != "old")


def test_a_session_of_another_manager(make: Opener, tmp_path: Path) -> None:
    """It is stored here, and belongs to this manager from then on; to the other one where the block is dropped."""
    here, there = make(), open_store(tmp_path / "other")
    fill(there, "chat")
    chat = there.load_session("chat")
    chat.add_message(message(7))

    def run() -> None:
        with here.transaction() as change:
            change.save_session(chat)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    there.save_session(chat)
    with here.transaction() as change:
        change.save_session(chat)
        change.create_session("new")
    assert here.load_session("chat") is chat
    assert len(found(here)["chat"][0]) == 4
    assert there.load_session("chat") is not chat
    here.close()
    there.close()


def test_read_only_and_empty(make: Opener) -> None:
    """A manager that is read_only refuses a block before it begins; an empty one does nothing."""
    with make() as manager, manager.transaction():
        pass
    with make() as manager:
        assert manager.list_sessions() == []
        with manager.transaction() as change:
            change.delete_session("nobody", missing_ok=True)
        fill(manager, "chat")
    with make(read_only=True) as manager, pytest.raises(StoreReadOnlyError):
        manager.transaction()


def test_a_fresh_store(make: Opener) -> None:
    """A block may be the first thing that is ever written."""
    with make() as manager:
        with manager.transaction() as change:
            change.create_session("one").add_message(message(1))
            change.create_session("two", branch_from="one")
        assert found(manager) == {"one": (texts(1), {}, None), "two": (texts(1), {}, "one")}


def test_a_storage_of_ones_own_gets_one_after_the_other() -> None:
    """All is done in order at the end of the block; an error says how many changes were made before it."""
    storage = DictStorage()
    manager = SessionManager(storage=storage)
    for name in ("chat", "old", "other"):
        fill(manager, name)
    chat = manager.load_session("chat")
    with manager.transaction() as change:
        child = change.create_session("child", branch_from="chat", at=1)
        child.add_message(message(9))
        chat.add_message(message(8))
        change.save_session(chat)
        change.rename_session("other", "another")
        change.delete_session("old")
        assert len(found(manager)) == 3
    assert {name: len(each[0]) for name, each in found(manager).items()} == {"chat": 4, "another": 3, "child": 2}
    assert manager.load_session("child") is child
    assert not child.has_unsaved_changes
    assert child.parent == "chat"

    def run() -> None:
        with manager.transaction() as change:
            change.delete_session("another")
            change.create_session("late")
            manager.create_session("late")

    with pytest.raises(SessionExistsError) as caught:
        run()
    assert "the first 1 were made" in caught.value.__notes__[0]
