"""A storage of one's own with the four methods of the API page, and nothing else: everything works with it."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from storekit import message

from coda_fs_session import (
    InvalidMessageError,
    Session,
    SessionExistsError,
    SessionInfo,
    SessionManager,
    SessionNotFoundError,
    SessionStorage,
    SessionTooLargeError,
    StoreStats,
)


class DictStorage(SessionStorage):
    """Sessions as JSON text in a dict."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.saves = 0

    def save(self, session: Session) -> None:
        self.saves += 1
        times = [session.created_at.isoformat(), session.updated_at.isoformat()]
        self.kept[session.name] = json.dumps([session.get_messages(), session.metadata, times])

    def load(self, name: str) -> Session | None:
        if name not in self.kept:
            return None
        messages, metadata, (created, updated) = json.loads(self.kept[name])
        return Session(
            name,
            messages,
            metadata,
            created_at=datetime.fromisoformat(created),
            updated_at=datetime.fromisoformat(updated),
        )

    def delete(self, name: str) -> None:
        del self.kept[name]

    def list_all(self) -> list[SessionInfo]:
        infos = []
        for name, text in self.kept.items():
            messages, metadata, (created, updated) = json.loads(text)
            times = datetime.fromisoformat(created), datetime.fromisoformat(updated)
            infos.append(SessionInfo(name, len(messages), *times, metadata, len(text)))
        return infos


class NothingStorage(SessionStorage):
    """What the API page shows: each method is `pass`."""

    def save(self, session: Session) -> None:
        pass

    def load(self, name: str) -> Session | None:
        pass

    def delete(self, name: str) -> None:
        pass

    def list_all(self) -> list[SessionInfo]:  # type: ignore[empty-body]
        pass


def manage(storage: SessionStorage, **options: Any) -> SessionManager:
    return SessionManager({"session": {"autosave_interval": 0, **options}}, storage=storage)


def test_create_save_load() -> None:
    """A session is stored when created and when saved, comes back in another manager, and is one object in this."""
    storage = DictStorage()
    manager = manage(storage)
    session = manager.create_session("chat")
    assert list(storage.kept) == ["chat"]
    session.add_message(message(1))
    session.messages.append(message(2))
    session.update_metadata({"topic": "tea"})
    assert session.has_unsaved_changes
    manager.save_session(session)
    assert not session.has_unsaved_changes
    assert manager.create_session("chat") is session
    other = manage(storage).load_session("chat")
    assert (other.get_messages(), other.metadata) == ([message(1), message(2)], {"topic": "tea"})
    assert (other.created_at, other.updated_at) == (session.created_at, session.updated_at)
    assert not other.has_unsaved_changes
    assert "chat" in manager
    assert "other" not in manager
    with pytest.raises(SessionNotFoundError):
        manager.load_session("other")


def test_a_clean_object_is_refreshed() -> None:
    """Opening again shows what another manager saved, and moves no time."""
    storage = DictStorage()
    manager, other = manage(storage), manage(storage)
    session = manager.create_session("chat")
    theirs = other.create_session("chat")
    theirs.add_message(message(1))
    theirs.update_metadata({"a": 1})
    other.save_session(theirs)
    time.sleep(0.001)
    assert manager.create_session("chat") is session
    assert (session.get_messages(), session.metadata) == ([message(1)], {"a": 1})
    assert session.updated_at == theirs.updated_at
    assert not session.has_unsaved_changes
    session.add_message(message(2))
    session.reload()
    assert session.get_messages() == [message(1)]


def test_branch_rename_delete_list() -> None:
    """The verbs that a storage need not have are made of the four."""
    storage = DictStorage()
    manager = manage(storage)
    parent = manager.create_session("parent")
    for number in range(3):
        parent.add_message(message(number))
    manager.save_session(parent)
    branch = manager.create_session("branch", branch_from="parent", at=2)
    assert branch.get_messages() == [message(0), message(1)]
    assert branch.parent == "parent"
    with pytest.raises(SessionExistsError):
        manager.rename_session("branch", "parent")
    manager.rename_session("branch", "twig")
    assert branch.name == "twig"
    assert manager.load_session("twig") is branch
    assert branch.parent == "parent"
    assert sorted(storage.kept) == ["parent", "twig"]
    assert sorted(info.name for info in manager.list_sessions()) == ["parent", "twig"]
    info = manager.get_session_info("twig")
    assert info is not None
    assert info.message_count == 2
    stats = manager.stats()
    assert stats == StoreStats(2, 5, sum(each.size_bytes for each in manager.list_sessions()))
    manager.delete_session("parent")
    assert list(storage.kept) == ["twig"]
    with pytest.raises(SessionNotFoundError):
        manager.delete_session("parent")
    parent.add_message(message(9))
    manager.save_session(parent)
    assert sorted(storage.kept) == ["parent", "twig"]
    with pytest.raises(SessionExistsError):
        manager.save_session(Session("parent"))


def test_what_cannot_be_saved_never_reaches_the_storage() -> None:
    """Bad values and too much are refused before `save` is called: a storage need not check."""
    storage = DictStorage()
    manager = manage(storage, max_session_size=500 / 2**20)
    session = manager.create_session("chat")
    before = (dict(storage.kept), storage.saves)
    with pytest.raises(SessionTooLargeError):
        session.add_message(message(1, 600))
    for value, error in ((message(1, 600), SessionTooLargeError), ({"n": float("nan")}, InvalidMessageError)):
        session.messages.append(value)
        with pytest.raises(error):
            manager.save_session(session)
        assert session.messages.pop() is value
    session.metadata["when"] = datetime.now()
    with pytest.raises(InvalidMessageError, match=r"metadata\.when"):
        manager.save_session(session)
    assert (storage.kept, storage.saves) == before


def test_export_and_import(tmp_path: Path) -> None:
    """Sessions go out to a file and come back in, between storages."""
    manager = manage(DictStorage())
    session = manager.create_session("chat")
    session.add_message(message(1))
    manager.save_session(session)
    path = manager.export_session("chat", tmp_path / "chat.json")
    other = manage(DictStorage())
    assert other.import_session(path).get_messages() == [message(1)]
    with SessionManager({"session": {"backend": "memory"}}) as memory:
        assert memory.import_session(path).created_at == session.created_at


def test_saving_at_the_end() -> None:
    """`with` and autosave do with a storage of one's own as with any other."""
    storage = DictStorage()
    with manage(storage) as manager:
        session = manager.create_session("chat")
        session.messages.append(message(1))
    assert json.loads(storage.kept["chat"])[0] == [message(1)]
    manager = manage(storage, autosave_interval=1000)
    manager.create_session("chat").add_message(message(2))
    manager._autosave.save_all()
    assert json.loads(storage.kept["chat"])[0] == [message(1), message(2)]


def test_a_storage_that_keeps_nothing(tmp_path: Path) -> None:
    """Methods that return None, as on the API page, are an empty storage: nothing fails but what must be there."""
    manager = manage(NothingStorage())
    session = manager.create_session("chat")
    session.add_message(message(1))
    manager.save_session(session)
    assert session.get_messages() == [message(1)]
    assert manager.list_sessions() == []
    assert manager.get_session_info("chat") is None
    assert manager.stats() == StoreStats(0, 0, 0)
    assert "chat" not in manager
    with pytest.raises(SessionNotFoundError):
        manager.delete_session("chat")
    manager.delete_session("chat", missing_ok=True)
    with pytest.raises(SessionNotFoundError):
        manager.rename_session("chat", "other")
    with pytest.raises(SessionNotFoundError):
        manager.export_session("chat", tmp_path / "chat.json")
    manager.close()


def test_its_errors_come_through() -> None:
    """An error of the storage's own reaches the caller as it is, and the session stays to be saved again."""

    class Fails(DictStorage):
        broken = False

        def save(self, session: Session) -> None:
            if self.broken:
                raise ConnectionError("gone")
            super().save(session)

    storage = Fails()
    manager = manage(storage)
    session = manager.create_session("chat")
    session.add_message(message(1))
    storage.broken = True
    with pytest.raises(ConnectionError):
        manager.save_session(session)
    assert session.has_unsaved_changes
    storage.broken = False
    manager.save_session(session)
    assert json.loads(storage.kept["chat"])[0] == [message(1)]


def test_repr() -> None:
    """The repr names the storage."""
    assert repr(manage(DictStorage())) == "<SessionManager: DictStorage>"
