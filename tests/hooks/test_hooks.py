"""Hooks: in order, with copies, and an error in one changes nothing in memory or in the store."""

from __future__ import annotations

import copy
import gc
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, message, say, tree

from coda_fs_session import InvalidMessageError, PendingSave, Session, SessionHook, SessionManager, SessionTooLargeError

from .calls import Calls, Refused, Stamp, stored


def test_the_base_class_does_nothing(manager: SessionManager) -> None:
    """A hook with no method of its own is never called, and what it leaves is what was there."""
    manager.use(SessionHook())
    session = manager.create_session("chat")
    say(manager, session, 1)
    hook = SessionHook()
    assert hook.message_added(session, message(1)) is None
    hook.before_save(session, PendingSave([], {}))
    hook.after_load(session)
    assert stored(manager, "chat") == ([message(1)], {})


@pytest.mark.parametrize("thing", [object(), SessionHook, Stamp, print, None])
def test_what_is_no_hook_is_refused(manager: SessionManager, thing: object) -> None:
    """An object with none of the methods, or a class instead of an object, is a mistake that is told at once."""
    with pytest.raises(TypeError, match="raw_message, message_added, before_save, after_load"):
        manager.use(thing)


def test_order_and_removal(manager: SessionManager) -> None:
    """Hooks are called in the order of registration, each with what the one before left, until they are removed."""
    log: list[Any] = []
    session = manager.create_session("chat")
    first = manager.use(Calls("1 ", log))
    manager.use(Stamp())
    second = manager.use(Calls("2 ", log))
    session.add_message({"content": "a"})
    manager.save_session(session)
    added = {"content": "a", "seen": "1 ", "stamp": "chat"}
    assert log == [
        ("1 added", "chat", {"content": "a"}),
        ("2 added", "chat", added),
        ("1 save", "chat", [{**added, "seen": "2 "}]),
        ("2 save", "chat", [{**added, "seen": "2 ", "saved": True}]),
    ]
    first()
    first()
    session.add_message({"content": "b"})
    assert [entry[0] for entry in log[4:]] == ["2 added"]
    second()
    session.add_message({"content": "c"})
    assert len(log) == 5


def test_changes_are_in_memory_and_in_the_store(manager: SessionManager) -> None:
    """What hooks make of a message is what the session shows and what is stored, and a save leaves nothing unsaved."""
    manager.use(Stamp())
    session = manager.create_session("chat")
    given = {"content": "a"}
    session.add_message(given)
    assert given == {"content": "a"}
    assert session.get_messages() == [{"content": "a", "stamp": "chat"}]
    manager.save_session(session)
    expected = [{"content": "a", "stamp": "chat", "saved": True}], {"saves": 1}
    assert (session.get_messages(), session.metadata) == expected
    assert stored(manager, "chat") == expected
    assert not session.has_unsaved_changes


def test_a_save_of_nothing_calls_no_hook(manager: SessionManager) -> None:
    """Saving what is saved asks nobody and writes nothing; so a hook that adds something cannot keep a save busy."""
    session = manager.create_session("chat")
    session.messages.append(message(1))
    manager.save_session(session)
    manager.use(Stamp())
    manager.save_session(session)
    assert stored(manager, "chat") == ([message(1)], {})


def test_live_edits_are_seen(manager: SessionManager) -> None:
    """Appending to the list, editing, inserting and assigning are all shown before a save; identities stay."""
    session = manager.create_session("chat")
    say(manager, session, *range(5))
    hook = Calls()
    manager.use(hook)
    manager.use(Stamp())
    live = session.messages
    held = live[3]
    held["content"] = "edited"
    live.append({"content": "appended", "parts": [{"text": "x"}]})
    manager.save_session(session)
    shown = hook.log[-1][2]
    assert {"content": "appended", "parts": [{"text": "x"}]} in shown
    assert {**message(3), "content": "edited"} in shown
    assert session.messages is live
    assert live[3] is held
    assert held["saved"] is True
    assert stored(manager, "chat")[0] == live
    live.insert(0, {"content": "in front"})
    manager.save_session(session)
    assert live[0]["saved"] is True
    session.messages = [{"content": "all new"}]
    manager.save_session(session)
    assert stored(manager, "chat")[0] == [{"content": "all new", "saved": True}] == session.messages
    assert not session.has_unsaved_changes


def test_engines_show_only_what_changed(make: Opener) -> None:
    """The engine shows hooks the new and changed messages alone, so that a save of one costs one at any length."""
    manager = make()
    session = manager.create_session("chat")
    say(manager, session, *range(600))
    hook = Calls()
    manager.use(hook)
    say(manager, session, 600)
    assert hook.log[-1] == ("save", "chat", [{**message(600), "seen": ""}])
    session.messages[1]["content"] = "edited"
    manager.save_session(session)
    assert hook.log[-1][2] == [{**message(1), "content": "edited"}]


def test_hooks_may_add_and_drop_messages(manager: SessionManager) -> None:
    """`pending.messages` may have become longer, shorter or empty: that is stored and shown."""

    class OnlyEven:
        def before_save(self, session: Session, pending: PendingSave) -> None:
            pending.messages[:] = [each for each in pending.messages if each["n"] % 2 == 0]

    manager.use(OnlyEven())
    session = manager.create_session("chat")
    for n in range(5):
        session.add_message({"n": n})
    manager.save_session(session)
    assert stored(manager, "chat")[0] == session.get_messages() == [{"n": 0}, {"n": 2}, {"n": 4}]
    session.messages += [{"n": 7}, {"n": 8}]
    manager.save_session(session)
    assert stored(manager, "chat")[0] == session.messages == [{"n": 0}, {"n": 2}, {"n": 4}, {"n": 8}]
    session.messages.append({"n": 9})
    manager.save_session(session)
    assert not session.has_unsaved_changes
    assert len(stored(manager, "chat")[0]) == 4


def snapshot(session: Session, names: list[str]) -> tuple[Any, ...]:
    return copy.deepcopy((session.get_messages(), session.metadata, names, session.has_unsaved_changes))


def files_of(folder: Path) -> dict[str, Any]:
    """Return all files there but the index, which a listing may keep anew when some time has gone by."""
    return {name: each for name, each in tree(folder).items() if each[-1] is not None and "index" not in name}


WAYS: dict[str, Callable[[SessionManager, Session, Path], object]] = {
    "add": lambda manager, session, path: session.add_message(message(9)),
    "save": lambda manager, session, path: manager.save_session(session),
    "save all": lambda manager, session, path: manager.save_all(),
    "hand-made": lambda manager, session, path: manager.save_session(Session("other", [message(1)])),
    "branch": lambda manager, session, path: manager.create_session("other", branch_from="chat"),
    "import": lambda manager, session, path: manager.import_session(path, name="other"),
    "replace": lambda manager, session, path: manager.import_session(path, name="chat", on_exists="replace"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("live", [False, True])
def test_an_error_changes_nothing(manager: SessionManager, tmp_path: Path, way: str, live: bool) -> None:
    """An error in the second hook reaches the caller; neither what the first one did nor what was asked for is there.

    Afterwards, without the hook, the same call works.
    """
    session = manager.create_session("chat")
    say(manager, session, 1)
    exported = manager.export_session("chat", tmp_path / "chat.json")
    manager.use(Stamp())
    refusing = Calls()
    refusing.refuse = "added" if way == "add" else "save"
    remove = manager.use(refusing)
    if live:
        session.messages.append(message(2))
        session.metadata["topic"] = {"a": [1]}
    elif way != "add":
        refusing.refuse, before = "", refusing.refuse
        session.add_message(message(2))
        refusing.refuse = before
    names = sorted(info.name for info in manager.list_sessions())
    before_memory, before_store = snapshot(session, names), stored(manager, "chat")
    held = list(session.messages) if live else []
    files = files_of(tmp_path)
    with pytest.raises(Refused):
        WAYS[way](manager, session, exported)
    assert snapshot(session, sorted(info.name for info in manager.list_sessions())) == before_memory
    assert stored(manager, "chat") == before_store
    assert [id(each) for each in held] == [id(each) for each in session.messages[: len(held)]]
    assert files_of(tmp_path) == files
    remove()
    WAYS[way](manager, session, exported)


def test_close_saves_the_others(manager: SessionManager) -> None:
    """A hook that refuses one session keeps no other one from being saved by `close`, which then raises its error."""

    class NotThis:
        def before_save(self, session: Session, pending: PendingSave) -> None:
            if session.name == "1":
                raise Refused

    manager.use(NotThis())
    sessions = [manager.create_session(str(number)) for number in range(3)]
    for session in sessions:
        session.add_message(message(1))
    with pytest.raises(Refused):
        manager.close()
    assert [len(stored(manager, str(number))[0]) for number in range(3)] == [1, 0, 1]


def test_what_hooks_make_is_checked(manager: SessionManager) -> None:
    """A hook that returns what no message can be, or what makes the session too large, changes nothing either."""

    class Spoil:
        value: Any = None

        def message_added(self, session: Session, message: dict[str, Any]) -> Any:
            return self.value

        def before_save(self, session: Session, pending: PendingSave) -> None:
            pending.messages.append({"score": self.value})

    hook = Spoil()
    session = manager.create_session("chat")
    session.messages = [message(1)]
    manager.use(hook)
    hook.value = "text"
    with pytest.raises(TypeError, match="dict or None, not str"):
        session.add_message(message(2))
    hook.value = {"score": float("nan")}
    with pytest.raises(InvalidMessageError, match=r"messages\[1\].score"):
        session.add_message(message(2))
    hook.value = float("nan")
    with pytest.raises(InvalidMessageError, match=r"messages\[1\].score"):
        manager.save_session(session)
    session._state.limit = 10_000
    hook.value = "x" * 10_000
    with pytest.raises(SessionTooLargeError):
        manager.save_session(session)
    assert session.messages == [message(1)]
    assert stored(manager, "chat")[0] == []


def test_a_bad_message_reaches_no_hook(manager: SessionManager) -> None:
    """Hooks are shown JSON alone: what could not be stored is refused before."""
    hook = Calls()
    manager.use(hook)
    session = manager.create_session("chat")
    with pytest.raises(InvalidMessageError):
        session.add_message({"score": float("nan")})
    with pytest.raises(InvalidMessageError):
        session.add_message("text")  # type: ignore[arg-type]
    assert hook.log == []


def test_registered_twice(manager: SessionManager) -> None:
    """A hook that was registered twice is called twice, and each removal takes out one."""
    hook = Calls()
    removals = [manager.use(hook), manager.use(hook)]
    session = manager.create_session("chat")
    for expected in (2, 1, 0):
        hook.log.clear()
        session.add_message({})
        assert len(hook.log) == expected
        if removals:
            removals.pop()()


def test_autosave_calls_hooks_and_survives_them(manager: SessionManager, caplog: pytest.LogCaptureFixture) -> None:
    """Autosave goes by the hooks; an error in one is logged, the session kept, and saved once the hook agrees."""
    manager._autosave._interval = 3600
    hook = Calls()
    manager.use(hook)
    manager.use(Stamp())
    session = manager.create_session("chat")
    session.messages.append({"content": "a"})
    hook.refuse = "save"
    manager._autosave.save_all()
    assert "autosave of session 'chat' failed" in caplog.text
    assert session.get_messages() == [{"content": "a"}]
    del session
    gc.collect()
    hook.refuse = ""
    manager._autosave.save_all()
    assert stored(manager, "chat")[0] == [{"content": "a", "saved": True}]
    manager._autosave.stop()


def test_a_message_that_grows_meanwhile_loses_nothing(manager: SessionManager) -> None:
    """While hooks look at a message another thread adds to it: what it added is neither lost nor stored unseen."""
    session = manager.create_session("chat")
    session.messages.append({"content": "SECRET", "tokens": []})
    live = session.messages[0]

    class Slow:
        calls = 0

        def before_save(self, session: Session, pending: PendingSave) -> None:
            self.calls += 1
            if self.calls <= 2:
                # As if by another thread, which holds no lock for this.
                live["content"] += f" and SECRET {self.calls}"
                live["tokens"].append(self.calls)
                session.messages.insert(0, {"content": "SECRET in front"})
            for each in pending.messages:
                each["content"] = each["content"].replace("SECRET", "*")

    manager.use(Slow())
    manager.save_session(session)
    assert "SECRET" not in json.dumps(stored(manager, "chat"))
    assert session.messages[-1] is live
    manager.save_session(session)
    assert live == {"content": "* and * 1 and * 2", "tokens": [1, 2]}
    assert [each["content"] for each in stored(manager, "chat")[0]] == ["* in front"] * 2 + [live["content"]]


@pytest.mark.parametrize("way", ["added", "list", "in place"])
def test_threads(make: Opener, way: str) -> None:
    """A thread that says many things while others save: everything is stored, nothing of it without the hook."""
    manager = make()
    session = manager.create_session("chat")
    session.messages.append({"content": ""})

    class Stars:
        def before_save(self, session: Session, pending: PendingSave) -> None:
            for each in pending.messages:
                each["content"] = each["content"].replace("secret", "*")

    manager.use(Stars())
    done = threading.Event()
    failures: list[BaseException] = []

    def save() -> None:
        try:
            while not done.is_set():
                manager.save_session(session)
                assert "secret" not in json.dumps(stored(manager, "chat"))
        except BaseException as error:
            failures.append(error)

    savers = [threading.Thread(target=save) for _ in range(2)]
    for saver in savers:
        saver.start()
    live = session.messages
    for number in range(300):
        if way == "added":
            session.add_message({"content": f"secret {number}"})
        elif way == "list":
            live.append({"content": f"secret {number}"})
        else:
            live[0]["content"] += f"secret {number};"
    done.set()
    for saver in savers:
        saver.join()
    assert failures == []
    manager.save_session(session)
    text = "".join(each["content"] for each in stored(manager, "chat")[0])
    assert text.count("*") == 300
    assert "secret" not in text
