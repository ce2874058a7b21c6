"""Tests of what the manager makes of a storage: everything that it offers works with any."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ...errors import (
    InvalidMessageError,
    SessionError,
    SessionExistsError,
    SessionNotFoundError,
    SessionTooLargeError,
)
from ...manager.manager import SessionManager
from ...session.info import Preview
from ...session.session import Session
from ...storage import SessionStorage
from .storage_case import MESSAGES, StorageCase, exact

_PATIENCE = 30.0


class ManagerTests(StorageCase):
    """A manager over the storage does what it does over files."""

    def test_create_save_and_load(self, storage: SessionStorage) -> None:
        """A session is kept from when it is created, one object in this manager, and the same in another."""
        manager = self.manage(storage)
        chat = manager.create_session("chat")
        assert "chat" in manager
        assert "other" not in manager
        for message in MESSAGES:
            chat.add_message(message)
        chat.update_metadata({"topic": "tea"})
        assert unsaved(chat)
        manager.save_session(chat)
        assert not unsaved(chat)
        assert manager.create_session("chat") is chat
        other = self.manage(storage).load_session("chat")
        assert exact(other.get_messages()) == exact(MESSAGES)
        assert other.metadata == {"topic": "tea"}
        assert (other.created_at, other.updated_at) == (chat.created_at, chat.updated_at)
        assert not unsaved(other)
        with pytest.raises(SessionNotFoundError):
            manager.load_session("other")
        with pytest.raises(SessionExistsError):
            manager.save_session(Session("chat"))

    def test_edits(self, storage: SessionStorage) -> None:
        """Whatever is done to the list of messages is seen, saved, and moves the time of the last change."""
        manager = self.manage(storage)
        chat = manager.create_session("chat")
        edits: list[Callable[[], object]] = [
            lambda: chat.messages.extend({"number": number} for number in range(10)),
            lambda: chat.messages[3].update(number=True),
            lambda: chat.messages.pop(0),
            lambda: chat.messages.reverse(),
            lambda: chat.truncate_messages(3),
            lambda: chat.metadata.update(topic="tea"),
            lambda: chat.metadata.clear(),
            lambda: chat.clear_messages(),
        ]
        for edit in edits:
            before = chat.updated_at
            edit()
            assert unsaved(chat)
            manager.save_session(chat)
            assert not unsaved(chat)
            assert chat.updated_at > before
            kept = self.manage(storage).load_session("chat")
            assert exact(kept.get_messages()) == exact(chat.messages)
            assert exact(kept.metadata) == exact(chat.metadata)
            assert kept.updated_at == chat.updated_at

    def test_a_clean_session_is_refreshed(self, storage: SessionStorage) -> None:
        """Opening again shows what another manager saved; what it did not change stays the same object."""
        manager, other = self.manage(storage), self.manage(storage)
        chat = manager.create_session("chat")
        chat.messages.append({"number": 1})
        manager.save_session(chat)
        messages, first, metadata = chat.messages, chat.messages[0], chat.metadata
        assert manager.create_session("chat") is chat
        assert (chat.messages is messages, chat.messages[0] is first, chat.metadata is metadata) == (True, True, True)
        theirs = other.load_session("chat")
        theirs.add_message({"number": 2})
        theirs.update_metadata({"a": 1})
        other.save_session(theirs)
        assert manager.load_session("chat") is chat
        assert (messages, metadata) == ([{"number": 1}, {"number": 2}], {"a": 1})
        assert (chat.messages is messages, chat.metadata is metadata) == (True, True)
        assert chat.updated_at == theirs.updated_at
        assert not unsaved(chat)
        chat.add_message({"number": 3})
        chat.reload()
        assert chat.get_messages() == [{"number": 1}, {"number": 2}]
        assert not unsaved(chat)

    def test_what_cannot_be_saved(self, storage: SessionStorage) -> None:
        """It is refused before the storage is asked; the session holds it, and can be saved once it is mended."""
        manager = self.manage(storage, max_session_size=1000 / 2**20)
        chat = manager.create_session("chat")
        with pytest.raises(SessionTooLargeError):
            chat.add_message({"content": "x" * 1000})
        for message, error in (({"content": "x" * 1000}, SessionTooLargeError), ({"n": {1}}, InvalidMessageError)):
            chat.messages.append(message)
            with pytest.raises(error):
                manager.save_session(chat)
            assert chat.messages.pop() is message
        assert self.manage(storage).load_session("chat").get_messages() == []
        chat.add_message({"content": "fits"})
        manager.save_session(chat)
        assert self.manage(storage).load_session("chat").get_messages() == [{"content": "fits"}]

    def test_branches(self, storage: SessionStorage) -> None:
        """A branch has what the parent held, saved or not, goes its own way, and is loaded by who branches again."""
        manager = self.manage(storage)
        parent = manager.create_session("parent")
        parent.messages = [{"number": number} for number in range(5)]
        parent.update_metadata({"tags": ["a"]})
        branch = manager.create_session("branch", branch_from="parent", at=3)
        assert branch.get_messages() == [{"number": 0}, {"number": 1}, {"number": 2}]
        whole = manager.create_session("whole", branch_from="parent")
        assert len(whole) == 5
        branch.metadata["tags"].append("b")
        branch.messages[0]["number"] = "changed"
        manager.save_session(branch)
        assert (parent.metadata["tags"], parent.messages[0]) == (["a"], {"number": 0})
        manager.save_session(parent)
        with pytest.raises(SessionNotFoundError):
            manager.create_session("lost", branch_from="nobody")
        with pytest.raises(ValueError, match="at must be 0 to 5"):
            manager.create_session("lost", branch_from="parent", at=6)
        assert "lost" not in manager
        # A program that starts again takes up what it made the first time.
        again = self.manage(storage)
        assert again.create_session("branch", branch_from="parent").get_messages() == branch.get_messages()
        assert len(again.create_session("whole", branch_from="parent", at=5)) == 5
        for name, origin, at in (("branch", "parent", 2), ("branch", "whole", None), ("parent", "branch", None)):
            with pytest.raises(SessionExistsError):
                again.create_session(name, branch_from=origin, at=at)

    def test_what_is_told_of_a_branch(self, storage: SessionStorage) -> None:
        """Parent and fork point are known to whoever loads or lists it, also when the parent is gone or renamed."""
        manager = self.manage(storage)
        parent = manager.create_session("parent")
        parent.messages = [{"number": number} for number in range(5)]
        manager.save_session(parent)
        manager.create_session("branch", branch_from="parent", at=3)
        manager.create_session("twig", branch_from="branch")
        again = self.manage(storage)
        told = {info.name: (info.parent, info.forked_at) for info in again.list_sessions()}
        assert told == {"parent": (None, None), "branch": ("parent", 3), "twig": ("branch", 3)}
        info = again.get_session_info("branch")
        assert info is not None
        assert (info.parent, info.forked_at, info.message_count) == ("parent", 3, 3)
        assert [again.load_session(name).parent for name in ("parent", "branch", "twig")] == [None, "parent", "branch"]
        parent.messages.append({"number": "unsaved"})
        manager.rename_session("parent", "renamed")
        manager.save_session(parent)
        manager.rename_session("renamed", "again")
        assert len(self.manage(storage).create_session("branch", branch_from="again")) == 3
        manager.delete_session("again")
        assert len(self.manage(storage).load_session("branch")) == 3

    def test_a_transaction(self, storage: SessionStorage) -> None:
        """What a block collects is stored at its end and not before, and nothing of it where the block fails."""
        manager = self.manage(storage)
        parent = manager.create_session("parent")
        parent.messages = [{"number": number} for number in range(5)]
        manager.save_session(parent)
        for name in ("old", "gone"):
            manager.create_session(name)

        def change(fails: bool) -> Session:
            with manager.transaction() as change:
                branch = change.create_session("branch", branch_from="parent", at=3)
                branch.add_message({"number": "of the branch"})
                change.rename_session("old", "new")
                change.delete_session("gone")
                change.save_session(Session("whole", [{"number": 9}]))
                parent.update_metadata({"topic": "tea"})
                change.save_session(parent)
                assert {info.name for info in self.manage(storage).list_sessions()} == {"parent", "old", "gone"}
                if fails:
                    raise ZeroDivisionError
            return branch

        with pytest.raises(ZeroDivisionError):
            change(fails=True)
        again = self.manage(storage)
        assert {info.name for info in again.list_sessions()} == {"parent", "old", "gone"}
        assert again.load_session("parent").metadata == {}
        branch = change(fails=False)
        again = self.manage(storage)
        counts = {info.name: info.message_count for info in again.list_sessions()}
        assert counts == {"parent": 5, "branch": 4, "new": 0, "whole": 1}
        assert again.load_session("parent").metadata["topic"] == "tea"
        assert again.load_session("branch").get_messages() == branch.get_messages()
        assert again.load_session("branch").parent == "parent"
        assert not any(map(unsaved, (parent, branch)))

    def test_rename(self, storage: SessionStorage) -> None:
        """Everything goes along, open objects follow, and what they hold unsaved stays."""
        manager = self.manage(storage)
        chat, taken = manager.create_session("old"), manager.create_session("taken")
        chat.messages = [{"number": 1}]
        chat.update_metadata({"topic": "tea"})
        manager.save_session(chat)
        created, updated = chat.created_at, chat.updated_at
        for old, new, error in (("old", "taken", SessionExistsError), ("nobody", "new", SessionNotFoundError)):
            with pytest.raises(error):
                manager.rename_session(old, new)
        manager.rename_session("old", "new")
        assert (chat.name, manager.load_session("new") is chat, "old" in manager) == ("new", True, False)
        assert not unsaved(chat)
        kept = self.manage(storage).load_session("new")
        assert (kept.get_messages(), kept.metadata) == ([{"number": 1}], {"topic": "tea"})
        assert (kept.created_at, kept.updated_at) == (created, updated)
        taken.add_message({"number": 2})
        manager.rename_session("taken", "free")
        assert unsaved(taken)
        manager.save_session(taken)
        assert self.manage(storage).load_session("free").get_messages() == [{"number": 2}]
        assert sorted(info.name for info in manager.list_sessions()) == ["free", "new"]

    def test_delete_session(self, storage: SessionStorage) -> None:
        """It is gone; its object is not brought back by autosave, only by a save of somebody's."""
        manager = self.manage(storage)
        chat = manager.create_session("chat")
        manager.create_session("branch", branch_from="chat")
        manager.delete_session("chat")
        assert "chat" not in manager
        with pytest.raises(SessionNotFoundError):
            manager.delete_session("chat")
        manager.delete_session("chat", missing_ok=True)
        chat.add_message({"number": 1})
        manager.save_all()
        assert [info.name for info in manager.list_sessions()] == ["branch"]
        manager.save_session(chat)
        assert self.manage(storage).load_session("chat").get_messages() == [{"number": 1}]

    def test_times(self, storage: SessionStorage) -> None:
        """A new session, a branch and a save have the times that a program gives them, in every process."""
        began, ended = datetime(2024, 5, 17, 12, 30, tzinfo=UTC), datetime(2024, 5, 18, 9, 0, 0, 5, tzinfo=UTC)
        manager = self.manage(storage)
        manager.save_session(manager.create_session("chat", created_at=began), updated_at=ended)
        manager.create_session("branch", branch_from="chat", created_at=began, updated_at=ended)
        for again in (manager, self.manage(storage)):
            for name in ("chat", "branch"):
                info, session = again.get_session_info(name), again.load_session(name)
                assert info is not None
                assert (info.created, info.updated) == (session.created, session.updated) == (began, ended)

    def test_list_sessions(self, storage: SessionStorage) -> None:
        """The newest is first, then by name; the totals are of these."""
        manager = self.manage(storage)
        day = datetime(2024, 5, 1)
        for number, name in enumerate(["c", "b", "a", "d"]):
            updated = day + timedelta(days=number // 2)
            messages = [{"number": each} for each in range(number)]
            manager.save_session(Session(name, messages, created_at=day, updated_at=updated))
        infos = manager.list_sessions()
        assert [info.name for info in infos] == ["a", "d", "b", "c"]
        assert [info.message_count for info in infos] == [2, 3, 1, 0]
        assert [info.name for info in manager.list_sessions(prefix="c")] == ["c"]
        assert [info.name for info in manager.list_sessions(order="-name", limit=2)] == ["d", "c"]
        assert [info.name for info in manager.list_sessions(after=infos[1].cursor)] == ["b", "c"]
        stats = manager.stats()
        assert (stats.sessions, stats.messages) == (4, 6)
        assert stats.logical_bytes == sum(info.size_bytes for info in infos)
        assert manager.get_session_info("nobody") is None

    def test_previews(self, storage: SessionStorage) -> None:
        """What a list shows of messages is of the stored state, where a storage shows anything."""
        manager = self.manage(storage)
        chat = manager.create_session("chat")
        for role, said in (("system", "Be brief"), ("user", "Hello"), ("assistant", "Hi")):
            chat.add_message({"role": role, "content": said})
            manager.save_session(chat)
            for again in (manager, self.manage(storage)):
                infos = [again.get_session_info("chat"), *again.list_sessions()]
                shown = {info.preview for info in infos if info is not None}
                assert shown <= {Preview(), Preview.of(chat.get_messages())}

    def test_export_and_import(self, storage: SessionStorage, tmp_path: Path) -> None:
        """A session goes out to a file and comes back in, here and anywhere else."""
        manager = self.manage(storage)
        chat = manager.create_session("chat")
        for message in MESSAGES:
            chat.add_message(message)
        path = manager.export_session("chat", tmp_path / "chat.json")
        manager.save_session(chat)
        with pytest.raises(SessionExistsError):
            manager.import_session(path)
        assert manager.import_session(path, on_exists="skip") is chat
        copied = manager.import_session(path, name="copy")
        assert exact(copied.get_messages()) == exact(MESSAGES)
        chat.clear_messages()
        manager.save_session(chat)
        assert manager.import_session(path, on_exists="replace") is chat
        assert exact(self.manage(storage).load_session("chat").get_messages()) == exact(MESSAGES)
        with SessionManager({"session": {"backend": "memory"}}) as elsewhere:
            assert exact(elsewhere.import_session(path).get_messages()) == exact(MESSAGES)

    def test_what_nobody_saved(self, storage: SessionStorage) -> None:
        """The timer saves it, and so does the end of a ``with`` block."""
        with self.manage(storage, autosave_interval=0.01) as manager:
            chat = manager.create_session("chat")
            chat.messages.append({"number": 1})
            wait_until(lambda: not chat.has_unsaved_changes)
            assert self.manage(storage).load_session("chat").get_messages() == [{"number": 1}]
        with self.manage(storage) as manager:
            chat = manager.load_session("chat")
            chat.messages.append({"number": 2})
        assert self.manage(storage).load_session("chat").get_messages() == [{"number": 1}, {"number": 2}]

    def test_watch(self, storage: SessionStorage) -> None:
        """What another manager does is told: created, advanced, deleted."""
        manager, other = self.manage(storage), self.manage(storage)
        with manager.watch() as watch:
            chat = other.create_session("chat")
            event = watch.next(_PATIENCE)
            assert event is not None
            assert (event.kind, event.name) == ("created", "chat")
            chat.add_message({"number": 1})
            other.save_session(chat)
            event = watch.next(_PATIENCE)
            assert event is not None
            assert event.info is not None
            assert (event.kind, event.info.message_count) == ("advanced", 1)
            other.delete_session("chat")
            event = watch.next(_PATIENCE)
            assert event is not None
            assert (event.kind, event.name, event.info) == ("deleted", "chat", None)

    def test_search(self, storage: SessionStorage) -> None:
        """What another manager saved is found at once, as it is now: edited, renamed and deleted sessions, too."""
        manager, other = self.manage(storage), self.manage(storage)
        for name, text in (("old", "an old teapot"), ("chat", "a kettle of tea")):
            manager.save_session(Session(name, [{"role": "user", "content": text}]))
        assert (places(other, "kettle"), places(other, "teapot")) == ([("chat", 0)], [("old", 0)])
        # As long as before: only the time of the last change tells.
        chat = manager.load_session("chat")
        chat.messages[0]["content"] = "a teapot of tea"
        manager.save_session(chat)
        assert (places(other, "kettle"), places(other, "teapot")) == ([], [("chat", 0), ("old", 0)])
        manager.rename_session("chat", "talk")
        assert places(other, "teapot") == [("old", 0), ("talk", 0)]
        manager.delete_session("talk")
        assert places(other, "teapot") == [("old", 0)]

    def test_sync(self, storage: SessionStorage) -> None:
        """Sessions arrive in the other store, or an error says that this is none that can be synced."""
        manager = self.manage(storage)
        chat = manager.create_session("chat")
        chat.add_message({"number": 1})
        manager.save_session(chat)
        with SessionManager({"session": {"backend": "memory", "replica": "elsewhere"}}) as elsewhere:
            try:
                manager.sync(elsewhere)
            except SessionError as error:
                said = str(error)
                assert (type(storage).__name__ in said, "cannot be synced" in said) == (True, True)
                with pytest.raises(SessionError, match="cannot be synced"):
                    elsewhere.sync(manager)
                assert elsewhere.list_sessions() == []
            else:
                assert elsewhere.load_session("chat").get_messages() == [{"number": 1}]


def places(manager: SessionManager, text: str) -> list[tuple[str, int]]:
    """Return where a search finds a text."""
    found = manager.search(text)
    assert found.complete
    return sorted((place.session, place.index) for hit in found for place in hit.places)


def unsaved(session: Session) -> bool:
    """Tell whether a session has unsaved changes; a type checker would take the property for something that stays."""
    return session.has_unsaved_changes


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this did not happen within half a minute"
        time.sleep(0.005)
