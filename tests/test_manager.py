"""Opening, branching, deleting, renaming and closing, one promise a test, over files and memory."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, message, open_store, say

from coda_fs_session import (
    InvalidMessageError,
    Session,
    SessionConflictError,
    SessionExistsError,
    SessionNotFoundError,
)


def test_create_loads_what_exists(make: Opener) -> None:
    """`create_session` makes an empty session at once, and loads it when it is there; `load_session` only loads."""
    manager = make()
    with pytest.raises(SessionNotFoundError, match="nothing"):
        manager.load_session("nothing")
    session = manager.create_session("chat")
    assert [info.name for info in manager.list_sessions()] == ["chat"]
    assert manager.create_session("chat") is session
    assert manager.load_session("chat") is session
    assert "chat" in manager
    assert "nothing" not in manager


def test_a_session_tells_whether_it_is_stored(make: Opener) -> None:
    """It is from its first save on, until it is deleted; a copy in memory never was."""
    manager = make()
    session = Session("chat")
    assert not session.is_stored
    manager.save_session(session)
    assert session.is_stored
    manager.rename_session("chat", "other")
    assert session.is_stored
    manager.delete_session("other")
    assert not session.is_stored


def test_open_objects_are_held_weakly(make: Opener) -> None:
    """The registry keeps no session alive that its caller has let go of and that has nothing unsaved."""
    manager = make()
    say(manager, manager.create_session("chat"), 1)
    gc.collect()
    session = manager.load_session("chat")
    gone = weakref.ref(session)
    assert session.messages
    del session
    gc.collect()
    assert gone() is None
    assert manager.load_session("chat").get_messages() == [message(1)]


def test_a_clean_object_is_refreshed_when_opened_again(tmp_path: Path) -> None:
    """Another manager's save is seen at the next opening, in the same object and the same live list."""
    manager, other = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    session = manager.create_session("chat")
    live, metadata = session.messages, session.metadata
    theirs = other.create_session("chat")
    theirs.update_metadata({"topic": "tea"})
    say(other, theirs, 1, 2)
    assert session.get_messages() == []
    assert manager.create_session("chat") is session
    assert session.messages is live
    assert live == [message(1), message(2)]
    assert session.metadata is metadata
    assert metadata == {"topic": "tea"}
    assert not session.has_unsaved_changes


def test_a_dirty_object_is_not_refreshed(tmp_path: Path) -> None:
    """Unsaved changes survive opening again; the save puts them after the other's."""
    manager, other = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    session = manager.create_session("chat")
    session.add_message(message(9))
    say(other, other.create_session("chat"), 1)
    assert manager.create_session("chat") is session
    assert session.get_messages() == [message(9)]
    manager.save_session(session)
    assert session.get_messages() == [message(1), message(9)]


def test_reload_drops_unsaved_changes(make: Opener) -> None:
    """`reload` takes what is stored; without a manager, or once deleted, it says that there is nothing."""
    manager = make()
    session = manager.create_session("chat")
    say(manager, session, 1)
    session.add_message(message(2))
    session.update_metadata({"a": 1})
    session.reload()
    assert (session.get_messages(), session.metadata) == ([message(1)], {})
    assert not session.has_unsaved_changes
    with pytest.raises(Exception, match="not opened by a manager"):
        Session("other").reload()


def test_a_branch_again_is_the_same_branch(make: Opener) -> None:
    """A script with a branch in it can run twice; another parent, or another point, is refused."""
    manager = make()
    parent = manager.create_session("parent")
    say(manager, parent, 1, 2, 3)
    manager.create_session("other")
    branch = manager.create_session("branch", branch_from="parent", at=2)
    assert branch.get_messages() == [message(1), message(2)]
    assert branch.parent == "parent"
    say(manager, branch, 7)
    assert manager.create_session("branch", branch_from="parent") is branch
    assert manager.create_session("branch", branch_from="parent", at=2) is branch
    for arguments in ({"branch_from": "parent", "at": 1}, {"branch_from": "other"}):
        with pytest.raises(SessionExistsError):
            manager.create_session("branch", **arguments)  # type: ignore[arg-type]
    manager.rename_session("parent", "ancestor")
    assert manager.create_session("branch", branch_from="ancestor") is branch
    manager.delete_session("ancestor")
    assert manager.create_session("branch", branch_from="ancestor") is branch
    assert branch.get_messages() == [message(1), message(2), message(7)]


@pytest.mark.parametrize("at", [-1, 4, 1.0, True])
def test_a_branch_at_no_message(make: Opener, at: Any) -> None:
    """`at` is a message count of the parent; another number is a ValueError, and nothing is made."""
    manager = make()
    say(manager, manager.create_session("parent"), 1, 2, 3)
    with pytest.raises(ValueError, match="0 to 3"):
        manager.create_session("branch", branch_from="parent", at=at)
    with pytest.raises(ValueError, match="branch_from"):
        manager.create_session("branch", at=1)
    with pytest.raises(SessionNotFoundError):
        manager.create_session("branch", branch_from="nobody")
    assert [info.name for info in manager.list_sessions()] == ["parent"]


def test_a_branch_holds_what_the_open_parent_holds(make: Opener) -> None:
    """Unsaved messages and metadata of the parent are in the branch, and stay unsaved in the parent."""
    manager = make()
    parent = manager.create_session("parent")
    say(manager, parent, 1)
    parent.messages.append(message(2))
    parent.update_metadata({"topic": "tea"})
    branch = manager.create_session("branch", branch_from="parent")
    assert branch.get_messages() == [message(1), message(2)]
    assert branch.metadata == {"topic": "tea"}
    assert parent.has_unsaved_changes
    assert not branch.has_unsaved_changes
    info = manager.get_session_info("branch")
    assert info is not None
    assert (info.parent, info.forked_at) == ("parent", 2)


def test_delete(make: Opener) -> None:
    """Deleting what is not there is an error unless allowed; a branch of a deleted parent lives on."""
    manager = make()
    say(manager, manager.create_session("parent"), 1)
    branch = manager.create_session("branch", branch_from="parent")
    manager.delete_session("parent")
    assert [info.name for info in manager.list_sessions()] == ["branch"]
    assert branch.get_messages() == [message(1)]
    with pytest.raises(SessionNotFoundError):
        manager.delete_session("parent")
    manager.delete_session("parent", missing_ok=True)
    assert manager.get_session_info("parent") is None
    assert manager.create_session("parent").get_messages() == []


def test_a_deleted_session_is_stored_again_by_an_explicit_save(make: Opener) -> None:
    """The object survives its deletion; saving it makes the session anew, once."""
    manager = make()
    session = manager.create_session("chat")
    say(manager, session, 1)
    manager.delete_session("chat")
    session.add_message(message(2))
    manager.save_all()
    assert manager.list_sessions() == []
    manager.save_session(session)
    assert manager.load_session("chat") is session
    session.reload()
    assert session.get_messages() == [message(1), message(2)]


def test_a_delete_that_fails_lets_go_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: an open session with unsaved messages was no longer the manager's after its deletion had failed."""
    manager = open_store(tmp_path / "store")
    session = manager.create_session("chat")
    session.add_message(message(1))
    storage: Any = manager._storage

    def fail(name: str) -> None:
        raise SessionConflictError("not now")

    monkeypatch.setattr(storage, "delete", fail)
    with pytest.raises(SessionConflictError):
        manager.delete_session("chat")
    assert manager.create_session("chat") is session
    manager.save_all()
    assert len(open_store(tmp_path / "store").load_session("chat")) == 1


def test_rename(make: Opener) -> None:
    """The open object follows, with what it has unsaved; the old name is free, a taken one is refused."""
    manager = make()
    session = manager.create_session("old")
    say(manager, session, 1)
    session.add_message(message(2))
    manager.create_session("taken")
    with pytest.raises(SessionExistsError):
        manager.rename_session("old", "taken")
    with pytest.raises(SessionNotFoundError):
        manager.rename_session("nobody", "new")
    manager.rename_session("old", "new")
    assert session.name == "new"
    assert manager.load_session("new") is session
    assert "old" not in manager
    manager.save_session(session)
    assert manager.create_session("old").get_messages() == []
    session.reload()
    assert session.get_messages() == [message(1), message(2)]
    manager.rename_session("new", "new")


def test_saving_a_session_that_nobody_opened(make: Opener) -> None:
    """A session made by hand is created by its first save, and refused where the name is taken."""
    manager = make()
    session = Session("chat", [message(1)], {"a": 1})
    manager.save_session(session)
    assert manager.load_session("chat") is session
    with pytest.raises(SessionExistsError):
        manager.save_session(Session("chat", [message(2)]))
    with pytest.raises(TypeError):
        manager.save_session({"name": "chat"})  # type: ignore[arg-type]
    say(manager, session, 3)
    session.reload()
    assert session.get_messages() == [message(1), message(3)]


def test_a_session_moves_to_the_manager_that_saves_it(tmp_path: Path) -> None:
    """Bug: the first manager went on to hand out, and to save, an object that stood for the other's session."""
    first, second = open_store(tmp_path / "first"), open_store(tmp_path / "second")
    session = first.create_session("chat")
    say(first, session, 1)
    second.save_session(session)
    say(second, session, 2)
    session.add_message(message(3))
    assert first.create_session("chat") is not session
    assert first.create_session("chat").get_messages() == [message(1)]
    first.close()
    second.close()
    assert len(open_store(tmp_path / "second").load_session("chat")) == 3
    assert len(open_store(tmp_path / "first").load_session("chat")) == 1


def test_save_all_saves_the_others_too(make: Opener) -> None:
    """One session that cannot be saved keeps none of the others from it; its error comes at the end."""
    manager = make()
    sessions = [manager.create_session(name) for name in "abc"]
    for session in sessions:
        session.messages.append(message(1))
    sessions[1].messages.append({"bad": float("inf")})
    with pytest.raises(InvalidMessageError, match=r"messages\[1\].bad"):
        manager.save_all()
    counts = {info.name: info.message_count for info in manager.list_sessions()}
    assert counts == {"a": 1, "b": 0, "c": 1}
    assert [session.has_unsaved_changes for session in sessions] == [False, True, False]


def test_a_closed_manager_can_be_used_again(make: Opener) -> None:
    """`close` releases what is held open, saves first, and may come twice; later work opens it again."""
    manager = make()
    session = manager.create_session("chat")
    session.add_message(message(1))
    manager.close()
    assert not session.has_unsaved_changes
    manager.close()
    say(manager, session, 2)
    assert len(manager.load_session("chat").get_messages()) == 2


def test_listing_is_newest_first_then_by_name(make: Opener) -> None:
    """Equal times are ordered by name."""
    manager = make()
    moment = datetime(2024, 5, 17, 12, 30)
    for name, minutes in (("b", 1), ("a", 1), ("old", 0), ("new", 2)):
        changed = moment + timedelta(minutes=minutes)
        manager.save_session(Session(name, created_at=moment, updated_at=changed))
    assert [info.name for info in manager.list_sessions()] == ["new", "a", "b", "old"]


@pytest.mark.parametrize("moment", [datetime.min, datetime.max, datetime(1, 6, 1, tzinfo=UTC)])
def test_times_that_have_no_local_time(moment: datetime) -> None:
    """A time that could be written and then not be shown in every zone is refused."""
    with pytest.raises(ValueError, match="cannot be stored"):
        Session("chat", created_at=moment)
    with pytest.raises(ValueError, match="cannot be stored"):
        Session("chat", updated_at=moment)


def test_reprs(tmp_path: Path) -> None:
    """A repr says what it is and where, and prints no conversation."""
    manager = open_store(tmp_path / "store")
    assert repr(manager) == f"<SessionManager: files at {str(tmp_path / 'store')!r}>"
    session = manager.create_session("chat")
    session.add_message({"content": "secret"})
    assert repr(session) == "<Session 'chat': 1 messages>"
    assert bool(manager.create_session("empty"))
