"""Metadata that two managers change: after renames, and after saves for which an error was reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coda_fs_session import Session, SessionManager, StoreError
from coda_fs_session.backends.base import RefKey, Token

from .machines import Machine, contents, said


def two_managers(here: Machine, **metadata: object) -> tuple[tuple[SessionManager, Session], ...]:
    """Return two managers, each with its own object of the same session."""
    first, second = here.manager(), here.manager()
    session = first.create_session("chat")
    session.update_metadata(metadata)
    first.save_session(session)
    return (first, session), (second, second.load_session("chat"))


def put(manager: SessionManager, session: Session, **metadata: object) -> None:
    session.update_metadata(metadata)
    manager.save_session(session)


@contextmanager
def errors_after_the_write(manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every save fail once its line is in the file, as when a reply from a network disk is lost."""
    backend = manager._storage.repo.backend
    append = backend.append_ref

    def lose_the_reply(key: RefKey, expected: Token, data: bytes) -> Token:
        append(key, expected, data)
        raise StoreError("no reply")

    with monkeypatch.context() as patch:
        patch.setattr(backend, "append_ref", lose_the_reply)
        with pytest.raises(StoreError, match="no reply"):
            yield


def test_a_rename_shows_what_others_set(here: Machine) -> None:
    """An open session without changes has the metadata of now after its manager renamed it.

    It did not: the rename noted the newest state for the session without showing it.
    """
    (manager, session), (other, theirs) = two_managers(here)
    put(other, theirs, topic="theirs")
    manager.rename_session("chat", "talk")
    assert session.metadata == {"topic": "theirs"}
    assert session.updated_at == here.manager().load_session("talk").updated_at


def test_a_rename_keeps_changes_beside_what_others_set(here: Machine) -> None:
    """A session with unsaved changes is as it was after a rename; saving adds them to what others set meanwhile."""
    (manager, session), (other, theirs) = two_managers(here, kept=1, topic=1)
    put(other, theirs, topic="theirs", new=1)
    session.update_metadata({"topic": "mine"})
    manager.rename_session("chat", "talk")
    assert session.metadata == {"kept": 1, "topic": "mine"}
    assert session.has_unsaved_changes
    manager.save_session(session)
    assert here.manager().load_session("talk").metadata == session.metadata == {"kept": 1, "topic": "mine", "new": 1}


@pytest.mark.parametrize("how", ["save", "load"])
def test_changes_taken_back_after_a_rename(here: Machine, how: str) -> None:
    """A session whose changes were taken back after a rename shows what is stored as soon as it is saved or opened.

    When it was opened, it did not: the rename had noted the newest state for it, so that it passed for up to date.
    """
    (manager, session), (other, theirs) = two_managers(here)
    put(other, theirs, topic="theirs")
    session.update_metadata({"mine": 1})
    manager.rename_session("chat", "talk")
    del session.metadata["mine"]
    if how == "save":
        manager.save_session(session)
    else:
        assert manager.load_session("talk") is session
    assert here.manager().load_session("talk").metadata == session.metadata == {"topic": "theirs"}


def test_others_metadata_outlives_a_save_that_is_repeated(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others had set before a save whose success nobody learned of is there after the save was done again.

    It was removed: the session had never shown it, and took itself to have removed it.
    """
    (manager, session), (other, theirs) = two_managers(here, gone=1)
    del theirs.metadata["gone"]
    put(other, theirs, topic="theirs")
    session.add_message(*said("mine"))
    session.update_metadata({"own": 1})
    with errors_after_the_write(manager, monkeypatch):
        manager.save_session(session)
    manager.save_session(session)
    stored = here.manager().load_session("chat")
    assert stored.metadata == session.metadata == {"topic": "theirs", "own": 1}
    assert contents(stored) == contents(session) == ["mine"]


@pytest.mark.parametrize("change", ["message", "metadata"])
def test_what_was_taken_back_after_an_error(here: Machine, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """A save that got through although it reported an error is undone when its change is, and saved again.

    It was not: the session looked like what it had been before both, and nothing was written.
    """
    (manager, session), _ = two_managers(here)
    if change == "message":
        session.add_message(*said("too much"))
    else:
        session.update_metadata({"too": "much"})
    with errors_after_the_write(manager, monkeypatch):
        manager.save_session(session)
    session.clear_messages()
    session.metadata.clear()
    manager.save_session(session)
    stored = here.manager().load_session("chat")
    assert (contents(stored), stored.metadata) == (contents(session), session.metadata) == ([], {})
