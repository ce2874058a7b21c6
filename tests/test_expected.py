"""Saves under conditions: a revision that must be there, and a policy for one save."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from storekit import Opener, fill, message, open_store
from test_custom_storage import DictStorage

from coda_fs_session import (
    Session,
    SessionConflictError,
    SessionExistsError,
    SessionManager,
    StoreError,
    UnsupportedError,
)
from coda_fs_session.backends.files.backend import LocalBackend

SHARED = pytest.mark.parametrize("backend", ["files", "sqlite"])
CHANGES: dict[str, Any] = {
    "message": lambda session: session.add_message(message(50)),
    "metadata": lambda session: session.update_metadata({"topic": "theirs"}),
    "cut": lambda session: session.drop_last(),
    "edit": lambda session: session.messages.__setitem__(0, message(60)),
    "clear": lambda session: session.clear_messages(),
}


def two(folder: Path, backend: str, **options: Any) -> tuple[SessionManager, SessionManager]:
    here, there = (open_store(folder / "s", backend=backend, **options) for _ in range(2))
    fill(here, "chat", 3)
    return here, there


def state_of(manager: SessionManager, name: str = "chat") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    session = manager.load_session(name)
    session.reload()
    return session.get_messages(), dict(session.metadata)


@pytest.mark.parametrize("change", CHANGES)
def test_a_revision_changes_with_what_is_saved(make: Opener, change: str) -> None:
    """It is that of the saved state: changes in memory leave it, a save changes it, and so does nothing else."""
    with make() as manager:
        fill(manager, "chat", 3)
        session = manager.load_session("chat")
        before = session.revision
        assert before == manager.load_session("chat").revision != ""
        CHANGES[change](session)
        assert session.revision == before
        manager.save_session(session)
        after = session.revision
        assert after != before
        manager.save_session(session)
        session.reload()
        assert session.revision == after
        manager.rename_session("chat", "other")
        assert len(manager.list_sessions()) == 1


@SHARED
def test_a_revision_is_the_same_for_all(tmp_path: Path, backend: str) -> None:
    """In another process, after the ref was rewritten with all saves in one line, and in a copy of the store."""
    here, there = two(tmp_path, backend)
    session = here.load_session("chat")
    for number in range(300):
        session.add_message(message(number))
        here.save_session(session)
    session.update_metadata({"b": 1, "a": [1, 2]})
    here.save_session(session)
    assert there.load_session("chat").revision == session.revision
    here.close()
    there.close()
    with open_store(tmp_path / "s", backend=backend) as again:
        assert again.load_session("chat").revision == session.revision


def test_a_session_that_is_not_stored() -> None:
    """It has no revision."""
    assert Session("chat", [message(1)]).revision == ""


@SHARED
@pytest.mark.parametrize("mine", ["message", "metadata", "edit", "cut"])
@pytest.mark.parametrize("theirs", CHANGES)
@pytest.mark.parametrize("how", ["expected", "raise", "option"])
def test_the_later_save_loses(tmp_path: Path, backend: str, mine: str, theirs: str, how: str) -> None:
    """Whatever another process changed: the error tells both revisions, nothing is written; after a reload it works."""
    here, there = two(tmp_path, backend, **({"on_conflict": "raise"} if how == "option" else {}))
    options = {"expected": {"expected": ""}, "raise": {"on_conflict": "raise"}, "option": {}}[how]
    session, other = here.load_session("chat"), there.load_session("chat")
    expected = session.revision
    if how == "expected":
        options["expected"] = expected
    CHANGES[theirs](other)
    there.save_session(other)
    stored = state_of(there)
    CHANGES[mine](session)
    with pytest.raises(SessionConflictError) as caught:
        here.save_session(session, **options)
    assert (caught.value.expected, caught.value.actual) == (expected, other.revision)
    assert state_of(there) == stored
    assert [info.name for info in there.list_sessions()] == ["chat"]
    assert session.has_unsaved_changes
    session.reload()
    assert session.revision == other.revision
    session.add_message(message(70))
    if how == "expected":
        options["expected"] = other.revision
    here.save_session(session, **options)
    assert state_of(there)[0] == [*stored[0], message(70)]


@SHARED
def test_what_is_as_expected_is_saved(tmp_path: Path, backend: str) -> None:
    """Also messages on top of those that others have saved, where the caller knows of these; and many in a row."""
    here, there = two(tmp_path, backend)
    session, other = here.load_session("chat"), there.load_session("chat")
    other.add_message(message(10))
    there.save_session(other)
    session.add_message(message(11))
    here.save_session(session, expected=other.revision)
    assert session.get_messages()[-2:] == [message(10), message(11)]
    for number in range(5):
        session.add_message(message(number))
        here.save_session(session, expected=session.revision)
    assert len(state_of(there)[0]) == 10
    for _ in range(2):
        here.save_session(session, expected=session.revision)
    with pytest.raises(SessionConflictError):
        here.save_session(session, expected="another")


def test_what_must_not_exist(make: Opener) -> None:
    """An empty revision: a session is created, and refused where one is there, be it the same object."""
    with make() as manager:
        session = Session("chat", [message(1)])
        manager.save_session(session, expected="")
        with pytest.raises(SessionConflictError) as caught:
            manager.save_session(Session("chat", [message(2)]), expected="")
        assert (caught.value.expected, caught.value.actual) == ("", session.revision)
        session.add_message(message(2))
        with pytest.raises(SessionConflictError):
            manager.save_session(session, expected="")
        with pytest.raises(SessionConflictError) as caught:
            manager.save_session(Session("other"), expected=session.revision)
        assert caught.value.actual == ""
        assert "other" not in manager
        with pytest.raises(SessionExistsError):
            manager.save_session(Session("chat"), expected=session.revision)
        session.reload()
        assert session.get_messages() == [message(1)]


@SHARED
def test_what_was_deleted_is_not_as_expected(tmp_path: Path, backend: str) -> None:
    """Nor is one of its name that was made anew."""
    here, there = two(tmp_path, backend)
    session = here.load_session("chat")
    expected = session.revision
    session.add_message(message(9))
    there.delete_session("chat")
    with pytest.raises(SessionConflictError) as caught:
        here.save_session(session, expected=expected)
    assert caught.value.actual == ""
    fill(there, "chat", 3)
    with pytest.raises(SessionConflictError):
        here.save_session(session, expected=expected)
    assert len(state_of(there)[0]) == 3


@SHARED
def test_a_policy_for_one_save(tmp_path: Path, backend: str) -> None:
    """It holds in place of the option, for that save alone."""
    here, there = two(tmp_path, backend, on_conflict="raise")
    session, other = here.load_session("chat"), there.load_session("chat")
    other.add_message(message(10))
    there.save_session(other)
    session.add_message(message(11))
    with pytest.raises(SessionConflictError):
        here.save_session(session)
    here.save_session(session, on_conflict="append")
    assert state_of(there)[0][-2:] == [message(10), message(11)]
    other.reload()
    other.add_message(message(12))
    there.save_session(other)
    session.add_message(message(13))
    with pytest.warns(match="is now the session"):
        here.save_session(session, on_conflict="branch")
    assert len(there.list_sessions()) == 2


@SHARED
@pytest.mark.parametrize("size", [0, 70_000])
def test_the_same_words_are_said_twice(tmp_path: Path, backend: str, size: int) -> None:
    """What another process saved first, in the same words, is not taken for a save of this one, be it sealed or not."""
    there, here = two(tmp_path, backend)
    # Loaded, not made: it has yet to be held against the record.
    other, session = there.create_session("new"), here.load_session("new")
    for number in (1, 2):
        other.add_message(message(number, size))
    there.save_session(other)
    session.add_message(message(1, size))
    here.save_session(session)
    expected = [message(1, size), message(2, size), message(1, size)]
    assert session.get_messages() == state_of(there, "new")[0] == expected


def test_bad_conditions(make: Opener) -> None:
    """They are refused before anything is looked at."""
    with make() as manager:
        session = manager.create_session("chat")
        session.add_message(message(1))
        with pytest.raises(ValueError, match="on_conflict"):
            manager.save_session(session, on_conflict="merge")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="revision"):
            manager.save_session(session, expected=1)  # type: ignore[arg-type]
        assert session.has_unsaved_changes


def test_a_storage_of_ones_own() -> None:
    """It compares what it reads before; what it cannot do it says."""
    storage = DictStorage()
    with SessionManager(storage=storage) as here, SessionManager(storage=storage) as there:
        fill(here, "chat", 3)
        session, other = here.load_session("chat"), there.load_session("chat")
        expected = session.revision
        assert expected == other.revision
        other.update_metadata({"topic": "theirs"})
        there.save_session(other, expected=expected)
        session.add_message(message(9))
        for options in ({"expected": expected}, {"on_conflict": "raise"}):
            with pytest.raises(SessionConflictError) as caught:
                here.save_session(session, **options)  # type: ignore[arg-type]
            assert (caught.value.expected, caught.value.actual) == (expected, other.revision)
        with pytest.raises(UnsupportedError, match="merges nothing"):
            here.save_session(session, on_conflict="append")
        session.reload()
        session.add_message(message(9))
        here.save_session(session, expected=other.revision)
        here.save_session(session, on_conflict="raise")
        assert len(json.loads(storage.kept["chat"])[0]) == 4


def test_a_save_that_landed_with_an_error_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Done again with what was expected the first time, it is no conflict with itself; what came since is saved too."""
    here, there = two(tmp_path, "files")
    session = here.load_session("chat")
    expected, real = session.revision, LocalBackend.append_ref

    def append_ref(self: LocalBackend, *arguments: Any) -> None:
        real(self, *arguments)
        raise StoreError("no answer")

    monkeypatch.setattr(LocalBackend, "append_ref", append_ref)
    session.add_message(message(10))
    with pytest.raises(StoreError, match="no answer"):
        here.save_session(session, expected=expected)
    monkeypatch.undo()
    session.add_message(message(11))
    here.save_session(session, expected=expected)
    assert state_of(there)[0][3:] == [message(10), message(11)]
    session.add_message(message(12))
    with pytest.raises(SessionConflictError):
        here.save_session(session, expected=expected)


WRITER = """
    import sys
    from storekit import open_store
    from coda_fs_session import SessionConflictError

    with open_store(sys.argv[1], backend=sys.argv[2]) as manager:
        session, lost = manager.load_session("count"), 0
        for number in range(int(sys.argv[3])):
            while True:
                revision, last = session.revision, session.metadata["last"]
                session.update_metadata({"last": last + 1})
                session.add_message({"number": last + 1})
                try:
                    manager.save_session(session, expected=revision)
                    break
                except SessionConflictError:
                    lost += 1
                    session.reload()
    print(lost)
"""


@SHARED
def test_each_exactly_once(tmp_path: Path, backend: str, long_size: bool) -> None:
    """Two processes count in one session by compare and swap: no number is lost or given twice."""
    store, each = tmp_path / "s", 1000 if long_size else 150
    with open_store(store, backend=backend) as manager:
        session = manager.create_session("count")
        session.metadata = {"last": 0}
        manager.save_session(session)
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(store), backend, str(each)]
    writers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent) for _ in range(2)
    ]
    lost = [int(writer.communicate(timeout=300)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    with open_store(store, backend=backend) as manager:
        counted = manager.load_session("count")
        assert [each["number"] for each in counted.get_messages()] == list(range(1, 2 * each + 1))
        assert counted.metadata["last"] == 2 * each
    print(f"{sum(lost)} saves lost a race")
