"""The verbs of a history, on every backend: what each does, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, message, open_store, say
from test_custom_storage import DictStorage, manage

from coda_fs_session import (
    HistoryError,
    InvalidNameError,
    Session,
    SessionExistsError,
    SessionManager,
    SessionNotFoundError,
    StoreReadOnlyError,
    UnsupportedError,
)
from coda_fs_session.format.marks import Mark
from coda_fs_session.repo.content import state


def numbers(session: Session) -> list[int]:
    return [int(each["content"].split()[1]) for each in session.get_messages()]


def begun(manager: SessionManager, count: int = 3) -> Session:
    """Return a session of so many saves of one message each."""
    session = manager.create_session("trip")
    for number in range(count):
        say(manager, session, number)
    return session


def kinds(manager: SessionManager, name: str = "trip") -> list[str]:
    return [entry.kind for entry in manager.history(name)]


def test_undo_takes_back_one_change_after_the_other(make: Opener) -> None:
    """A save, an edit, a clear: each undo takes the last back that is not taken back yet, and the first one ends it."""
    with make() as manager:
        session = begun(manager, 2)
        session.messages[1] = message(7)
        manager.save_session(session)
        session.clear_messages()
        manager.save_session(session)
        history = manager.history("trip")
        shown = []
        while (entry := history.undo()) is not None:
            assert entry.kind == "undo"
            shown.append(numbers(session))
        assert shown == [[0, 7], [0, 1], [0], []]
        say(manager, session, 5)
        assert history.undo() is not None
        assert numbers(session) == []
        assert history.undo() is None


def test_an_undo_survives_the_process(make: Opener) -> None:
    """What was undone is so for who opens the store next, and can be gone back over by its id."""
    with make() as manager:
        begun(manager)
        manager.history("trip").undo()
        if manager._config.backend == "memory":
            return
    with make() as manager:
        assert numbers(manager.load_session("trip")) == [0, 1]
        full = next(entry for entry in manager.history("trip") if entry.messages == 3)
        assert manager.history("trip").restore(full.id).messages == 3
        assert numbers(manager.load_session("trip")) == [0, 1, 2]


def test_undo_saves_what_is_unsaved_first(make: Opener) -> None:
    """An open object's unsaved messages are saved before, so they are what is taken back, and nothing is lost."""
    with make() as manager:
        session = begun(manager)
        session.add_message(message(3))
        manager.history("trip").undo()
        assert numbers(session) == [0, 1, 2]
        assert not session.has_unsaved_changes
        assert numbers(manager.history("trip").at(4)) == [0, 1, 2, 3]


def test_undo_of_a_rename_and_of_a_delete(make: Opener) -> None:
    """The session has its name from before, or is there again; an open object follows. A taken name is refused."""
    with make() as manager:
        session = begun(manager)
        manager.rename_session("trip", "journey")
        manager.history("journey").undo()
        assert (session.name, numbers(manager.load_session("trip"))) == ("trip", [0, 1, 2])
        say(manager, session, 3)
        manager.delete_session("trip")
        assert [info.name for info in manager.deleted_sessions()] == ["trip"]
        assert manager.deleted_sessions()[0].message_count == 4
        assert manager.history("trip").undo() is not None
        assert numbers(manager.load_session("trip")) == [0, 1, 2, 3]
        assert manager.deleted_sessions() == []
        manager.rename_session("trip", "journey")
        manager.create_session("trip")
        with pytest.raises(SessionExistsError):
            manager.history("journey").undo()
        assert sorted(info.name for info in manager.list_sessions()) == ["journey", "trip"]


def test_undo_of_a_rename_to_a_name_that_was_deleted_since(make: Opener) -> None:
    """Another session had the name from before meanwhile and is deleted: the name is free, and can be gone back to."""
    with make() as manager:
        begun(manager)
        manager.rename_session("trip", "journey")
        say(manager, manager.create_session("trip"), 7)
        manager.delete_session("trip")
        assert manager.history("journey").undo() is not None
        assert [info.name for info in manager.list_sessions()] == ["trip"]
        assert numbers(manager.load_session("trip")) == [0, 1, 2]
        # That one can still be brought back.
        assert [info.message_count for info in manager.deleted_sessions()] == [1]


def test_a_tag_names_the_entry_after_an_edit(make: Opener) -> None:
    """A tag of a state that came after an edit has the id of the entry that it was set at."""
    with make() as manager:
        session = begun(manager, 2)
        session.messages[1] = message(7)
        manager.save_session(session)
        history = manager.history("trip")
        entry = history.tag("edited")
        assert history.tags()["edited"].id == entry.id == next(iter(history)).id


def test_metadata_goes_back_too(make: Opener) -> None:
    """As long as saves are lines, undo takes their metadata back; later ones are still later than what came back."""
    with make() as manager:
        session = begun(manager, 1)
        session.metadata["mood"] = "good"
        manager.save_session(session)
        session.metadata["mood"] = "bad"
        manager.save_session(session)
        manager.history("trip").undo()
        assert session.metadata == {"mood": "good"}
        session.metadata["mood"] = "fine"
        manager.save_session(session)
        assert manager.load_session("trip").metadata == {"mood": "fine"}


def test_restore_names_states_in_four_ways(make: Opener) -> None:
    """By id, by tag, by time, by a number of messages; a session that is at the state already is left alone."""
    with make() as manager:
        session = begun(manager, 4)
        history = manager.history("trip")
        two = next(entry for entry in history if entry.messages == 2)
        assert history.tag("two", at=two.id).id == two.id
        for to in (two.id, "two", two.time, two.when, 2):
            assert history.restore(to).messages == 2
            assert numbers(session) == [0, 1]
            assert len(history.restore(4).id) > 8
        before = kinds(manager)
        assert history.restore(4).messages == 4
        assert kinds(manager) == before


def test_undo_after_a_restore_goes_on_from_there(make: Opener) -> None:
    """What was gone back to is where the next undo begins, as after an undo: the change before that is taken back."""
    with make() as manager:
        session = begun(manager, 4)
        history = manager.history("trip")
        history.restore(2)
        history.undo()
        assert numbers(session) == [0]
        history.restore(4)
        history.undo()
        assert numbers(session) == [0, 1, 2]


def test_what_was_never_there(make: Opener) -> None:
    """An unknown id, tag, time or number is an error that names the nearest, and nothing is changed."""
    with make() as manager:
        begun(manager)
        history = manager.history("trip")
        newest = next(iter(history)).id
        history.tag("draft")
        before = list(history)
        with pytest.raises(HistoryError, match="'draft'"):
            history.restore("drift")
        with pytest.raises(HistoryError, match=newest):
            history.at(f"{newest[:-1]}9")
        for to in (4, -1, datetime.now(UTC) - timedelta(days=1)):
            with pytest.raises(HistoryError):
                history.at(to)
        for wrong in (True, 1.0, None):
            with pytest.raises(TypeError):
                history.at(wrong)  # type: ignore[arg-type]
        with pytest.raises(HistoryError, match="not deleted"):
            history.restore()
        with pytest.raises(SessionNotFoundError):
            manager.history("nowhere").undo()
        with pytest.raises(SessionNotFoundError):
            list(manager.history("nowhere"))
        assert list(history) == before


def test_tags(make: Opener) -> None:
    """A tag names one state, whatever comes after it; a rename and an undelete keep tags, and a branch has none."""
    with make() as manager:
        session = begun(manager)
        history = manager.history("trip")
        updated = session.updated_at
        entry = history.tag("draft")
        assert (entry.kind, entry.messages) == ("append", 3)
        assert manager.load_session("trip").updated_at == updated
        say(manager, session, 3)
        history.tag("final")
        assert {label: each.messages for label, each in history.tags().items()} == {"draft": 3, "final": 4}
        assert numbers(history.at("draft")) == [0, 1, 2]
        history.tag("draft", at=1)
        assert numbers(history.at("draft")) == [0]
        manager.rename_session("trip", "journey")
        manager.delete_session("journey")
        history = manager.history("journey")
        history.restore()
        assert sorted(history.tags()) == ["draft", "final"]
        history.untag("draft")
        assert sorted(history.tags()) == ["final"]
        with pytest.raises(HistoryError, match="draft"):
            history.untag("draft")
        branch = manager.create_session("branch", branch_from="journey", at="final")
        assert numbers(branch) == [0, 1, 2, 3]
        assert manager.history("branch").tags() == {}
        for label in ("", "0123456789ab:3", "deadbeef", "a\nb"):
            with pytest.raises(InvalidNameError):
                history.tag(label)


def test_a_branch_of_what_was(make: Opener) -> None:
    """A new session begins with a state of another one's history, and of a deleted one too; asked twice it is one."""
    with make() as manager:
        session = begun(manager)
        session.messages[0] = message(9)
        manager.save_session(session)
        before = next(entry for entry in manager.history("trip") if entry.kind == "append")
        branch = manager.create_session("branch", branch_from="trip", at=before.id)
        assert numbers(branch) == [0, 1, 2]
        assert manager.create_session("branch", branch_from="trip", at=before.id) is branch
        info = manager.get_session_info("branch")
        assert info is not None
        assert (info.parent, info.forked_at) == ("trip", 3)
        manager.delete_session("trip")
        assert numbers(manager.create_session("other", branch_from="trip", at=before.time)) == [0, 1, 2]
        with pytest.raises(HistoryError):
            manager.create_session("third", branch_from="trip", at="nothing")


def test_what_was_is_for_reading_only(make: Opener) -> None:
    """A session as it was cannot be saved over the present one; the error says what to do."""
    with make() as manager:
        begun(manager)
        past = manager.history("trip").at(1)
        past.add_message(message(5))
        with pytest.raises(StoreReadOnlyError, match=r"restore\(.*branch_from='trip'"):
            manager.save_session(past)
        assert len(manager.load_session("trip")) == 3


def test_a_storage_of_your_own_says_that_it_keeps_none() -> None:
    """Four methods keep no history: each verb of it is refused by name, and nothing is changed."""
    manager = manage(DictStorage())
    say(manager, manager.create_session("trip"), 1)
    history = manager.history("trip")
    for verb in (
        lambda: list(history),
        lambda: history.at(0),
        history.undo,
        history.restore,
        lambda: history.tag("draft"),
        lambda: history.untag("draft"),
        history.tags,
        manager.deleted_sessions,
        lambda: manager.create_session("branch", branch_from="trip", at="draft"),
    ):
        with pytest.raises(UnsupportedError, match="DictStorage"):
            verb()  # type: ignore[operator]
    assert numbers(manager.load_session("trip")) == [1]


def test_a_long_session_goes_back_by_its_marks(tmp_path: Path) -> None:
    """After seals that folded the lines, the newest saves are still entries of their own, and older ones are fewer."""
    with open_store(tmp_path / "store") as manager:
        session = manager.create_session("trip")
        for number in range(200):
            session.add_message(message(number, 1500))
            manager.save_session(session)
        entries = list(manager.history("trip"))
        assert [entry.messages for entry in entries[:16]] == list(range(200, 184, -1))
        assert all(entry.exact for entry in entries[:16])
        assert sum(entry.added for entry in entries) == 200
        assert len(entries) < 200
        # What lies between two entries can be gone back to as well.
        between = next(entry for entry in entries if not entry.exact)
        assert numbers(manager.history("trip").at(between.messages - 1)) == list(range(between.messages - 1))
        manager.history("trip").undo()
        assert len(session) == 199


def test_many_edits_are_gone_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: a seal after 5,000 edits of the last message took nine seconds, since each went through all before it."""
    made = 0

    def mark(*fields: Any) -> Mark:
        nonlocal made
        made += 1
        return Mark(*fields)

    with open_store(tmp_path / "store") as manager:
        session = begun(manager, 1)
        for number in range(100):
            session.messages[0] = message(number + 1)
            manager.save_session(session)
        monkeypatch.setattr(state, "Mark", mark)
        assert len(list(manager.history("trip"))) == 102
        assert made < 1000
        session.add_message({"role": "user", "content": "large " * 200_000})
        manager.save_session(session)
        assert made < 2000
        assert len(list(manager.history("trip"))) == 103
