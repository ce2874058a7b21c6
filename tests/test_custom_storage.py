"""A storage of one's own with the four methods of the API page, and nothing else: everything works with it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from storekit import message, say

from coda_fs_session import (
    InvalidMessageError,
    Preview,
    Session,
    SessionExistsError,
    SessionInfo,
    SessionManager,
    SessionNotFoundError,
    SessionStorage,
    SessionTooLargeError,
    StoreError,
    StoreStats,
)
from coda_fs_session.testing import SessionStorageTests


class DictStorage(SessionStorage):
    """Sessions as JSON text in a dict."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.damaged: set[str] = set()
        self.saves = 0

    def save(self, session: Session) -> None:
        self.saves += 1
        times = [session.created_at.isoformat(), session.updated_at.isoformat()]
        self.kept[session.name] = json.dumps([session.get_messages(), session.metadata, times])

    def load(self, name: str) -> Session | None:
        if name not in self.kept:
            return None
        if name in self.damaged:
            raise StoreError(f"{name} is damaged")
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
        for name, text in list(self.kept.items()):
            messages, metadata, (created, updated) = json.loads(text)
            times = datetime.fromisoformat(created), datetime.fromisoformat(updated)
            infos.append(SessionInfo(name, len(messages), *times, metadata, len(text), preview=Preview.of(messages)))
            if name in self.damaged:
                infos[-1].error = StoreError(f"{name} is damaged")
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
    """Return a manager over a storage, without autosave unless asked for."""
    return SessionManager({"session": {"autosave_interval": 0, **options}}, storage=storage)


class TestDict(SessionStorageTests):
    """Everything that the manager offers, over a storage that tells six fields of a session."""

    @pytest.fixture
    def storage(self) -> DictStorage:
        return DictStorage()

    def damage(self, storage: SessionStorage, name: str) -> None:
        assert isinstance(storage, DictStorage)
        storage.damaged.add(name)


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


def test_a_storage_that_keeps_nothing(tmp_path: Path) -> None:
    """Methods that return None, as on the API page, are an empty storage: nothing fails but what must be there."""
    manager = manage(NothingStorage())
    session = manager.create_session("chat")
    say(manager, session, 1)
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


def test_one_that_cannot_be_saved_does_not_keep_others_from_it() -> None:
    """Bug: an error that is none of ours ended `save_all`, and with it `close`, before the other sessions' turn."""

    class Fails(DictStorage):
        def save(self, session: Session) -> None:
            if session.name == "bad" and len(session):
                raise ConnectionError("gone")
            super().save(session)

    storage = Fails()
    manager = manage(storage)
    sessions = [manager.create_session(name) for name in ("bad", "good", "better")]
    for session in sessions:
        session.add_message(message(1))
    with pytest.raises(ConnectionError):
        manager.close()
    assert [session.has_unsaved_changes for session in sessions] == [True, False, False]


def test_a_watch_outlives_errors(caplog: pytest.LogCaptureFixture) -> None:
    """Bug: an error that is none of ours, while listing, ended the watch; now it is logged and tried again."""
    storage = DictStorage()
    manager = manage(storage)
    listing = storage.list_all
    failures = iter([ConnectionError("gone")])

    def list_all() -> list[SessionInfo]:
        for failure in failures:
            raise failure
        return listing()

    with manager.watch() as watch:
        storage.list_all = list_all  # type: ignore[method-assign]
        storage.save(Session("chat"))
        event = watch.next(timeout=20)
        assert event is not None
        assert (event.kind, event.name) == ("created", "chat")
    assert "cannot list the sessions" in caplog.text


def test_where_the_parent_is_noted() -> None:
    """In the metadata, under keys of the package's own; a user's other metadata stays as it is."""
    manager = manage(DictStorage())
    parent = manager.create_session("parent")
    parent.update_metadata({"topic": "tea"})
    branch = manager.create_session("branch", branch_from="parent")
    noted = {"topic": "tea", "coda_fs_session.branched_from": {"name": "parent", "at": 0}}
    assert (parent.metadata, branch.metadata) == ({"topic": "tea"}, noted)
    manager.rename_session("branch", "twig")
    assert branch.metadata == noted, "nothing was branched from it, so nobody needs to know its former name"
    manager.rename_session("parent", "renamed")
    assert parent.metadata == {"topic": "tea", "coda_fs_session.former_names": ["parent"]}
    assert manager.create_session("other", branch_from="renamed").metadata.keys() == noted.keys()


@pytest.mark.parametrize("value", [None, 1, "parent", {}, {"name": 1, "at": 1}, {"name": "parent", "at": "1"}])
def test_what_else_may_stand_there(value: object) -> None:
    """Somebody may have put anything under these keys; then nothing is known of a parent, and nothing fails."""
    storage = DictStorage()
    manager = manage(storage)
    metadata = {"coda_fs_session.branched_from": value, "coda_fs_session.former_names": value}
    manager.save_session(Session("chat", [], metadata))
    manager.create_session("parent")
    assert manage(storage).load_session("chat").parent is None
    assert [info.parent for info in manager.list_sessions()] == [None, None]
    with pytest.raises(SessionExistsError):
        manager.create_session("chat", branch_from="parent")
    assert len(manager.create_session("branch", branch_from="chat")) == 0
    manager.rename_session("chat", "renamed")
    assert manage(storage).create_session("branch", branch_from="renamed").parent == "chat"


def test_a_storage_that_tells_the_parent() -> None:
    """What the storage says itself is believed; the metadata only adds the fork point."""

    class Tells(DictStorage):
        def list_all(self) -> list[SessionInfo]:
            return [replace(info, parent="parent" if info.name == "branch" else None) for info in super().list_all()]

    manager = manage(Tells())
    parent = manager.create_session("parent")
    parent.messages = [message(1), message(2)]
    manager.create_session("branch", branch_from="parent", at=1)
    info = manager.get_session_info("branch")
    assert info is not None
    assert (info.parent, info.forked_at) == ("parent", 1)
    assert len(manager.create_session("branch", branch_from="parent", at=1)) == 1


def test_repr() -> None:
    """The repr names the storage."""
    assert repr(manage(DictStorage())) == "<SessionManager: DictStorage>"
