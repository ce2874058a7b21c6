"""Messages through a session's own methods and its live list, over files and memory."""

from __future__ import annotations

from typing import Any

import pytest
from storekit import Opener, message, say

from coda_fs_session import (
    InvalidMessageError,
)


def test_get_messages_copies_the_last_ones(make: Opener) -> None:
    """`limit` counts from the end; copies are deep; 0 is none; negative is an error; before and after the live list."""
    manager = make()
    session = manager.create_session("chat")
    for number in range(5):
        session.add_message({"role": "user", "content": {"parts": [number]}})
    manager.save_session(session)
    for _ in range(2):
        texts = [each["content"]["parts"] for each in session.get_messages()]
        assert texts == [[0], [1], [2], [3], [4]]
        assert [each["content"]["parts"] for each in session.get_messages(limit=2)] == [[3], [4]]
        assert len(session.get_messages(99)) == 5
        assert session.get_messages(0) == []
        with pytest.raises(ValueError, match="-1"):
            session.get_messages(-1)
        session.get_messages()[0]["content"]["parts"].append("mine")
        assert session.get_messages()[0]["content"]["parts"] == [0]
        assert len(session.messages) == 5


def test_add_message_copies(make: Opener) -> None:
    """What is done to a message after it was added does not change the session."""
    session = make().create_session("chat")
    mine = {"role": "user", "content": ["a"]}
    session.add_message(mine)
    mine["content"].append("b")  # type: ignore[attr-defined]
    assert session.get_messages() == [{"role": "user", "content": ["a"]}]


def test_messages_is_a_live_list(make: Opener) -> None:
    """Every way to change a list is seen by the next save, exactly: types and key order included."""
    manager = make()
    session = manager.create_session("chat")
    say(manager, session, 0, 1, 2, 3, 4)
    session.messages[1]["content"] = "edited in place"
    session.messages.insert(0, {"n": 1})
    del session.messages[3:5]
    session.messages.append({"b": 1, "a": 0.0})
    expected = session.get_messages()
    manager.save_session(session)
    for change in ({"b": True, "a": 0.0}, {"b": 1.0, "a": 0.0}, {"b": 1, "a": -0.0}, {"a": 0.0, "b": 1}):
        assert not session.has_unsaved_changes
        session.messages[-1] = change
        assert session.has_unsaved_changes, change
        manager.save_session(session)
        expected[-1] = change
        fresh = session.get_messages()
        session.reload()
        assert repr(session.get_messages()) == repr(expected) == repr(fresh)


@pytest.mark.parametrize("through", ["list", "count"])
def test_truncate_and_clear(make: Opener, through: str) -> None:
    """`truncate_messages` keeps the last ones, 0 clears, more than there are changes nothing, negative is an error."""
    manager = make()
    session = manager.create_session("chat")
    say(manager, session, 0, 1, 2, 3)
    if through == "list":
        assert session.messages
    session.truncate_messages(9)
    assert not session.has_unsaved_changes
    with pytest.raises(ValueError, match="-1"):
        session.truncate_messages(-1)
    session.truncate_messages(2)
    assert session.get_messages() == [message(2), message(3)]
    say(manager, session, 4)
    session.truncate_messages(0)
    assert (len(session), session.get_messages()) == (0, [])
    say(manager, session, 5)
    session.reload()
    assert session.get_messages() == [message(5)]
    session.clear_messages()
    manager.save_session(session)
    session.reload()
    assert session.get_messages() == []


def test_messages_without_a_role(make: Opener) -> None:
    """A message is any JSON object."""
    manager = make()
    session = manager.create_session("chat")
    items: list[dict[str, Any]] = [
        {},
        {"": None},
        {"type": "function_call", "arguments": "{}"},
        {"\u00e9": [1, {"a": []}]},
    ]
    for item in items:
        session.add_message(item)
    manager.save_session(session)
    session.reload()
    assert session.get_messages() == items


def test_a_bad_value_in_the_list_is_refused_by_the_save(make: Opener) -> None:
    """A value that JSON cannot hold is named when saving; nothing is written, the memory stays, mending it saves."""
    manager = make()
    session = manager.create_session("chat")
    say(manager, session, 0)
    session.messages.append({"role": "user", "parts": [{"score": float("nan")}]})
    with pytest.raises(InvalidMessageError) as caught:
        manager.save_session(session)
    assert caught.value.value_path == "messages[1].parts[0].score"
    assert len(session) == 2
    assert session.has_unsaved_changes
    info = manager.get_session_info("chat")
    assert info is not None
    assert info.message_count == 1
    session.messages[1]["parts"] = []
    manager.save_session(session)
    session.reload()
    assert len(session) == 2


def test_after_an_edit_nothing_is_unsaved(make: Opener) -> None:
    """Bug: after a save that took messages out of the end of the ref, or replaced some, the session counted those it
    had before: it passed for changed, and the next save went wrong."""
    manager = make()
    session = manager.create_session("chat")
    for number in range(4):
        session.add_message(message(number))
    manager.save_session(session)
    del session.messages[1]
    for change in (lambda: None, lambda: session.messages.pop(0), lambda: session.messages[0].update(content="new")):
        change()
        manager.save_session(session)
        assert not session.has_unsaved_changes
    session.add_message(message(9))
    manager.save_session(session)
    expected = [{**message(2), "content": "new"}, message(3), message(9)]
    assert session.get_messages() == expected
    session.reload()
    assert session.get_messages() == expected
