"""Several sessions in one go: what a block collects is done at its end, all of it or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from storekit import Opener, fill, message, say

from coda_fs_session import (
    InvalidMessageError,
    InvalidNameError,
    Session,
    SessionConflictError,
    SessionError,
    SessionExistsError,
    SessionManager,
    SessionNotFoundError,
    Transaction,
    UnsupportedError,
)

SHARED = pytest.mark.parametrize("backend", ["files", "sqlite"])
Found = dict[str, tuple[list[str], dict[str, Any], str | None]]


def found(manager: SessionManager) -> Found:
    """Return what is stored: of each session the texts, the metadata and the parent."""
    stored: Found = {}
    for info in manager.list_sessions():
        kept = manager._storage.load(info.name)
        assert kept is not None
        assert info.message_count == len(kept)
        texts = [each["content"] for each in kept.get_messages()]
        stored[info.name] = texts, dict(kept.metadata), info.parent
    return stored


def texts(*numbers: int) -> list[str]:
    return [message(number)["content"] for number in numbers]


@pytest.fixture
def manager(make: Opener) -> SessionManager:
    manager = make()
    for name, count in (("chat", 3), ("old", 2), ("other", 1)):
        fill(manager, name, count)
    return manager


def test_a_block_is_done_at_its_end(manager: SessionManager) -> None:
    """Nothing is stored before the end of the block; then all of it is, and what is open of it has no unsaved changes
    and takes more."""
    before, chat = found(manager), manager.load_session("chat")
    chat.add_message(message(3))
    with manager.transaction() as change:
        child = change.create_session("child", branch_from="chat", at=2)
        whole = change.create_session("whole", branch_from="chat")
        new = change.create_session("new")
        grown = change.create_session("grown", branch_from="whole")
        of_new = change.create_session("of new", branch_from="new")
        new.add_message(message(10))
        child.add_message(message(11))
        grown.drop_last(3)
        chat.update_metadata({"topic": "all"})
        change.save_session(chat)
        change.save_session(Session("mine", [message(12)], {"a": 1}))
        change.rename_session("other", "another")
        change.delete_session("old")
        chat.add_message(message(4))
        assert found(manager) == before
    assert found(manager) == {
        "chat": (texts(0, 1, 2, 3, 4), {"topic": "all"}, None),
        "child": (texts(0, 1, 11), {}, "chat"),
        "whole": (texts(0, 1, 2, 3), {}, "chat"),
        "grown": (texts(0), {}, "whole"),
        "new": (texts(10), {}, None),
        "of new": ([], {}, "new"),
        "mine": (texts(12), {"a": 1}, None),
        "another": (texts(0), {}, None),
    }
    assert {info.name: info.forked_at for info in manager.list_sessions() if info.parent} == {
        "child": 2,
        "whole": 4,
        "grown": 4,
        "of new": 0,
    }
    for session in (chat, child, whole, new, grown, of_new):
        assert not session.has_unsaved_changes
        assert manager.load_session(session.name) is session
        say(manager, session, 20)
    manager.close()


def test_an_error_in_the_block_drops_it_all(manager: SessionManager) -> None:
    """The store is as before, open sessions keep what they hold and are unsaved, and the next block begins anew."""
    before, chat = found(manager), manager.load_session("chat")
    chat.add_message(message(3))

    def run() -> None:
        with manager.transaction() as change:
            change.create_session("child", branch_from="chat")
            change.save_session(chat)
            change.delete_session("old")
            change.rename_session("other", "another")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert found(manager) == before
    assert chat.has_unsaved_changes
    assert len(chat) == 4
    assert manager.get_session_info("child") is None
    with manager.transaction() as change:
        change.save_session(chat)
    assert found(manager) == {**before, "chat": (texts(0, 1, 2, 3), {}, None)}


def _with_a_stale_name(change: Transaction, manager: SessionManager) -> None:
    change.create_session("late")
    manager.create_session("late")


def _with_a_stale_rename(change: Transaction, manager: SessionManager) -> None:
    change.rename_session("other", "late")
    manager.create_session("late")


def _with_a_stale_delete(change: Transaction, manager: SessionManager) -> None:
    change.delete_session("other")
    manager.delete_session("other")


def _with_a_stale_expectation(change: Transaction, manager: SessionManager) -> None:
    other = manager.load_session("other")
    change.save_session(other, expected=other.revision)
    say(manager, other, 9)


def _with_a_bad_message(change: Transaction, manager: SessionManager) -> None:
    other = manager.load_session("other")
    other.messages.append({"role": object()})
    change.save_session(other)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_with_a_stale_name, SessionExistsError),
        (_with_a_stale_rename, SessionExistsError),
        (_with_a_stale_delete, SessionNotFoundError),
        (_with_a_stale_expectation, SessionConflictError),
        (_with_a_bad_message, InvalidMessageError),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_one_that_is_not_possible_drops_it_all(
    manager: SessionManager,
    spoil: Callable[[Transaction, SessionManager], None],
    error: type[SessionError],
    first: bool,
) -> None:
    """What has changed in the store by the end of the block, and what cannot be stored, is an error then; nothing of
    the block is done, whichever of its changes it is, and open sessions are as they were."""
    chat = manager.load_session("chat")
    chat.add_message(message(3))
    new, before = Session("new"), {}

    def run() -> None:
        nonlocal new, before
        with manager.transaction() as change:
            if first:
                spoil(change, manager)
            new = change.create_session("new")
            new.add_message(message(5))
            change.create_session("child", branch_from="chat")
            change.save_session(chat)
            change.delete_session("old")
            if not first:
                spoil(change, manager)
            before = found(manager)

    with pytest.raises(error):
        run()
    assert found(manager) == before
    assert chat.has_unsaved_changes
    assert manager.load_session("chat") is chat
    manager.load_session("other").reload() if "other" in manager else None
    with manager.transaction() as change:
        change.save_session(chat)
        change.save_session(new)
    assert found(manager) == {**before, "chat": (texts(0, 1, 2, 3), {}, None), "new": (texts(5), {}, None)}


@pytest.mark.parametrize(
    ("do", "error"),
    [
        (lambda change, _: change.delete_session("nobody"), SessionNotFoundError),
        (lambda change, _: change.rename_session("nobody", "x"), SessionNotFoundError),
        (lambda change, _: change.rename_session("chat", "old"), SessionExistsError),
        (lambda change, _: change.create_session("x", branch_from="nobody"), SessionNotFoundError),
        (lambda change, _: change.create_session("old", branch_from="chat"), SessionExistsError),
        (lambda change, _: change.create_session("x", branch_from="chat", at=99), ValueError),
        (lambda change, _: change.create_session("x", at=1), ValueError),
        (lambda change, _: change.create_session("a\nb"), InvalidNameError),
        (lambda change, _: change.save_session("chat"), TypeError),
        (lambda change, _: change.save_session(Session("old")), SessionExistsError),
        (lambda change, _: change.save_session(Session("x"), expected="y"), SessionConflictError),
        (lambda change, m: change.save_session(m.load_session("chat"), on_conflict="never"), ValueError),
        (lambda change, m: change.save_session(m.load_session("chat"), expected=1), TypeError),
        (lambda change, m: change.save_session(m.load_session("chat"), updated_at="now"), TypeError),
    ],
)
def test_a_bad_argument_is_an_error_at_once(
    manager: SessionManager, do: Callable[[Transaction, SessionManager], None], error: type[Exception]
) -> None:
    """It is raised in the block, where it may be caught; what else the block collects is done."""
    with manager.transaction() as change:
        with pytest.raises(error):
            do(change, manager)
        change.create_session("new")
    assert sorted(found(manager)) == ["chat", "new", "old", "other"]


def test_names_mean_in_the_block_what_it_has_made_of_them(manager: SessionManager) -> None:
    """A name may be deleted and used again, renamed twice, and taken by another one that is renamed; objects follow."""
    chat, old, other = (manager.load_session(name) for name in ("chat", "old", "other"))
    with manager.transaction() as change:
        change.delete_session("old")
        with pytest.raises(SessionNotFoundError):
            change.delete_session("old")
        change.delete_session("old", missing_ok=True)
        change.rename_session("chat", "old")
        change.rename_session("other", "chat")
        assert change.create_session("chat") is other
        assert change.create_session("old") is chat
        change.rename_session("chat", "first")
        change.rename_session("first", "second")
        new = change.create_session("chat")
        change.rename_session("chat", "third")
        gone = change.create_session("fourth", branch_from="second")
        change.delete_session("fourth")
        with pytest.raises(SessionNotFoundError):
            change.rename_session("fourth", "fifth")
    assert found(manager) == {
        "old": (texts(0, 1, 2), {}, None),
        "second": (texts(0), {}, None),
        "third": ([], {}, None),
    }
    assert [session.name for session in (chat, other, new)] == ["old", "second", "third"]
    assert [manager.load_session(name) for name in ("old", "second", "third")] == [chat, other, new]
    assert not gone.has_unsaved_changes or gone.name not in manager
    old.add_message(message(30))
    with pytest.raises(SessionExistsError):
        manager.save_session(old)
    say(manager, chat, 31)
    say(manager, other, 32)
    assert found(manager)["old"][0] == texts(0, 1, 2, 31)


def test_a_branch_in_the_place_of_another_session(manager: SessionManager) -> None:
    """A branch may have the name of what the block deletes or renames, be it its own parent."""
    with manager.transaction() as change:
        change.delete_session("old")
        change.create_session("old", branch_from="chat", at=1).add_message(message(9))
        change.rename_session("chat", "before")
        change.create_session("chat", branch_from="before", at=2)
    assert found(manager) == {
        "before": (texts(0, 1, 2), {}, None),
        # As outside a block: it says what the parent was called then.
        "old": (texts(0, 9), {}, "chat"),
        "chat": (texts(0, 1), {}, "before"),
        "other": (texts(0), {}, None),
    }
    say(manager, manager.load_session("chat"), 8)
    assert found(manager)["chat"][0] == texts(0, 1, 8)


def test_renamed_with_unsaved_changes(manager: SessionManager) -> None:
    """What a renamed session holds unsaved stays so, and is saved under the new name; so in a ring of names."""
    chat, other = manager.load_session("chat"), manager.load_session("other")
    chat.add_message(message(3))
    with manager.transaction() as change:
        change.rename_session("chat", "aside")
        change.rename_session("other", "chat")
        change.rename_session("aside", "other")
    assert (chat.name, other.name) == ("other", "chat")
    assert chat.has_unsaved_changes
    assert not other.has_unsaved_changes
    manager.save_session(chat)
    assert found(manager) == {
        "other": (texts(0, 1, 2, 3), {}, None),
        "chat": (texts(0), {}, None),
        "old": (texts(0, 1), {}, None),
    }


def test_saved_again_after_a_delete(manager: SessionManager) -> None:
    """The object of a session that the block deletes can be stored anew in it."""
    chat = manager.load_session("chat")
    with manager.transaction() as change:
        change.save_session(chat)
        change.delete_session("chat")
        chat.drop_last()
        change.save_session(chat)
    assert found(manager)["chat"] == (texts(0, 1), {}, None)
    assert manager.load_session("chat") is chat
    assert not chat.has_unsaved_changes


def test_merges_and_going_back_are_refused_in_the_block(manager: SessionManager) -> None:
    """They cannot be collected, and nothing is done at once: what is open stays unsaved. Other threads may use them."""
    chat = manager.load_session("chat")
    manager.create_session("child", branch_from="chat")
    chat.add_message(message(3))
    before, history = found(manager), manager.history("chat")
    verbs: list[Callable[[], object]] = [
        lambda: manager.branches.merge("child", "chat"),
        lambda: manager.branches.cherry_pick("chat", [0], "child"),
        history.undo,
        lambda: history.restore(1),
        lambda: history.tag("label"),
        lambda: history.untag("label"),
    ]
    with manager.transaction() as change:
        for verb in verbs:
            with pytest.raises(UnsupportedError, match="before the block, or after it"):
                verb()
        assert found(manager) == before
        assert chat.has_unsaved_changes
        other = threading.Thread(target=manager.history("other").tag, args=["label"])
        other.start()
        other.join()
        change.save_session(chat)
    assert [*manager.history("other").tags()] == ["label"]
    for verb in verbs:
        verb()
