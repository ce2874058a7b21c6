"""Tests of what a manager brings back, and together: a storage keeps the history for that, or says that it has none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ...errors import UnsupportedError
from ...manager.manager import SessionManager
from ...session.session import Session
from ...storage import SessionStorage
from .storage_case import StorageCase, exact


class GoingBackTests(StorageCase):
    """History, undo, tags and merges do what they do over files, or are refused and change nothing."""

    def test_history(self, storage: SessionStorage) -> None:
        """Each save is an entry that can be gone back to, by a tag too; an undo takes a save back, and a delete."""
        manager, chat = self._chat(storage)
        history = manager.history("chat")
        if not self._keeps_history(storage, manager):
            return
        assert [entry.messages for entry in history] == [2, 1, 0]
        history.tag("whole")
        assert numbers(history.at(1)) == [1]
        assert history.undo() is not None
        assert numbers(chat) == self._stored(storage, "chat") == [1]
        history.restore("whole")
        assert numbers(chat) == self._stored(storage, "chat") == [1, 2]
        assert list(self.manage(storage).history("chat").tags()) == ["whole"]
        history.untag("whole")
        assert history.tags() == {}
        manager.delete_session("chat")
        assert [info.name for info in manager.deleted_sessions()] == ["chat"]
        assert history.undo() is not None
        assert self._stored(storage, "chat") == [1, 2]

    def test_merges(self, storage: SessionStorage) -> None:
        """A branch comes back into its parent once, what is picked too, and each can be taken back."""
        manager, chat = self._chat(storage)
        branch = manager.create_session("branch", branch_from="chat")
        for number in (3, 4):
            branch.add_message({"number": number})
            manager.save_session(branch)
        if not self._keeps_history(storage, manager):
            return
        assert manager.branches.cherry_pick("branch", [3], "chat").added == 1
        assert numbers(chat) == self._stored(storage, "chat") == [1, 2, 4]
        assert manager.branches.merge("branch", "chat").added == 1
        assert manager.branches.merge("branch", "chat").added == 0
        assert numbers(chat) == self._stored(storage, "chat")
        assert sorted(numbers(chat)) == self._stored(storage, "branch") == [1, 2, 3, 4]
        for expected in ([1, 2, 4], [1, 2]):
            assert manager.history("chat").undo() is not None
            assert numbers(chat) == self._stored(storage, "chat") == expected

    def _chat(self, storage: SessionStorage) -> tuple[SessionManager, Session]:
        manager = self.manage(storage)
        chat = manager.create_session("chat")
        for number in (1, 2):
            chat.add_message({"number": number})
            manager.save_session(chat)
        return manager, chat

    def _stored(self, storage: SessionStorage, name: str) -> list[int]:
        return numbers(self.manage(storage).load_session(name))

    def _keeps_history(self, storage: SessionStorage, manager: SessionManager) -> bool:
        """Tell whether there is a history; where there is none, each verb must say so, and change nothing."""
        if storage.engine() is not None:
            return True
        history = manager.history("chat")
        verbs: list[Callable[[], object]] = [
            *(lambda: list(history), lambda: history.at(1), history.undo, lambda: history.restore(1)),
            *(lambda: history.tag("whole"), history.tags, lambda: manager.branches.merge("branch", "chat")),
            lambda: manager.branches.cherry_pick("branch", [0], "chat"),
        ]
        before = [exact(kept.get_messages()) for kept in self._all(storage)]
        for verb in verbs:
            with pytest.raises(UnsupportedError):
                verb()
        assert [exact(kept.get_messages()) for kept in self._all(storage)] == before
        return False

    def _all(self, storage: SessionStorage) -> list[Session]:
        manager = self.manage(storage)
        return [manager.load_session(info.name) for info in manager.list_sessions()]


def numbers(session: Session) -> list[int]:
    return [message["number"] for message in session.get_messages()]
