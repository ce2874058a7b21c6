"""Who opens a name that means another conversation now is told what this machine's own is called."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import Session, SessionAnalytics, SessionManager, SessionNotFoundError, SessionWarning

from .diverging import FIRST, SECOND, apart, exchange
from .machines import Machine, contents, said


def opened(
    manager: SessionManager, name: str, verb: str = "create_session", **options: Any
) -> tuple[Session, list[str]]:
    """Open a session; returns also what was said about whose name it is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session = getattr(manager, verb)(name, **options)
    assert {each.category for each in caught} <= {SessionWarning}
    return session, [str(each.message) for each in caught if "is not the conversation" in str(each.message)]


@pytest.mark.parametrize("verb", ["create_session", "load_session"])
def test_a_name_that_means_another_conversation_now(here: Machine, there: Machine, verb: str) -> None:
    """Who opens it is told once what this machine's own is called; whoever kept the name, and lists, hear nothing."""
    derived = apart(here, there)
    manager = there.manager()
    manager.list_sessions()
    SessionAnalytics(manager).get_breakdown()
    session, said_of_it = opened(manager, "default", verb)
    assert contents(session) == [FIRST]
    (text,) = said_of_it
    assert f"load_session({derived!r})" in text
    assert f"get_session_info({derived!r}).sides" in text
    del session
    assert opened(manager, "default", verb)[1] == []
    assert opened(manager, derived, verb)[1] == []
    assert len(opened(there.manager(), "default", verb)[1]) == 1
    assert opened(here.manager(), "default", verb)[1] == []
    assert opened(here.manager(), derived, verb)[1] == []


def test_who_goes_on_with_the_other_conversation_is_not_told_again(here: Machine, there: Machine) -> None:
    """What this machine last saved under a name is then that one."""
    apart(here, there)
    there.change("default", "on")
    assert opened(there.manager(), "default")[1] == []


def test_a_partial_session_is_told_of_too(here: Machine, there: Machine) -> None:
    """So is one that is opened without what has not arrived."""
    here.create("chat", said(FIRST, *range(40), *("late" for _ in range(40))))
    there.create("chat", said(SECOND))
    exchange(here, there)
    (late, *_) = [path for path in there.store.glob("objects/*/*") if b"late" in path.read_bytes()]
    late.unlink()
    session, texts = opened(there.manager(), "chat", "load_session", partial=True)
    assert session.missing
    assert len(texts) == 1


def test_a_name_that_nobody_has_any_more(here: Machine, there: Machine) -> None:
    """Where the side that kept the name is gone, the name means nothing, or something new: who asks for it is told."""
    derived = apart(here, there)
    here.manager().delete_session("default")
    exchange(here, there)
    assert there.names() == [derived]
    manager = there.manager()
    with pytest.warns(SessionWarning, match="is not the conversation"), pytest.raises(SessionNotFoundError):
        manager.load_session("default")
    _, texts = opened(there.manager(), "default")
    assert len(texts) == 1


def test_an_open_session_that_moves_is_told_of_once(here: Machine, there: Machine) -> None:
    """Who has a session open hears that it goes by another name now, not also that the name is another's."""
    here.create("default", said(FIRST))
    there.create("default", said(SECOND))
    manager = there.manager()
    session = manager.load_session("default")
    exchange(here, there)
    with pytest.warns(SessionWarning) as caught:
        other = manager.load_session("default")
    (text,) = [str(each.message) for each in caught]
    assert other is not session
    assert f"get_session_info({session.name!r}).sides" in text


@pytest.mark.parametrize("lacks", ["ours", "theirs"])
def test_what_is_undecided_is_not_told_of(here: Machine, there: Machine, tmp_path: Path, lacks: str) -> None:
    """That the name is another conversation's is only said where it is certain."""
    here.create("chat", said(*range(40)))
    exchange(here, there)
    here.change("chat", *range(40, 80))
    there.change("chat", *range(50, 90))
    has = here if lacks == "ours" else there
    partly = Machine(tmp_path / "partly", there.replica)
    shutil.copytree(has.store, partly.store)
    shutil.copytree(there.store / "refs", partly.store / "refs", dirs_exist_ok=True)
    shutil.copytree(here.store / "refs", partly.store / "refs", dirs_exist_ok=True)
    (undecided,) = [info for info in partly.manager().list_sessions() if info.undecided]
    assert undecided.replica == (there if lacks == "ours" else here).replica
    for name in ("chat", undecided.name):
        assert opened(partly.manager(), name)[1] == []


def test_several_sides_that_others_made_of_ours(here: Machine, there: Machine, third: Machine) -> None:
    """Where others went on from what this machine saved, one of them under the name, that one is as good as its own."""
    here.create("default", said(1))
    here.send_to(there)
    here.send_to(third)
    there.change("default", FIRST)
    third.change("default", SECOND)
    exchange(here, there, third)
    assert len(here.names()) == 2
    assert opened(here.manager(), "default")[1] == []
    assert here.manager(diverged="own").load_session("default").name == "default"


def test_a_conversation_that_was_begun_anew_is_no_more_ours(here: Machine, there: Machine, third: Machine) -> None:
    """One that another machine deleted and made anew is not what this machine saved, under whatever name it goes."""
    here.create("default", said(SECOND))
    here.send_to(there)
    there.manager().delete_session("default")
    there.create("default", said("anew"))
    third.create("default", said(FIRST))
    exchange(here, there, third)
    assert len(here.names()) == 2
    assert opened(here.manager(), "default")[1] == []


@pytest.fixture(params=["files", "memory", "sqlite"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], SessionManager]]:
    """Opens a manager on each backend, as a machine of its own."""
    managers: list[SessionManager] = []

    def make(replica: str) -> SessionManager:
        paths = {"storage_path": tmp_path / replica, "state_path": tmp_path / f"{replica}-state"}
        options = {"backend": request.param, "replica": replica, "autosave_interval": 0, "durability": "none"}
        managers.append(SessionManager({"session": {**paths, **options}}))
        return managers[-1]

    yield make
    for manager in managers:
        manager.close()


def test_every_backend_tells_them(machine: Callable[[str], SessionManager]) -> None:
    """Sides, where they part, and the warning are the same over files, in memory and in a database."""
    one, other = machine("laptop"), machine("desk")
    for manager, text in ((one, FIRST), (other, SECOND)):
        session = manager.create_session("default")
        session.add_message(said(text)[0])
        manager.save_session(session)
        del session
    one.sync(other)
    for manager in (one, other):
        infos = {info.name: info for info in manager.list_sessions()}
        (derived,) = infos.keys() - {"default"}
        assert (infos["default"].sides, infos[derived].sides) == ((derived,), ("default",))
        assert {info.diverged_at for info in infos.values()} == {0}
        assert len(opened(manager, "default")[1]) == (manager is other)
