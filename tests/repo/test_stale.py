"""Saves of sessions that another process changed meanwhile."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from coda_fs_session import Session, SessionConflictError, SessionManager, SessionWarning, StoreError
from coda_fs_session.backends.base import Token
from coda_fs_session.backends.files.backend import LocalBackend

from .machines import Machine, contents, said

STEPS = ("clear", "truncate", "edit", "delete", "recreate")
LENGTHS = pytest.mark.parametrize("length", [3, 40], ids=["in the tail", "in chunks"])


def opened(here: Machine, length: int, **options: object) -> tuple[SessionManager, Session]:
    here.create("chat", said(*range(length)))
    manager = here.manager(**options)
    return manager, manager.load_session("chat")


def numbers(length: int) -> list[str]:
    return [str(number) for number in range(length)]


@LENGTHS
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("mine", [1, 30])
@pytest.mark.parametrize("others", [1, 30])
def test_appends_are_put_after_the_others(here: Machine, length: int, live: bool, mine: int, others: int) -> None:
    """The default: first what others saved, then mine, on disk and in the session, whatever was sealed meanwhile."""
    manager, session = opened(here, length)
    theirs, own = [f"theirs {n}" for n in range(others)], [f"mine {n}" for n in range(mine)]
    here.change("chat", *theirs)
    if live:
        session.messages.extend(said(*own))
    else:
        for message in said(*own):
            session.add_message(message)
    manager.save_session(session)
    expected = [*numbers(length), *theirs, *own]
    assert contents(session) == here.read("chat") == expected
    assert not session.has_unsaved_changes
    session.add_message(said("next")[0])
    manager.save_session(session)
    assert here.read("chat") == [*expected, "next"]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("others", [1, 30])
def test_the_same_words_are_said_twice(here: Machine, live: bool, others: int) -> None:
    """What others saved first, in the same words, is not taken for mine, be it sealed since or not."""
    manager, session = opened(here, 0)
    same = [f"same {n}" for n in range(others)]
    here.change("chat", *same)
    if live:
        session.messages.append(said(same[0])[0])
    else:
        session.add_message(said(same[0])[0])
    manager.save_session(session)
    assert contents(session) == here.read("chat") == [*same, same[0]]


@pytest.mark.parametrize(
    ("how", "length"),
    # An edit of three messages is one of the tail, and no step of its own.
    [(how, length) for how in STEPS for length in (3, 40) if (how, length) != ("edit", 3)],
)
def test_appends_to_what_is_no_more_become_a_branch(here: Machine, length: int, how: str) -> None:
    """A stale append after a clear, truncation, sealed edit or deletion elsewhere becomes a branch, with a warning."""
    manager, session = opened(here, length)
    other = here.manager()
    changed = other.load_session("chat")
    if how == "clear":
        changed.clear_messages()
    elif how == "truncate":
        changed.truncate_messages(1)
    elif how == "edit":
        changed.messages[0]["content"] = "edited"
    other.save_session(changed)
    expected: list[str] | None = contents(changed)
    if how in ("delete", "recreate"):
        other.delete_session("chat")
        expected = None
    if how == "recreate":
        here.create("chat", said("new"))
        expected = ["new"]
    session.add_message(said("mine")[0])
    with pytest.warns(SessionWarning, match="chat~"):
        manager.save_session(session)
    assert session.name.startswith("chat~")
    assert session.parent == "chat"
    assert contents(session) == here.read(session.name) == [*numbers(length), "mine"]
    assert manager.load_session(session.name) is session
    if expected is None:
        assert here.names() == [session.name]
    else:
        assert here.read("chat") == expected
    session.add_message(said("more")[0])
    manager.save_session(session)
    assert here.read(session.name)[-2:] == ["mine", "more"]


@pytest.mark.parametrize("policy", ["append", "raise"])
def test_errors_say_what_happened_elsewhere(here: Machine, policy: str) -> None:
    """Bug: what was deleted was "changed", and an append that the option refuses "did not apply"."""
    here.create("gone", said(1, 2))
    manager, session = opened(here, 3, on_conflict=policy)
    gone = manager.load_session("gone")
    here.manager().delete_session("gone")
    here.change("chat", "theirs")
    gone.messages[0]["content"] = "mine"
    with pytest.raises(SessionConflictError, match=r"'gone' was deleted elsewhere since it was opened\. ") as caught:
        manager.save_session(gone)
    assert "delete_session('gone', missing_ok=True) to drop" in str(caught.value)
    manager.delete_session("gone", missing_ok=True)
    session.add_message(said("mine")[0])
    if policy == "raise":
        with pytest.raises(SessionConflictError, match=r'changed elsewhere .*, and on_conflict = "raise" adds nothing'):
            manager.save_session(session)
    session.messages[0]["content"] = "mine"
    with pytest.raises(SessionConflictError, match=r"changed elsewhere .* this change does not apply"):
        manager.save_session(session)


def test_a_branch_off_what_was_deleted_says_so(here: Machine) -> None:
    """The warning tells a deletion from a change."""
    manager, session = opened(here, 3)
    here.manager().delete_session("chat")
    session.add_message(said("mine")[0])
    with pytest.warns(SessionWarning, match=r"'chat' was deleted elsewhere .* is now the session 'chat~"):
        manager.save_session(session)


@LENGTHS
@pytest.mark.parametrize("elsewhere", ["append", "clear", "delete", "rename and append"])
@pytest.mark.parametrize("change", ["edit", "truncate", "clear", "remove last"])
def test_stale_edits_are_refused(here: Machine, length: int, elsewhere: str, change: str) -> None:
    """An edit of a session that was changed elsewhere raises; neither memory nor disk change."""
    manager, session = opened(here, length)
    if elsewhere == "append":
        here.change("chat", "theirs")
    elif elsewhere == "rename and append":
        here.manager().rename_session("chat", "talk")
        here.change("talk", "theirs")
    elif elsewhere == "clear":
        other = here.manager()
        other.load_session("chat").clear_messages()
        cleared = other.load_session("chat")
        cleared.clear_messages()
        other.save_session(cleared)
    else:
        here.manager().delete_session("chat")
    if change == "edit":
        session.messages[1]["content"] = "mine"
    elif change == "truncate":
        session.truncate_messages(2)
    elif change == "clear":
        session.clear_messages()
    else:
        session.messages.pop()
    memory = session.get_messages()
    disk = {path: path.read_bytes() for path in here.refs()}
    for _ in range(2):
        with pytest.raises(SessionConflictError):
            manager.save_session(session)
        assert session.get_messages() == memory
        assert session.has_unsaved_changes
        assert {path: path.read_bytes() for path in here.refs()} == disk


def test_an_edit_elsewhere_of_equal_length_is_seen(here: Machine) -> None:
    """After a merged append the live list shows another's edit of the tail too.

    It used to go by the number of messages, kept the old text, and a later edit put that back over the other's.
    """
    manager, session = opened(here, 3)
    other = here.manager()
    edited = other.load_session("chat")
    edited.messages[1]["content"] = "theirs"
    other.save_session(edited)
    session.messages.append(said("mine")[0])
    manager.save_session(session)
    assert contents(session) == here.read("chat") == ["0", "theirs", "2", "mine"]
    session.messages[3]["content"] = "changed"
    manager.save_session(session)
    assert here.read("chat") == ["0", "theirs", "2", "changed"]


@pytest.mark.parametrize("policy", ["branch", "raise"])
def test_policies(here: Machine, policy: str) -> None:
    """`on_conflict = "branch"` keeps a stale append apart, `"raise"` refuses it; the other's messages stay."""
    manager, session = opened(here, 3, on_conflict=policy)
    here.change("chat", "theirs")
    session.add_message(said("mine")[0])
    if policy == "raise":
        with pytest.raises(SessionConflictError):
            manager.save_session(session)
        assert here.names() == ["chat"]
        assert contents(session) == ["0", "1", "2", "mine"]
        session.reload()
        assert contents(session) == ["0", "1", "2", "theirs"]
    else:
        with pytest.warns(SessionWarning, match="chat~"):
            manager.save_session(session)
        assert here.read(session.name) == ["0", "1", "2", "mine"]
    assert here.read("chat") == ["0", "1", "2", "theirs"]


@pytest.mark.parametrize("change", ["append", "edit", "metadata"])
def test_a_session_follows_a_rename(here: Machine, change: str) -> None:
    """A session renamed by another process saves under its new name."""
    manager, session = opened(here, 3)
    here.manager().rename_session("chat", "talk")
    if change == "append":
        session.add_message(said("mine")[0])
    elif change == "edit":
        session.messages[0]["content"] = "mine"
    else:
        session.update_metadata({"topic": "mine"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager.save_session(session)
    assert session.name == "talk"
    assert here.names() == ["talk"]
    assert here.read("talk") == contents(session)
    assert here.manager().load_session("talk").metadata == session.metadata
    assert manager.load_session("talk") is session


def test_a_session_that_was_reloaded_after_a_rename(here: Machine) -> None:
    """It is the manager's object of the new name: a rename by the same manager reaches it.

    The manager used to know it by the old name only, so that the object kept a name that nothing had any more.
    """
    here.create("chat", said(1))
    manager = here.manager()
    session = manager.load_session("chat")
    here.manager().rename_session("chat", "talk")
    session.reload()
    manager.rename_session("talk", "speech")
    assert session.name == "speech"
    assert manager.load_session("speech") is session


def test_unsaved_changes_survive_renames(here: Machine) -> None:
    """Renaming a session twice while it has unsaved edits leaves it saveable.

    The second rename used to make its state look like somebody else's, and the save raised.
    """
    manager, session = opened(here, 3)
    session.messages[0]["content"] = "edited"
    manager.rename_session("chat", "talk")
    manager.rename_session("talk", "speech")
    manager.save_session(session)
    assert session.name == "speech"
    assert here.read("speech") == ["edited", "1", "2"]


def test_a_branch_of_a_renamed_parent_with_changes(here: Machine) -> None:
    """A branch made right after a rename records the new name as its parent's."""
    manager, session = opened(here, 3)
    session.add_message(said("unsaved")[0])
    manager.rename_session("chat", "talk")
    assert manager.create_session("branch", branch_from="talk").parent == "talk"


def test_metadata_of_a_session_created_anew(here: Machine) -> None:
    """A stale change of metadata is not put onto another session that has the name by now.

    It used to be, and the messages in memory silently became those of the other session.
    """
    manager, session = opened(here, 3)
    here.manager().delete_session("chat")
    here.create("chat", said("new"))
    session.update_metadata({"topic": "old"})
    with pytest.raises(SessionConflictError):
        manager.save_session(session)
    assert contents(session) == ["0", "1", "2"]
    assert here.manager().load_session("chat").metadata == {}


def test_metadata_merges_by_key(here: Machine) -> None:
    """Two processes that set different keys both keep theirs; of one key the later wins; removal is a change too."""
    manager, session = opened(here, 3)
    session.update_metadata({"gone": 1, "both": 1})
    manager.save_session(session)
    other = here.manager()
    theirs = other.load_session("chat")
    theirs.update_metadata({"theirs": 1, "both": "theirs"})
    del theirs.metadata["gone"]
    other.save_session(theirs)
    session.update_metadata({"mine": 1, "both": "mine"})
    manager.save_session(session)
    expected = {"theirs": 1, "mine": 1, "both": "mine"}
    assert session.metadata == here.manager().load_session("chat").metadata == expected


@pytest.mark.parametrize("length", [0, 3, 40])
def test_an_explicit_save_brings_back(here: Machine, length: int) -> None:
    """Saving an object of a session that its own manager deleted stores it again, with everything it holds."""
    manager, session = opened(here, length)
    session.add_message(said("unsaved")[0])
    manager.delete_session("chat")
    assert here.names() == []
    manager.save_session(session)
    assert here.read("chat") == [*numbers(length), "unsaved"]
    assert manager.load_session("chat") is session


@pytest.mark.parametrize("action", ["close", "save_all"])
def test_closing_does_not_bring_back(here: Machine, action: str) -> None:
    """What was deleted stays deleted when the manager saves everything that is open."""
    manager, session = opened(here, 3)
    session.add_message(said("unsaved")[0])
    manager.delete_session("chat")
    run: Callable[[], None] = getattr(manager, action)
    run()
    assert here.names() == []


def test_a_branch_that_was_made_although_its_save_failed(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving again finds it: the session is that branch then, by its name too, and its old name is the others'."""
    manager, session = opened(here, 3, on_conflict="branch")
    here.change("chat", "theirs")
    session.add_message(said("mine")[0])
    create_ref = LocalBackend.create_ref

    def fail_after(*arguments: Any) -> Token:
        create_ref(*arguments)
        raise StoreError("no room for the answer")

    monkeypatch.setattr(LocalBackend, "create_ref", fail_after)
    with pytest.raises(StoreError):
        manager.save_session(session)
    monkeypatch.undo()
    session.add_message(said("more")[0])
    with pytest.warns(SessionWarning, match="is now the session 'chat~"):
        manager.save_session(session)
    assert session.name.startswith("chat~")
    assert contents(session) == here.read(session.name) == [*numbers(3), "mine", "more"]
    assert manager.load_session(session.name) is session
    assert contents(manager.load_session("chat")) == here.read("chat") == [*numbers(3), "theirs"]


def test_branches_that_begin_alike_take_longer_and_longer_names(here: Machine) -> None:
    """The names are those that FORMAT.md gives to sides: 8, 12, 16, 24, 32 and 64 digits."""
    opened(here, 3)
    managers = [here.manager(on_conflict="branch") for _ in range(6)]
    sessions = [manager.load_session("chat") for manager in managers]
    here.change("chat", "theirs")
    for manager, session in zip(managers, sessions, strict=True):
        session.add_message(said("mine")[0])
        with pytest.warns(SessionWarning, match="is now the session 'chat~"):
            manager.save_session(session)
    digits = [session.name.removeprefix("chat~") for session in sessions]
    assert list(map(len, digits)) == [8, 12, 16, 24, 32, 64]
    assert all(digits[-1].startswith(each) for each in digits)


@pytest.mark.parametrize("live", [False, True])
def test_unsaved_changes_follow_a_rename_elsewhere_and_one_here(here: Machine, live: bool) -> None:
    """The object goes by the session's name then, also where another session has taken its first one meanwhile."""
    manager, session = opened(here, 3)
    if live:
        session.messages.append(said("mine")[0])
    else:
        session.add_message(said("mine")[0])
    other = here.manager()
    other.rename_session("chat", "talk")
    other.create_session("chat")
    manager.rename_session("talk", "speech")
    assert session.name == "speech"
    assert manager.load_session("speech") is session
    assert manager.load_session("chat") is not session
    assert session.has_unsaved_changes
    manager.save_session(session)
    assert session.name == "speech"
    assert here.read("speech") == contents(session) == [*numbers(3), "mine"]
    assert here.read("chat") == []
