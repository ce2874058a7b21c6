"""The option `diverged = "own"`: a plain name means the conversation that this machine has under it."""

from __future__ import annotations

import gc
import shutil
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coda_fs_session import (
    CorruptionError,
    Session,
    SessionConflictError,
    SessionExistsError,
    SessionManager,
    SessionNotFoundError,
    SessionWarning,
)

from .diverging import FIRST, SECOND, exchange
from .machines import Machine, contents, said
from .own_side import OWN, names, say

pytestmark = pytest.mark.filterwarnings("ignore:session '.*' was continued on another machine too")


@pytest.fixture(params=["files", "memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SessionManager]:
    """A manager with the option, on each backend; "default" is another machine's, its own has a derived name."""
    managers = []
    for replica, text in (("laptop", FIRST), ("desk", SECOND)):
        paths = {"storage_path": tmp_path / replica, "state_path": tmp_path / f"{replica}-state"}
        options = {"backend": request.param, "replica": replica, "autosave_interval": 0, "durability": "none", **OWN}
        manager = SessionManager({"session": {**paths, **options}})
        managers.append(manager)
        session = manager.create_session("default")
        session.add_message(said(text)[0])
        manager.save_session(session)
        del session
    managers[0].sync(managers[1])
    yield managers[1]
    for manager in managers:
        manager.close()


def test_every_verb_finds_this_machines_side(desk: SessionManager, tmp_path: Path) -> None:
    """Whatever takes a name takes the plain one for this machine's side, and says what that is called."""
    (derived,) = names(desk) - {"default"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = desk.create_session("default")
        assert (session.name, session.diverged_from, contents(session)) == (derived, "default", [SECOND])
        assert desk.load_session("default") is desk.load_session(derived) is session
        assert desk.load_session("default", partial=True) is session
    say(desk, session, "on")
    info = desk.get_session_info("default")
    assert info is not None
    assert (info.name, info.message_count, info.sides) == (derived, 2, ("default",))
    assert "default" in desk
    exported = desk.export_session("default", tmp_path / "exported.json")
    branch = desk.create_session("branch", branch_from="default", at=1)
    assert contents(branch) == [SECOND]
    assert desk.create_session("branch", branch_from="default") is branch
    with pytest.raises(SessionExistsError):
        desk.create_session("default", branch_from="branch")
    with pytest.raises(SessionExistsError):
        desk.import_session(exported)
    assert desk.import_session(exported, on_exists="skip") is session
    assert contents(desk.import_session(exported, name="copy")) == [SECOND, "on"]
    assert desk.import_session(exported, on_exists="replace") is session
    desk.templates.register("plain", system="Be brief.")
    assert desk.templates.create("plain", "default") is session
    with pytest.raises(SessionExistsError):
        desk.rename_session("branch", "default")
    with pytest.raises(SessionExistsError):
        desk.save_session(Session("default"))
    assert names(desk) == {"default", derived, "branch", "copy"}


@pytest.mark.parametrize("verb", ["delete", "rename"])
def test_what_changes_a_name_must_say_which(desk: SessionManager, verb: str) -> None:
    """To delete or rename by a name that others have too is refused, whether open or not, and both are named."""
    (derived,) = names(desk) - {"default"}
    change = {"delete": desk.delete_session, "rename": lambda name: desk.rename_session(name, "talk")}[verb]
    for held in (None, desk.load_session("default")):
        with pytest.raises(SessionConflictError) as caught:
            change("default")
        assert caught.value.sides == (derived, "default")
        assert repr(derived) in str(caught.value)
        assert "'laptop'" in str(caught.value)
        assert names(desk) == {"default", derived}
        del held
    change(derived)
    assert names(desk) == {"default"} | ({"talk"} if verb == "rename" else set())
    # Now there is no side of this machine any more, and the name means what it means everywhere.
    assert contents(desk.load_session("default")) == [FIRST]
    change("default") if verb == "delete" else desk.rename_session("default", "theirs")
    assert "default" not in desk


@pytest.mark.usefixtures("derived")
def test_a_name_that_only_we_have(here: Machine, there: Machine) -> None:
    """Where the conversation that kept the name has another one now, it is ours alone, and nothing new gets it."""
    here.manager().rename_session("default", "trip")
    exchange(here, there)
    manager = there.manager(**OWN)
    assert manager.create_session("default").name == "default"
    with pytest.raises(SessionExistsError):
        manager.save_session(Session("default"))
    with pytest.raises(SessionExistsError):
        manager.rename_session("trip", "default")
    manager.rename_session("default", "talk")
    assert there.names() == ["talk", "trip"]


def test_a_name_that_a_renamed_side_keeps(here: Machine, there: Machine) -> None:
    """Where nobody has the plain name, but ours has a derived one, the name is ours, and nothing new gets it."""
    here.create("default", said(1))
    exchange(here, there)
    here.change("default", FIRST)
    there.change("default", SECOND)
    exchange(here, there)
    # Which of the two kept the name is for the messages to say.
    holder, other = (here, there) if here.read("default")[-1] == FIRST else (there, here)
    holder.manager().rename_session("default", "trip")
    exchange(here, there)
    (derived,) = set(other.names()) - {"trip"}
    assert derived != "default"
    manager = other.manager(**OWN)
    with pytest.raises(SessionExistsError):
        manager.save_session(Session("default"))
    with pytest.raises(SessionExistsError):
        manager.rename_session("trip", "default")
    with pytest.raises(SessionExistsError):
        manager.create_session("default", branch_from="trip")
    assert "default" in manager
    assert manager.create_session("default").name == derived
    manager.rename_session("default", "talk")
    assert other.names() == ["talk", "trip"]


def test_the_own_side_may_take_a_name_back(here: Machine, there: Machine, derived: str) -> None:
    """Once nobody has the plain name, this machine's side can be given it."""
    here.manager().delete_session("default")
    exchange(here, there)
    manager = there.manager(**OWN)
    manager.rename_session(derived, "default")
    assert there.names() == ["default"]
    assert contents(manager.load_session("default")) == [SECOND]


def test_who_kept_the_name_sees_no_difference(here: Machine, there: Machine, derived: str) -> None:
    """On the machine whose side kept the name, it is deleted by it."""
    manager = here.manager(**OWN)
    assert manager.load_session("default").name == "default"
    manager.delete_session("default")
    assert here.names() == [derived]
    assert here.read(derived) == [SECOND]


def test_a_machine_without_a_side_goes_on_with_the_others(
    here: Machine, there: Machine, derived: str, tmp_path: Path
) -> None:
    """A name means what it means everywhere to a machine that has nothing under it."""
    manager = there.copied_to(tmp_path / "new", "new-00000003").manager(**OWN)
    session = manager.create_session("default")
    assert contents(session) == [FIRST]
    say(manager, session, "on")
    assert contents(manager.load_session("default")) == [FIRST, "on"]
    assert manager.load_session("default") is session


def test_both_machines_stay_with_their_conversations(here: Machine, there: Machine) -> None:
    """Programs with a fixed name never change over to another conversation, however often files are exchanged."""
    for machine, text in ((here, FIRST), (there, SECOND)):
        machine.create("default", said(text))
    for turn in range(3):
        exchange(here, there)
        for machine in (here, there):
            manager = machine.manager(**OWN)
            say(manager, manager.create_session("default"), f"{machine.replica} {turn}")
    for machine, text in ((here, FIRST), (there, SECOND)):
        session = machine.manager(**OWN).create_session("default")
        assert contents(session) == [text, *(f"{machine.replica} {turn}" for turn in range(3))]


def test_the_newest_of_several_sides(here: Machine, there: Machine, derived: str) -> None:
    """Of two conversations of a name on which this machine was at work, the name means the last one."""
    there.change("default", "on theirs")
    manager = there.manager(**OWN)
    assert manager.load_session("default").name == "default"
    say(manager, manager.load_session(derived), "on ours")
    # What is open under a name stays what it means.
    gc.collect()
    assert there.manager(**OWN).load_session("default").name == derived


def test_the_newest_side_is_told_by_what_this_machine_wrote(here: Machine, there: Machine, derived: str) -> None:
    """Not by the times of others whose metadata a session shows: their clocks may be ahead."""
    there.change("default", "on theirs")
    manager = here.manager(clock=lambda: datetime.now(UTC) + timedelta(days=1))
    session = manager.load_session("default")
    session.update_metadata({"topic": "travel"})
    manager.save_session(session)
    there.change(derived, "on ours")
    exchange(here, there)
    assert there.manager().load_session("default").metadata == {"topic": "travel"}
    assert there.manager(**OWN).load_session("default").name == derived


def test_a_side_that_others_went_on_with(here: Machine, there: Machine, derived: str) -> None:
    """It is this machine's still, with what they added."""
    here.change(derived, "from here")
    exchange(here, there)
    session = there.manager(**OWN).load_session("default")
    assert (session.name, contents(session)) == (derived, [SECOND, "from here"])


def test_a_side_that_was_renamed_elsewhere(here: Machine, there: Machine, derived: str) -> None:
    """It has the name no longer: that means what it means to all."""
    here.manager().rename_session(derived, "talk")
    exchange(here, there)
    assert contents(there.manager(**OWN).load_session("default")) == [FIRST]


def test_damage_sends_nobody_to_another_conversation(here: Machine, there: Machine, derived: str) -> None:
    """Where this machine's side is damaged, that is an error; where the other one is, ours can be read."""
    ours = there.store / "refs" / there.replica / "default.jsonl"
    theirs = there.store / "refs" / here.replica / "default.jsonl"
    good = ours.read_bytes()
    ours.write_bytes(good[:-10] + b"x" + good[-9:])
    there.lose_record()
    manager = there.manager(**OWN)
    header = good.partition(b"\n")[0]
    ours.write_bytes(b"x" + header[1:])
    for verb in (manager.create_session, manager.delete_session):
        with pytest.raises(CorruptionError):
            verb("default")
    ours.write_bytes(good[:-10] + b"x" + good[-9:])
    for verb in (manager.create_session, manager.delete_session):
        with pytest.raises(CorruptionError):
            verb("default")
    info = manager.get_session_info("default")
    assert info is not None
    assert isinstance(info.error, CorruptionError)
    assert "default" in manager
    ours.write_bytes(good)
    data = theirs.read_bytes()
    theirs.write_bytes(data[:-10] + b"x" + data[-9:])
    # With nothing of it left that can be read, it keeps no name from ours.
    assert contents(there.manager(**OWN).create_session("default")) == [SECOND]


def test_nothing_is_written_to_find_a_side(here: Machine, there: Machine, derived: str) -> None:
    """Reading by a plain name leaves the store as it is."""
    before = {path: path.read_bytes() for path in there.store.rglob("*") if path.is_file()}
    manager = there.manager(**OWN)
    assert manager.load_session("default").name == derived
    assert manager.get_session_info("default") is not None
    assert {path: path.read_bytes() for path in there.store.rglob("*") if path.is_file()} == before


def test_a_side_that_is_undecided(here: Machine, there: Machine) -> None:
    """As long as it cannot be told how the conversations stand to each other, a machine goes on with its own."""
    here.create("chat", said(*range(40)))
    exchange(here, there)
    here.change("chat", *range(40, 80))
    there.change("chat", *range(50, 90))
    shutil.copytree(here.store / "refs" / here.replica, there.store / "refs" / here.replica, dirs_exist_ok=True)
    assert contents(there.manager(**OWN).load_session("chat"))[-1] == "89"
    for path in there.store.glob("objects/*/*"):
        path.unlink()
    shutil.copytree(here.store / "objects", there.store / "objects", dirs_exist_ok=True)
    session = there.manager(**OWN).load_session("chat")
    assert session._state.copy.source.cursor.state.key.replica == there.replica  # type: ignore[union-attr]


def test_hooks_see_what_came_with_another_name(here: Machine, there: Machine) -> None:
    """A state that is read because a name is opened is shown to `after_load`, under whatever name it goes then."""
    seen: list[tuple[str, int]] = []

    class Hook:
        def after_load(self, session: Session) -> None:
            seen.append((session.name, len(session)))

    here.create("default", said(FIRST))
    there.create("default", said(SECOND))
    manager = there.manager(**OWN)
    manager.use(Hook())
    session = manager.load_session("default")
    there.change("default", "by another process")
    exchange(here, there)
    assert manager.load_session("default") is session
    assert seen == [("default", 1), (session.name, 2)]


@pytest.mark.parametrize("verb", ["delete_session", "load_session"])
def test_a_name_that_means_nothing(there: Machine, verb: str) -> None:
    """It is not found, as ever."""
    there.create("default", said(SECOND))
    with pytest.raises(SessionNotFoundError):
        getattr(there.manager(**OWN), verb)("nobody")


def test_what_is_said_with_the_option(here: Machine, there: Machine, derived: str) -> None:
    """Who has chosen to stay with the own side is not warned that it has another name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", SessionWarning)
        there.manager(**OWN).create_session("default")
