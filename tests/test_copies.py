"""Copies and pickles: of a session a detached one, of what stands for open files none at all."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from storekit import message, open_store, say

from coda_fs_session import Session, SessionExistsError, SessionManager, StoreReadOnlyError

BACKENDS = ["files", "memory", "sqlite"]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


COPIES: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, pickled]


@pytest.fixture(params=BACKENDS)
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> SessionManager:
    return open_store(tmp_path / "store", backend=request.param)


def opened(manager: SessionManager, *, live: bool) -> Session:
    """Return a session with saved and unsaved messages, loaded as a list or not."""
    session = manager.create_session("chat")
    session.update_metadata({"tags": ["a"]})
    say(manager, session, 1, 2)
    if live:
        assert len(session.messages) == 2
    session.add_message(message(3))
    return session


@pytest.mark.parametrize("live", [False, True], ids=["lines", "list"])
@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_a_session_holds_what_it_holds(
    manager: SessionManager, copied: Callable[[Any], Any], live: bool
) -> None:
    """A copy has all messages, the metadata and both times, is changed for itself, and is nobody's."""
    session = opened(manager, live=live)
    other = copied(session)
    assert other.get_messages() == [message(1), message(2), message(3)]
    assert (other.name, other.metadata) == ("chat", {"tags": ["a"]})
    assert (other.created_at, other.updated_at) == (session.created_at, session.updated_at)
    other.add_message(message(4))
    other.update_metadata({"more": 1})
    manager.save_all()
    assert (len(session), session.metadata) == (3, {"tags": ["a"]})
    assert (len(other), other.has_unsaved_changes) == (4, True)


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_is_saved_as_a_new_session(manager: SessionManager, copied: Callable[[Any], Any]) -> None:
    """While the name is taken saving a copy is refused; after a delete it creates the session."""
    other = copied(opened(manager, live=False))
    with pytest.raises(SessionExistsError):
        manager.save_session(other)
    manager.delete_session("chat")
    manager.save_session(other)
    assert manager.load_session("chat") is other
    assert not other.has_unsaved_changes
    other.add_message(message(4))
    manager.save_session(other)
    other.reload()
    assert len(other) == 4


def test_copy_shares_the_dicts_and_deepcopy_does_not(manager: SessionManager) -> None:
    """What `copy.copy` shares is edited in both; the lists, and all of a deep copy, are apart."""
    session = opened(manager, live=False)
    shallow, deep = copy.copy(session), copy.deepcopy(session)
    assert shallow.messages[0] is session.messages[0]
    assert shallow.messages is not session.messages
    assert deep.messages[0] is not session.messages[0]
    assert type(copy.deepcopy(session.messages)) is list
    assert type(copy.deepcopy(session.metadata)) is dict
    shallow.messages[0]["edited"] = True
    shallow.metadata["tags"].append("b")
    assert session.has_unsaved_changes
    manager.save_session(session)
    assert session.get_messages()[0] == {**message(1), "edited": True}
    assert (session.metadata, deep.metadata) == ({"tags": ["a", "b"]}, {"tags": ["a"]})


@pytest.mark.parametrize("copied", COPIES)
def test_what_cannot_be_saved_can_be_copied(manager: SessionManager, copied: Callable[[Any], Any]) -> None:
    """A copy is of what is there, be it something that JSON cannot hold; attributes that a program added go along."""
    session = manager.create_session("chat")
    session.messages.append({"when": {1, 2}})
    session.note = "mine"  # type: ignore[attr-defined]
    other = copied(session)
    assert (other.messages, other.note) == ([{"when": {1, 2}}], "mine")


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_a_partial_session_cannot_be_saved_either(tmp_path: Path, copied: Callable[[Any], Any]) -> None:
    """It lacks as many messages as the original, and must not pass for the session."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        session = manager.create_session("chat")
        for number in range(4):
            session.add_message(message(number, 70_000))
        manager.save_session(session)
    next(path for path in store.glob("objects/*/*")).unlink()
    with open_store(store) as manager:
        other = copied(manager.load_session("chat", partial=True))
        assert (len(other), other.missing) == (3, 1)
        with pytest.raises(StoreReadOnlyError):
            manager.save_session(other)


@pytest.mark.parametrize("copied", COPIES)
def test_what_is_open_is_not_copied(manager: SessionManager, copied: Callable[[Any], Any]) -> None:
    """Bug: a copy of a session got half-way to its open file, and closed the original's descriptor when it went. What
    was saved then came to stand in whatever file the program opened next."""
    session = opened(manager, live=False)
    storage: Any = manager._storage
    watch = manager.watch()
    for thing in (manager, storage, storage.repo, storage.repo.backend, storage.repo.machine, watch, manager._autosave):
        with pytest.raises(TypeError, match=f"{type(thing).__name__} cannot be copied"):
            copied(thing)
    watch.stop()
    gc.collect()
    say(manager, session, 4)
    assert len(session) == 4


@pytest.mark.parametrize("copied", COPIES)
def test_no_copy_closes_a_file(tmp_path: Path, copied: Callable[[Any], Any]) -> None:
    """Every object below a session and its manager is refused, or copied without a descriptor; the next save goes where
    the one before went."""
    store = tmp_path / "store"
    manager = open_store(store)
    session = manager.create_session("chat")
    say(manager, session, 1)
    backend: Any = manager._storage.repo.backend  # type: ignore[attr-defined]
    for thing in (*backend._open_refs._refs.values(), *backend._record._open.values(), backend._open_refs):
        with pytest.raises(TypeError, match="cannot be copied"):
            copied(thing)
    for thing in (session._state.copy, session._state.copy.source, vars(manager), vars(session)):
        with contextlib.suppress(TypeError):
            copied(thing)
    gc.collect()
    with open(tmp_path / "mine", "w+") as mine:
        say(manager, session, 2)
        assert mine.read() == ""
    assert open_store(store).load_session("chat").get_messages() == [message(1), message(2)]
