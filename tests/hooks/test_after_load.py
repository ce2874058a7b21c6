"""Hooks and what was loaded, sessions that were open before, and those of other managers."""

from __future__ import annotations

from pathlib import Path

import pytest
from storekit import Opener, message, open_store, say

from coda_fs_session import PendingSave, Session, SessionExistsError, SessionManager, SessionNotFoundError

from .calls import Calls, Refused, Stamp, stored, twin


def test_after_load(manager: SessionManager) -> None:
    """It is called when a session is opened, when others' changes come in, and on reload, but not for a new one."""
    hook = Calls()
    manager.use(hook)
    other = twin(manager)
    session = manager.create_session("new")
    assert hook.log == []
    theirs = other.create_session("theirs")
    say(other, theirs, 1)
    opened = manager.load_session("theirs")
    assert hook.log == [("load", "theirs", 1)]
    say(other, theirs, 2)
    assert manager.create_session("theirs") is opened
    assert hook.log[-1] == ("load", "theirs", 2)
    session.reload()
    assert hook.log[-1] == ("load", "new", 0)


def test_after_load_is_not_called_for_nothing(make: Opener) -> None:
    """Opening again what has not changed calls nobody."""
    manager = make()
    manager.create_session("chat")
    hook = Calls()
    manager.use(hook)
    session = manager.create_session("chat")
    say(manager, session, 1)
    hook.log.clear()
    assert manager.create_session("chat") is session
    assert hook.log == []


def test_after_load_may_change_and_refuse(manager: SessionManager) -> None:
    """What it changes is an unsaved change; what it refuses is not opened, and is asked about again the next time."""

    class Upgrade(Calls):
        def after_load(self, session: Session) -> None:
            super().after_load(session)
            for each in session.messages:
                each["version"] = 2

    other = twin(manager)
    theirs = other.create_session("chat")
    say(other, theirs, 1)
    before = stored(manager, "chat")
    hook = Upgrade()
    hook.refuse = "load"
    manager.use(hook)
    for _ in range(2):
        with pytest.raises(Refused):
            manager.load_session("chat")
    assert len(hook.log) == 2
    hook.refuse = ""
    session = manager.load_session("chat")
    assert session.has_unsaved_changes
    assert stored(manager, "chat") == before
    manager.save_session(session)
    assert stored(manager, "chat")[0][0]["version"] == 2


def test_a_refused_refresh_lets_go(manager: SessionManager) -> None:
    """An open session whose new state a hook refuses is let go of: who opens it again is told again."""
    other = twin(manager)
    opened, theirs = manager.create_session("chat"), other.load_session("chat")
    hook = Calls()
    manager.use(hook)
    say(other, theirs, 1)
    hook.refuse = "load"
    for _ in range(2):
        with pytest.raises(Refused):
            manager.load_session("chat")
    hook.refuse = ""
    again = manager.load_session("chat")
    assert again is not opened
    assert again.get_messages() == [message(1)]
    opened.add_message(message(2))
    with pytest.raises(SessionExistsError):
        manager.save_session(opened)


def test_open_sessions_and_new_ones(manager: SessionManager) -> None:
    """A hook is called for sessions that were open when it came, branches and renamed ones, but not deleted ones."""
    session = manager.create_session("chat")
    manager.use(Stamp())
    session.add_message({})
    assert session.messages == [{"stamp": "chat"}]
    manager.save_session(session)
    branch = manager.create_session("branch", branch_from="chat")
    branch.add_message({})
    assert branch.messages[-1] == {"stamp": "branch"}
    manager.rename_session("chat", "talk")
    session.add_message({})
    assert session.messages[-1] == {"stamp": "talk"}
    manager.delete_session("talk")
    session.add_message({})
    assert session.messages[-1] == {}
    with pytest.raises(SessionNotFoundError):
        manager.load_session("talk")
    manager.save_session(session)
    assert stored(manager, "talk")[0][-1] == {"saved": True}


def test_a_session_of_another_manager_is_shown_whole(tmp_path: Path) -> None:
    """What was loaded without hooks elsewhere and is stored here now goes by the hooks here, all of it."""
    first, second = open_store(tmp_path / "one"), open_store(tmp_path / "two")
    session = first.create_session("chat")
    say(first, session, *range(3))
    first.close()
    session = open_store(tmp_path / "one").load_session("chat")
    session.add_message(message(3))
    second.use(Stamp())
    second.save_session(session)
    assert stored(second, "chat")[0] == [{**message(n), "saved": True} for n in range(4)]


def test_a_save_elsewhere_that_fails_keeps_the_hooks(tmp_path: Path) -> None:
    """A manager without hooks that could not store a session of one with hooks has not taken them from it."""
    first, second = open_store(tmp_path / "one"), open_store(tmp_path / "two", max_session_size=0)
    first.use(Stamp())
    session = first.create_session("chat")
    second.create_session("chat")
    with pytest.raises(SessionExistsError):
        second.save_session(session)
    session.messages.append({"content": "a"})
    first.save_session(session)
    assert stored(first, "chat")[0] == [{"content": "a", "saved": True}]
    assert session._state.limit == first._config.max_session_bytes


def test_a_branch_of_fewer_messages(manager: SessionManager) -> None:
    """Where a hook drops unsaved messages of the parent, a branch at a later message has all that are left."""

    class DropAll:
        def before_save(self, session: Session, pending: PendingSave) -> None:
            pending.messages.clear()

    manager.use(DropAll())
    session = manager.create_session("chat")
    for number in range(4):
        session.add_message(message(number))
    branch = manager.create_session("branch", branch_from="chat", at=3)
    assert (branch.get_messages(), session.get_messages()) == ([], [])
