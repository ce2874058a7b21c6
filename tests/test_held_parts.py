"""Messages and metadata that a program holds while what is stored changes: they stay those of the session."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from storekit import message, open_store, say
from test_custom_storage import DictStorage

from coda_fs_session import Session, SessionManager

Pair = tuple[SessionManager, SessionManager]


@pytest.fixture(params=["files", "sqlite", "custom"])
def managers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Two managers on one store."""
    if request.param == "custom":
        storage = DictStorage()
        pair = SessionManager(storage=storage), SessionManager(storage=storage)
    else:
        store = tmp_path / "store"
        pair = open_store(store, backend=request.param), open_store(store, backend=request.param)
    yield pair
    for manager in pair:
        manager.close()


def opened(managers: Pair, count: int = 3) -> tuple[Session, Session]:
    session = managers[0].create_session("chat")
    session.metadata["deep"] = {"list": [1]}
    say(managers[0], session, *range(count))
    return session, managers[1].load_session("chat")


@pytest.mark.parametrize("count", [3, 256, 300])
@pytest.mark.parametrize("how", ["load", "reload"])
def test_what_is_as_it_was_stays_the_same_objects(managers: Pair, how: str, count: int) -> None:
    """Bug: a message taken out of a session was no part of it any more once the session had been brought to a newer
    state, and an edit of it was lost. Only what changed is replaced."""
    session, other = opened(managers, count)
    held = list(session.messages)
    other.messages[1]["edited"] = "there"
    say(managers[1], other, 1000)
    if how == "load":
        assert managers[0].load_session("chat") is session
    else:
        session.reload()
    assert len(session) == count + 1
    assert [a is b for a, b in zip(held, session.messages, strict=False)] == [n != 1 for n in range(count)]
    held[0]["edited"] = "here"
    assert session.has_unsaved_changes
    managers[0].save_session(session)
    other.reload()
    expected = [message(n) for n in [*range(count), 1000]]
    expected[0]["edited"], expected[1]["edited"] = "here", "there"
    assert other.get_messages() == expected


def test_messages_stay_through_a_save_beside_another(tmp_path: Path) -> None:
    """A save that is appended after another's keeps what the program holds, before the other's messages and after."""
    managers = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    session, other = opened(managers)
    tags = session.metadata["deep"]["list"]
    session.messages.append(message(5))
    held = list(session.messages)
    say(managers[1], other, 4)
    managers[0].save_session(session)
    assert [each["content"] for each in session.messages] == [f"message {n} " for n in (0, 1, 2, 4, 5)]
    assert [a is b for a, b in zip(held, [*session.messages[:3], session.messages[4]], strict=True)] == [True] * 4
    assert not session.has_unsaved_changes
    held[3]["edited"] = True
    tags.append(2)
    managers[0].save_session(session)
    other.reload()
    assert other.get_messages()[4] == {**message(5), "edited": True}
    assert other.metadata["deep"] == {"list": [1, 2]}


def test_metadata_that_is_as_it_was_stays(tmp_path: Path) -> None:
    """Of a newer state, keys that did not change keep their objects."""
    managers = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    session, other = opened(managers)
    held = session.metadata["deep"]
    other.metadata["new"] = 1
    managers[1].save_session(other)
    session.reload()
    assert session.metadata["deep"] is held
    assert session.metadata == {"deep": {"list": [1]}, "new": 1}


def test_equal_is_not_the_same(tmp_path: Path) -> None:
    """A 1 in place of True, and another order of keys, are changes."""
    managers = open_store(tmp_path / "store"), open_store(tmp_path / "store")
    session = managers[0].create_session("chat")
    values: list[dict[str, Any]] = [{"a": True}, {"a": 1, "b": 2}, {"a": 0.0}]
    session.messages = copy.deepcopy(values)
    managers[0].save_session(session)
    other = managers[1].load_session("chat")
    other.messages = [{"a": 1}, {"b": 2, "a": 1}, {"a": -0.0}]
    managers[1].save_session(other)
    session.reload()
    assert [repr(each) for each in session.messages] == [repr(each) for each in other.messages]
