"""Metadata that two managers change: after renames, and after saves for which an error was reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coda_fs_session import Session, SessionConflictError, SessionManager, StoreError
from coda_fs_session.backends.base import RefKey, Token
from coda_fs_session.repo.writing import save

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


def test_a_save_whose_line_others_rewrote_is_not_repeated(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save whose success nobody learned of is told by its messages once its line is gone, though nothing is after."""
    (manager, session), (other, theirs) = two_managers(here)
    session.add_message(*said("mine"))
    with errors_after_the_write(manager, monkeypatch):
        manager.save_session(session)
    with monkeypatch.context() as patch:
        # Each save that finds lines in the ref rewrites it with all messages in one.
        for limit in ("COMPACT_SAVES", "MOST_SAVES"):
            patch.setattr(save, limit, 1)
        put(other, theirs, topic="theirs")
    manager.save_session(session)
    stored = here.manager().load_session("chat")
    assert contents(stored) == contents(session) == ["mine"]
    assert stored.metadata == session.metadata == {"topic": "theirs"}


@pytest.mark.parametrize("verb", ["add_message", "truncate_messages", "clear_messages"])
def test_metadata_goes_with_whatever_became_of_the_messages(here: Machine, verb: str) -> None:
    """A change of metadata alone applies to what others made of the messages meanwhile, and the session shows both."""
    (manager, session), (other, theirs) = two_managers(here)
    for message in said(1, 2):
        theirs.add_message(message)
    other.save_session(theirs)
    session.reload()
    getattr(theirs, verb)(*{"add_message": said(3), "truncate_messages": [1], "clear_messages": []}[verb])
    other.save_session(theirs)
    put(manager, session, mine=1)
    stored = here.manager().load_session("chat")
    assert contents(stored) == contents(session) == contents(theirs)
    assert stored.metadata == session.metadata == {"mine": 1}


def test_metadata_brings_back_no_session_that_others_deleted(here: Machine) -> None:
    (manager, session), (other, _) = two_managers(here)
    other.delete_session("chat")
    with pytest.raises(SessionConflictError, match="was deleted elsewhere"):
        put(manager, session, mine=1)
    assert here.names() == []


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
