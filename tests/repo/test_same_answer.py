"""A list and a look-up say the same of a session: what its states are, its name, its times, and what was reverted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from coda_fs_session import SessionManager, SessionWarning
from coda_fs_session.format.records import Base, CommitLink
from coda_fs_session.format.refs import Header, encode_header
from coda_fs_session.repo.index.groups import groups
from coda_fs_session.repo.lookup.names import related

from .machines import Machine, contents, said

OLD = "2026-01-02T03:04:05.000006+00:00"


def _listed(manager: SessionManager) -> dict[str, int]:
    return {info.name: info.message_count for info in manager.list_sessions()}


def _loaded(manager: SessionManager) -> dict[str, int]:
    return {info.name: len(manager.load_session(info.name)) for info in manager.list_sessions()}


def _commit_path(machine: Machine, link: CommitLink | None) -> Path:
    assert link is not None
    (path,) = (machine.store / "objects" / link.id[:2]).glob(f"{link.id}.jsonl*")
    return path


@pytest.mark.parametrize("again", [False, True], ids=["same process", "another process"])
def test_after_an_object_has_gone(here: Machine, there: Machine, again: bool) -> None:
    """What was found out stays true: a load does not show the older of two states as another session.

    The list went on saying what it had found; a load, which lacked the commit, gave the older state under the name.
    """
    here.create("chat", said("a", "b"))
    here.send_to(there)
    manager = there.manager()
    session = manager.load_session("chat")
    session.messages = said("edited", "b", "c")
    manager.save_session(session)
    there.send_to(here)
    manager = here.manager(message_cache_size=0)
    assert _listed(manager) == {"chat": 3}
    manager.close()
    manager = here.manager(message_cache_size=0)
    assert _listed(manager) == {"chat": 3}
    _commit_path(here, here.head("chat").header.commit).unlink()
    if again:
        manager = here.manager(message_cache_size=0)
    for _ in range(2):
        assert _listed(manager) == _loaded(manager) == {"chat": 3}
        assert contents(manager.load_session("chat")) == ["edited", "b", "c"]


def test_nothing_is_believed_of_refs_that_have_changed(here: Machine, there: Machine) -> None:
    """A ref that goes on after a list was made is what a load shows, and the next list."""
    here.create("chat", said("a"))
    here.send_to(there)
    there.change("chat", "b")
    there.send_to(here)
    manager = here.manager()
    assert _listed(manager) == {"chat": 2}
    there.change("chat", "c")
    # In place, as some tools write: the folder does not change, nor the file's inode.
    (ref,) = (here.store / "refs" / there.replica).iterdir()
    ref.write_bytes((there.store / "refs" / there.replica / ref.name).read_bytes())
    assert contents(manager.load_session("chat")) == ["a", "b", "c"]
    assert _listed(manager) == {"chat": 3}


def test_a_name_that_becomes_free(here: Machine, there: Machine) -> None:
    """A side has more digits only as long as somebody has the short name, in lists as in look-ups."""
    here.create("chat", said("here"))
    there.create("chat", said("there"))
    there.send_to(here)
    (short,) = set(here.names()) - {"chat"}
    # As it is from now on for all, be it that it had been made before the other side came.
    (here.store / "refs" / "third").mkdir()
    header = Header(short, "third", OLD, OLD, Base())
    ref = here.store / "refs" / "third" / "any.jsonl"
    ref.write_bytes(encode_header(header)[0])
    manager = here.manager()
    names = set(_listed(manager))
    assert {"chat", short} < names
    assert names == set(_loaded(manager))
    ref.unlink()
    assert set(_listed(manager)) == set(_loaded(manager)) == {"chat", short}


def test_updated_of_equal_states_is_the_latest(here: Machine, there: Machine) -> None:
    """Which of two files stands for a state is nothing that a user sees: nor by the time of its last change."""
    times = []
    for number, replica in enumerate(["a", "b", "c"]):
        header = Header("chat", replica, OLD, OLD.replace("03:04:05", f"03:04:1{(number + 1) % 3}"))
        folder = here.store / "refs" / replica
        folder.mkdir(parents=True)
        (folder / "chat.jsonl").write_bytes(encode_header(header)[0])
        manager = here.manager()
        (info,) = manager.list_sessions()
        times.append(info.updated_at.second)
        assert manager.load_session("chat").updated_at == info.updated_at
    assert times == [11, 12, 12]


def test_an_open_session_learns_of_a_later_time(here: Machine) -> None:
    """Opening a session again brings its time up to what a list says, where another file of its state has come."""
    here.create("chat", [])
    manager = here.manager()
    session = manager.load_session("chat")
    folder = here.store / "refs" / "zz"
    folder.mkdir()
    later = "2100-01-02T03:04:05.000006+00:00"
    (folder / "chat.jsonl").write_bytes(encode_header(Header("chat", "zz", OLD, later))[0])
    (info,) = manager.list_sessions()
    assert manager.load_session("chat") is session
    assert session.updated_at == info.updated_at
    assert info.updated_at.year == 2100


def test_reverted_where_another_machine_is_shown(here: Machine, there: Machine) -> None:
    """What a machine had saved is missing, whoever's file is shown, and whatever it is called by now.

    Only a session under the same name as the file was said to be reverted, and all its sides with it.
    """
    here.create("chat", said("a"))
    ref = here.only_ref()
    older = ref.read_bytes()
    here.send_to(there)
    manager = there.manager()
    manager.rename_session("chat", "talk")
    there.change("talk", "b")
    here.change("chat", "c")
    there.send_to(here)
    manager = here.manager()
    assert _listed(manager) == {"chat": 2, "talk": 2}
    ref.write_bytes(older)
    (info,) = manager.list_sessions()
    assert (info.name, info.replica, info.reverted) == ("talk", there.replica, True)
    with pytest.warns(SessionWarning, match="lacks some of what this machine has saved"):
        manager.load_session("talk")


def test_a_side_that_was_not_reverted(here: Machine, there: Machine) -> None:
    """Of two sides of a name, only the one whose file was put back is said to be reverted."""
    here.create("chat", said("a"))
    here.send_to(there)
    here.change("chat", "b")
    ref = here.only_ref()
    older = ref.read_bytes()
    here.change("chat", "c")
    there.change("chat", "x")
    there.send_to(here)
    manager = here.manager()
    assert len(_listed(manager)) == 2
    ref.write_bytes(older)
    assert {info.replica: info.reverted for info in manager.list_sessions()} == {
        here.replica: True,
        there.replica: False,
    }


@pytest.mark.parametrize("messages", [[], ["mine"]], ids=["empty", "with a message"])
def test_a_header_that_lists_any_number_of_names(here: Machine, messages: list[str]) -> None:
    """It costs what reading it costs, and takes no name away: not even that of a session without messages.

    4,000 names took seconds at every look-up, and four times as long if they were twice as many.
    """
    here.create("chat", said(*messages))
    names = tuple(f"n{number}~{number:08x}" for number in range(20_000))
    for replica in "yz":
        folder = here.store / "refs" / replica
        folder.mkdir()
        header = Header(replica, replica, OLD, OLD, former_names=("chat", *names))
        (folder / "z.jsonl").write_bytes(encode_header(header)[0])
    manager = here.manager()
    began = time.process_time()
    assert contents(manager.load_session("chat")) == messages
    assert sorted(_listed(manager)) == ["chat", "y", "z"]
    # Looking at the names of each for each name would take a minute.
    assert time.process_time() - began < 5


def test_a_chain_of_names(here: Machine) -> None:
    """Refs that are connected by one name after another are one group, in lists as in look-ups; others are not."""
    expected = {f"{number:03}" for number in range(0, 40, 2)}
    for number in range(40):
        folder = here.store / "refs" / str(number)
        folder.mkdir(parents=True)
        former = (f"{number - 2:03}",) if number > 1 else ()
        header = Header(f"{number:03}", str(number), OLD, OLD, former_names=former)
        (folder / "any.jsonl").write_bytes(encode_header(header)[0])
    repo = here.repository()
    assert {row.name for row in related(repo.index, "010")} == expected
    found = [{row.name for row in group} for group in groups(repo.index.rows())]
    assert sorted(map(sorted, found)) == [sorted(expected), sorted(f"{number:03}" for number in range(1, 40, 2))]
