"""`raw_message` and `MakeStorable`: what JSON refuses is brought into another form before anything else looks at it."""

from __future__ import annotations

import warnings
from datetime import date
from typing import Any

import pytest

from coda_fs_session import (
    Change,
    InvalidMessageError,
    MakeStorable,
    Redact,
    Session,
    SessionManager,
    SessionWarning,
)

from .calls import Calls, Refused, stored


class Model:
    """What a client of a provider returns."""

    def model_dump(self) -> dict[str, Any]:
        return {"role": "assistant", "content": "hi"}


def test_without_a_hook_it_is_refused(manager: SessionManager) -> None:
    """`add_message` and a save are as strict as ever, and nothing is changed by what they refuse."""
    manager.use(Calls())
    session = manager.create_session("chat")
    with pytest.raises(InvalidMessageError, match="date"):
        session.add_message({"on": date(2024, 5, 1)})
    session.messages.append({"on": date(2024, 5, 1)})
    with pytest.raises(InvalidMessageError, match=r"messages\[0\].on"):
        manager.save_session(session)
    assert session.messages == [{"on": date(2024, 5, 1)}]


def test_added_messages(manager: SessionManager) -> None:
    """A message is added in the form that can be stored; the caller's own stays, and the function is told."""
    told: list[tuple[str, list[Change]]] = []
    manager.use(MakeStorable(lambda session, changes: told.append((session.name, changes))))
    session = manager.create_session("chat")
    given = {"content": "a", "on": date(2024, 5, 1), "share": [float("nan")]}
    session.add_message(given)
    session.add_message({"content": "plain"})
    session.add_message(Model())  # type: ignore[arg-type]
    manager.save_session(session)
    assert given["on"] == date(2024, 5, 1)
    assert stored(manager, "chat")[0] == [
        {"content": "a", "on": "2024-05-01", "share": ["nan"]},
        {"content": "plain"},
        {"role": "assistant", "content": "hi"},
    ]
    assert [(name, [change.path for change in changes]) for name, changes in told] == [
        ("chat", ["message.on", "message.share[0]"]),
        ("chat", ["message"]),
    ]


@pytest.mark.parametrize("thing", [None, "text", 7, ["a"]])
def test_what_is_no_message(manager: SessionManager, thing: Any) -> None:
    """What is no dict even in a form that can be stored is refused as ever."""
    manager.use(MakeStorable())
    session = manager.create_session("chat")
    with pytest.raises(InvalidMessageError):
        session.add_message(thing)
    assert len(session) == 0


def test_messages_in_the_live_list(manager: SessionManager) -> None:
    """What was put into the list is brought into form by the save; dicts that others hold stay the same, others too."""
    manager.use(MakeStorable(lambda session, changes: None))
    session = manager.create_session("chat")
    session.add_message({"content": "a"})
    manager.save_session(session)
    held: dict[str, Any] = {"content": "b", "took": (1, 2)}
    plain = {"content": "c"}
    session.messages.extend([held, plain, Model()])  # type: ignore[list-item]
    session.messages[0]["ids"] = {3}
    manager.save_session(session)
    assert session.messages[1] is held
    assert session.messages[2] is plain
    assert held == {"content": "b", "took": [1, 2]}
    assert stored(manager, "chat")[0] == session.messages
    assert session.messages[0] == {"content": "a", "ids": [3]}
    assert session.messages[3] == {"role": "assistant", "content": "hi"}
    assert not session.has_unsaved_changes


def test_a_branch_of_what_is_unsaved(manager: SessionManager) -> None:
    """A branch takes over unsaved messages, in the form that can be stored."""
    manager.use(MakeStorable(lambda session, changes: None))
    session = manager.create_session("chat")
    session.messages.append({"took": (1, 2)})
    branch = manager.create_session("branch", branch_from="chat")
    assert branch.get_messages() == stored(manager, "branch")[0] == [{"took": [1, 2]}]


def test_a_session_that_is_not_open(manager: SessionManager) -> None:
    """One that the program made, and filled with what cannot be stored, can be saved too."""
    manager.use(MakeStorable(lambda session, changes: None))
    session = Session("chat")
    session.messages.append({"took": (1, 2)})
    manager.save_session(session)
    assert stored(manager, "chat")[0] == [{"took": [1, 2]}]


def test_it_comes_first(manager: SessionManager) -> None:
    """Other hooks see what came out of it, in whatever order they were registered."""
    log: list[Any] = []
    manager.use(Calls("", log))
    manager.use(Redact("sk-[a-z]+"))
    manager.use(MakeStorable(lambda session, changes: None))
    session = manager.create_session("chat")
    session.add_message({"keys": ("sk-abc",)})
    assert log[0] == ("added", "chat", {"keys": ["sk-abc"]})
    assert session.messages[0]["keys"] == ["[redacted]"]
    session.messages.append({"keys": ("sk-abc",)})
    manager.save_session(session)
    assert stored(manager, "chat")[0][1] == {"keys": ["[redacted]"]}


def test_a_warning_where_nobody_is_told(manager: SessionManager) -> None:
    """Without a function there is a warning that says what became of what; where that is an error, a line on stderr."""
    manager.use(MakeStorable())
    session = manager.create_session("chat")
    with pytest.warns(SessionWarning, match="tuple as a list"):
        session.add_message({"took": (1, 2)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.add_message({"took": (1, 2)})
        session.add_message({"took": [1, 2]})
    assert session.get_messages() == [{"took": [1, 2]}] * 3


def test_hooks_that_raise_or_answer_wrongly(manager: SessionManager) -> None:
    """What a hook raises goes to the caller, and nothing has changed; it returns a dict that can be stored, or None."""

    class Hook:
        answer: Any = None

        def raw_message(self, session: Session, message: Any) -> Any:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    hook = Hook()
    manager.use(hook)
    session = manager.create_session("chat")
    session.messages.append({"took": (1, 2)})
    for answer, error in (
        (Refused(), Refused),
        ("text", TypeError),
        ({"x": (1,)}, InvalidMessageError),
        (None, InvalidMessageError),
    ):
        hook.answer = answer
        with pytest.raises(error):
            session.add_message({"took": (3,)})
        with pytest.raises(error):
            manager.save_session(session)
        assert session.messages == [{"took": (1, 2)}]
    hook.answer = {"x": 1}
    manager.save_session(session)
    assert stored(manager, "chat")[0] == [{"x": 1}]


def test_autosave_saves_it_too(manager: SessionManager) -> None:
    """`save_all`, autosave and the end of a block go the same way."""
    manager.use(MakeStorable(lambda session, changes: None))
    session = manager.create_session("chat")
    session.messages.append({"took": (1, 2)})
    manager.save_all()
    assert stored(manager, "chat")[0] == [{"took": [1, 2]}]
