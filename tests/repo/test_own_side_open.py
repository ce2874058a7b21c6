"""`diverged = "own"` while sessions are open: a plain name goes on meaning this machine's side."""

from __future__ import annotations

import threading
import time

import pytest

from coda_fs_session import Session, SessionConflictError, SessionManager

from .diverging import FIRST, SECOND, exchange
from .machines import Machine, contents, said
from .own_side import OWN, say

pytestmark = pytest.mark.filterwarnings("ignore:session '.*' was continued on another machine too")


@pytest.mark.parametrize("unsaved", [[], ["unsaved"]], ids=["saved", "unsaved"])
def test_an_open_session_follows_a_rename_by_its_derived_name(
    here: Machine, there: Machine, unsaved: list[str]
) -> None:
    """Also where the object has not been looked at since it got that name."""
    here.create("default", said(FIRST))
    there.create("default", said(SECOND))
    manager = there.manager()
    session = manager.load_session("default")
    for message in said(*unsaved):
        session.add_message(message)
    exchange(here, there)
    (derived,) = set(there.names()) - {"default"}
    manager.rename_session(derived, "talk")
    assert session.name == "talk"
    assert manager.load_session("talk") is session
    manager.save_session(session)
    assert there.read("talk") == [SECOND, *unsaved]


@pytest.mark.parametrize("unsaved", [False, True])
def test_a_sync_while_a_session_is_open(here: Machine, there: Machine, unsaved: bool) -> None:
    """The open object stays that of its name, goes by its derived one too, and loses nothing it holds."""
    here.create("default", said(FIRST))
    there.create("default", said(SECOND))
    manager = there.manager(**OWN)
    session = manager.load_session("default")
    exchange(here, there)
    (derived,) = set(there.names()) - {"default"}
    if unsaved:
        session.add_message(said("unsaved")[0])
    assert manager.create_session("default") is session
    assert manager.load_session(derived) is session
    assert session.name == derived
    assert contents(session) == ([SECOND, "unsaved"] if unsaved else [SECOND])
    manager.save_session(session)
    assert manager.create_session("default") is session
    assert there.read(derived) == contents(session)


def opened_and_parted(here: Machine, there: Machine, options: dict[str, str]) -> tuple[SessionManager, Session, str]:
    """Return a manager with an open session that has unsaved changes, and the name that it has got meanwhile."""
    here.create("default", said(FIRST))
    there.create("default", said(SECOND))
    manager = there.manager(**options)
    session = manager.load_session("default")
    session.add_message(said("unsaved")[0])
    exchange(here, there)
    (derived,) = set(there.names()) - {"default"}
    return manager, session, derived


@pytest.mark.parametrize("options", [{}, OWN], ids=["shared", "own"])
def test_an_open_session_is_found_by_its_derived_name(here: Machine, there: Machine, options: dict[str, str]) -> None:
    """Also where the object has not been looked at since it got that name: there is one object of a session."""
    manager, session, derived = opened_and_parted(here, there, options)
    assert manager.load_session(derived) is session
    assert contents(session) == [SECOND, "unsaved"]
    other = manager.create_session("default")
    assert (other is session) == bool(options)


@pytest.mark.parametrize("options", [{}, OWN], ids=["shared", "own"])
@pytest.mark.parametrize("verb", ["delete", "rename"])
def test_a_name_that_changed_hands_under_an_open_session(
    here: Machine, there: Machine, verb: str, options: dict[str, str]
) -> None:
    """Who deletes or renames an open session by its old name never hits the other machine's conversation."""
    manager, session, derived = opened_and_parted(here, there, options)
    change = {"delete": manager.delete_session, "rename": lambda name: manager.rename_session(name, "talk")}[verb]
    with pytest.raises(SessionConflictError) as caught:
        change("default")
    assert caught.value.sides == (derived, "default")
    assert there.names() == sorted(["default", derived])
    assert manager.load_session(derived) is session
    change(derived)
    if verb == "rename":
        assert session.name == "talk"
        manager.save_session(session)
        assert there.read("talk") == [SECOND, "unsaved"]
    assert there.read("default") == [FIRST]


def test_autosave_brings_back_no_side_that_was_deleted(here: Machine, there: Machine) -> None:
    """A session that was deleted by its derived name is let go of, though it was opened by the plain one."""
    here.create("default", said(FIRST))
    there.create("default", said(SECOND))
    config = {"storage_path": there.store, "state_path": there.folder / "state", "replica": there.replica, **OWN}
    manager = SessionManager({"session": {**config, "autosave_interval": 0.05}})
    session = manager.load_session("default")
    exchange(here, there)
    (derived,) = set(there.names()) - {"default"}
    with session._lock:
        session.add_message(said("unsaved")[0])
        manager.delete_session(derived)
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        threading.Event().wait(0.02)
    manager.close()
    assert there.names() == ["default"]


def test_several_managers(here: Machine, there: Machine, derived: str) -> None:
    """Each takes names as its own option says, at the same time."""
    own, shared = there.manager(**OWN), there.manager()
    ours, theirs = own.load_session("default"), shared.load_session("default")
    assert (ours.name, theirs.name) == (derived, "default")
    say(shared, theirs, "theirs")
    say(own, ours, "ours")
    assert there.read(derived) == [SECOND, "ours"]
    assert there.read("default") == [FIRST, "theirs"]
    assert own.load_session("default") is ours
