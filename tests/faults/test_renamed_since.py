"""A session is renamed after a save of it failed that had got into the store all the same: nothing is there twice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import message, open_store, say

from coda_fs_session import Session, StoreError
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.testing.wrappers import Fault, FaultyBackend

Texts = list[str]


class Store:
    """A store with a session that one manager has saved; its next save fails, with or without an effect."""

    def __init__(self, folder: Path) -> None:
        self.mine, self.others = open_store(folder / "store"), open_store(folder / "store")
        self.session = self.mine.create_session("chat")
        say(self.mine, self.session, 0)
        storage = self.mine._storage
        assert isinstance(storage, RepoStorage)
        self.faulty = FaultyBackend(storage.repo.backend)
        storage.repo.use(self.faulty)

    def fail(self, change: Callable[[Session], object], when: str) -> None:
        change(self.session)
        self.faulty.faults = [Fault("append_ref", at=0, when="after" if when == "after" else "before")]
        with contextlib.suppress(StoreError):
            self.mine.save_session(self.session)
            pytest.fail("the save did not fail")
        self.faulty.faults = []

    def other_says(self, name: str, number: int) -> None:
        say(self.others, self.others.load_session(name), number)

    def stored(self) -> dict[str, Texts]:
        manager = self.others
        return {info.name: texts(manager.load_session(info.name)) for info in manager.list_sessions()}


def texts(session: Session) -> Texts:
    return [each["content"] for each in session.get_messages()]


def said(*numbers: int) -> Texts:
    return [message(number)["content"] for number in numbers]


def we_rename(store: Store) -> None:
    store.mine.rename_session("chat", "talk")


def they_rename(store: Store) -> None:
    store.others.rename_session("chat", "talk")


def they_rename_twice(store: Store) -> None:
    store.others.rename_session("chat", "between")
    store.others.rename_session("between", "talk")


def they_rename_and_go_on(store: Store) -> None:
    store.others.rename_session("chat", "talk")
    store.other_says("talk", 50)


def they_go_on_and_rename(store: Store) -> None:
    store.other_says("chat", 50)
    store.others.rename_session("chat", "talk")


def they_rename_and_seal(store: Store) -> None:
    store.others.rename_session("chat", "talk")
    for number in range(50, 120):
        store.other_says("talk", number)


RENAMES = {
    we_rename: (),
    they_rename: (),
    they_rename_twice: (),
    they_rename_and_go_on: (50,),
    they_go_on_and_rename: (50,),
    they_rename_and_seal: tuple(range(50, 120)),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("live", [False, True], ids=["lines", "live list"])
@pytest.mark.parametrize("rename", RENAMES)
def test_appended_messages(rename: Callable[[Store], None], live: bool, when: str, tmp_path: Path) -> None:
    """What was appended is stored once, and the session goes on under its new name."""
    store = Store(tmp_path)
    if live:
        assert store.session.messages
    store.fail(lambda session: session.add_message(message(1)), when)
    rename(store)
    say(store.mine, store.session, 2)
    between = RENAMES[rename]
    expected = said(0, 1, *between, 2) if when == "after" else said(0, *between, 1, 2)
    assert store.stored() == {"talk": expected}
    assert (store.session.name, texts(store.session)) == ("talk", expected)
    assert not store.session.has_unsaved_changes


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("rename", [we_rename, they_rename, they_rename_twice])
def test_edited_messages(rename: Callable[[Store], None], when: str, tmp_path: Path) -> None:
    """An edit that got into the store is no conflict with the rename that came after it."""

    def edit(session: Session) -> None:
        session.messages[0] = message(10)
        session.update_metadata({"topic": "edits"})

    store = Store(tmp_path)
    store.fail(edit, when)
    rename(store)
    say(store.mine, store.session, 2)
    assert store.stored() == {"talk": said(10, 2)}
    assert store.others.load_session("talk").metadata == {"topic": "edits"}


@pytest.mark.parametrize("rename", [we_rename, they_rename, they_rename_twice])
def test_taken_back(rename: Callable[[Store], None], tmp_path: Path) -> None:
    """What was taken back after the error is taken back in the store too, with nothing else to save."""
    store = Store(tmp_path)
    assert store.session.messages
    store.fail(lambda session: session.add_message(message(1)), "after")
    rename(store)
    del store.session.messages[1:]
    store.mine.save_session(store.session)
    assert store.stored() == {"talk": said(0)}
    say(store.mine, store.session, 2)
    assert store.stored() == {"talk": said(0, 2)}


def test_a_session_renamed_twice_elsewhere_is_not_branched_off(tmp_path: Path) -> None:
    """Without any error, too: an append follows the session through each rename."""
    store = Store(tmp_path)
    they_rename_twice(store)
    say(store.mine, store.session, 1)
    assert store.stored() == {"talk": said(0, 1)}
