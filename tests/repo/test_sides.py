"""What is told of a conversation that went on in several places: its sides, where they part, and whose name it is."""

from __future__ import annotations

import random
import shutil
import time
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from coda_fs_session import Session, SessionInfo, StoreError
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.repo.ancestry.sides import Sides as FoundSides
from coda_fs_session.repo.ancestry.sides import sides_of
from coda_fs_session.repo.lookup.names import read_refs, related, view_of

from .diverging import FIRST, SECOND, THIRD, apart, exchange
from .machines import Machine, said

SETTLED = 0.1
"""Seconds after which a file's time tells whether it was changed since."""

NO_SIDES = FoundSides()

Sides = dict[str, tuple[tuple[str, ...], int | None]]


def told(machine: Machine) -> Sides:
    """Return sides and parting by name, as a list has them, and as each session by itself."""
    manager = machine.manager()
    infos = {info.name: info for info in manager.list_sessions()}
    for name, info in infos.items():
        assert manager.get_session_info(name) == info
    manager.close()
    # What the index keeps is what was worked out.
    assert {info.name: info for info in machine.manager().list_sessions()} == infos
    return {name: (info.sides, info.diverged_at) for name, info in infos.items()}


def test_each_side_names_the_others(here: Machine, there: Machine, third: Machine) -> None:
    """Of a session that three machines went on with, each names the two others, in the order of their labels."""
    here.create("chat", said(1, 2))
    exchange(here, there)
    here.send_to(third)
    assert told(here) == {"chat": ((), None)}
    here.change("chat", FIRST)
    there.change("chat", SECOND)
    exchange(here, there)
    (derived,) = set(here.names()) - {"chat"}
    assert told(here) == told(there) == {"chat": ((derived,), 2), derived: (("chat",), 2)}
    third.change("chat", THIRD)
    exchange(here, there, third)
    names = sorted(here.names(), key=lambda name: (len(name), name))
    expected = {name: (tuple(other for other in names if other != name), 2) for name in names}
    assert len(names) == 3
    assert told(here) == told(there) == told(third) == expected


def test_an_undecided_session_has_no_sides(here: Machine, there: Machine) -> None:
    """What cannot be told yet is told of neither: nobody's side is one that may turn out to be an earlier state."""
    apart(here, there)
    repo = here.manager()._storage.repo  # type: ignore[attr-defined]
    rows = related(repo.index, "default")
    sessions = list(view_of(repo, read_refs(repo, rows), rows).sessions)
    found, complete = sides_of(sessions)
    assert complete
    assert [len(sides.labels) for sides in found] == [1, 1]
    sessions[0] = sessions[0]._replace(undecided=StoreError("an object is missing"))
    assert sides_of(sessions) == ([NO_SIDES, NO_SIDES], True)


def test_sessions_that_began_apart(here: Machine, there: Machine) -> None:
    """Two machines that gave one name to two conversations: they part at the very beginning."""
    derived = apart(here, there)
    assert told(here) == told(there) == {"default": ((derived,), 0), derived: (("default",), 0)}


def test_what_all_sides_have_in_common_counts(here: Machine, there: Machine, third: Machine) -> None:
    """Where one side left earlier than the others did, they part from it, and so from their sides, there."""
    here.create("chat", said(1))
    exchange(here, third)
    here.change("chat", 2)
    here.send_to(there)
    for machine, text in zip((here, there, third), (FIRST, SECOND, THIRD), strict=True):
        machine.change("chat", text)
    exchange(here, there, third)
    assert {at for _, at in told(here).values()} == {1}


def test_hidden_messages_do_not_count(here: Machine, there: Machine) -> None:
    """They part at a count that fits the messages which a session shows."""
    here.create("chat", said(*range(30)))
    manager = here.manager()
    session = manager.load_session("chat")
    session.truncate_messages(4)
    manager.save_session(session)
    here.send_to(there)
    here.change("chat", "here")
    there.change("chat", "there")
    exchange(here, there)
    assert {at for _, at in told(here).values()} == {4}
    one, other = (here.read(name) for name in here.names())
    assert one[:4] == other[:4]


def test_a_side_that_was_renamed_stays_one(here: Machine, there: Machine) -> None:
    """A side under a name of its own is still named, by that name; what gets the old name then is none of them."""
    here.create("chat", said(1))
    exchange(here, there)
    here.change("chat", FIRST)
    there.change("chat", SECOND)
    exchange(here, there)
    (derived,) = set(here.names()) - {"chat"}
    here.manager().rename_session(derived, "talk")
    exchange(here, there)
    assert told(here) == told(there) == {"chat": (("talk",), 1), "talk": (("chat",), 1)}
    there.manager().rename_session("chat", "trip")
    exchange(here, there)
    assert told(here) == told(there) == {"talk": (("trip",), 1), "trip": (("talk",), 1)}
    here.create("chat", said(1, "anew"))
    exchange(here, there)
    assert told(here) == told(there) == {"chat": ((), None), "talk": (("trip",), 1), "trip": (("talk",), 1)}


def test_a_renamed_session_and_one_that_began_apart(here: Machine, there: Machine) -> None:
    """That a session once had the name of another is not enough: they went through nothing together."""
    here.create("chat", said(1))
    here.manager().rename_session("chat", "talk")
    there.create("chat", said(2))
    exchange(here, there)
    assert told(here) == told(there) == {"chat": ((), None), "talk": ((), None)}


def test_a_renamed_session_and_one_that_began_anew(here: Machine, there: Machine) -> None:
    """Nor is it that both began anew after the same session was deleted."""
    here.create("chat", said(1))
    here.manager().delete_session("chat")
    exchange(here, there)
    # Not empty at first: that would be the same session once more.
    here.manager().save_session(Session("chat", said("here")))
    there.manager().save_session(Session("chat", said("there")))
    there.manager().rename_session("chat", "talk")
    exchange(here, there)
    assert told(here) == told(there) == {"chat": ((), None), "talk": ((), None)}


def test_branches_are_no_sides(here: Machine, there: Machine) -> None:
    """A branch is told by `parent` and `forked_at`; where both are, the two numbers are of two things."""
    here.create("chat", said(1, 2, 3))
    here.manager().create_session("branch", branch_from="chat", at=2)
    exchange(here, there)
    here.change("branch", "on", FIRST)
    there.change("branch", "on", SECOND)
    exchange(here, there)
    infos = {info.name: info for info in here.manager().list_sessions()}
    (derived,) = infos.keys() - {"chat", "branch"}
    assert told(here) == {"chat": ((), None), "branch": ((derived,), 3), derived: (("branch",), 3)}
    assert {infos[name].forked_at for name in ("branch", derived)} == {2}


def test_a_deleted_side_is_named_no_more(here: Machine, there: Machine) -> None:
    """What is not listed is no side."""
    derived = apart(here, there)
    there.manager().delete_session(derived)
    exchange(here, there)
    assert told(here) == told(there) == {"default": ((), None)}


def test_undecided_sessions_have_no_sides_yet(here: Machine, there: Machine, third: Machine, tmp_path: Path) -> None:
    """As long as it cannot be told whether one goes on from the other, they are not called sides; then they are.

    Nor of a third one, from which both have parted for certain.
    """
    fourth = Machine(tmp_path / "fourth", "fourth-00000004")
    fourth.create("chat", said("apart"))
    here.create("chat", said(*range(40)))
    exchange(here, there)
    here.change("chat", *range(40, 80))
    there.change("chat", *range(50, 90))
    shutil.copytree(here.store / "objects", third.store / "objects")
    exchange(here, there, fourth)
    shutil.copytree(here.store / "refs", third.store / "refs")
    infos = {info.name: info for info in third.manager().list_sessions()}
    (undecided,) = [name for name, info in infos.items() if info.undecided]
    decided = infos.keys() - {undecided}
    assert len(decided) == 2
    assert (infos[undecided].sides, infos[undecided].diverged_at) == ((), None)
    for name in decided:
        assert (set(infos[name].sides), infos[name].diverged_at) == (decided - {name}, 0)
    third.manager().close()
    shutil.copytree(here.store / "objects", third.store / "objects", dirs_exist_ok=True)
    sides = told(third)
    assert sides == told(here)
    assert {name: (set(others), at) for name, (others, at) in sides.items()} == {
        name: (sides.keys() - {name}, 0) for name in sides
    }


def test_renamed_sides_that_cannot_be_compared_yet(here: Machine, there: Machine, third: Machine) -> None:
    """Names alone make no sides of two sessions that were both renamed; once their messages have come, these tell."""
    here.create("chat", said(*range(40)))
    exchange(here, there)
    here.change("chat", *range(40, 80))
    there.change("chat", *range(50, 90))
    here.manager().rename_session("chat", "talk")
    there.manager().rename_session("chat", "trip")
    exchange(here, there)
    shutil.copytree(here.store / "refs", third.store / "refs")
    for path in here.store.glob("objects/*/*"):
        if path.read_bytes().startswith(b'{"coda_fs_session":1,"commit"'):
            (third.store / path.relative_to(here.store)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, third.store / path.relative_to(here.store))
    manager = third.manager()
    assert {(info.name, info.sides, info.diverged_at) for info in manager.list_sessions()} == {
        ("talk", (), None),
        ("trip", (), None),
    }
    manager.close()
    shutil.copytree(here.store / "objects", third.store / "objects", dirs_exist_ok=True)
    assert told(third) == told(here) == {"talk": (("trip",), 40), "trip": (("talk",), 40)}


def test_the_index_serves_them(here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that nothing changed since reads no ref and no object for them; nor does it where another session did."""
    derived = apart(here, there)
    here.create("other", said(1))
    time.sleep(SETTLED)
    manager = here.manager()
    expected = [(info.name, info.sides, info.diverged_at) for info in manager.list_sessions()]
    manager.close()
    assert ("default", (derived,), 0) in expected

    def refuse(*arguments: object) -> Any:
        raise AssertionError(arguments)

    real = LocalBackend.read_ref
    with monkeypatch.context() as patched:
        patched.setattr(LocalBackend, "get_object", refuse)
        patched.setattr(LocalBackend, "read_ref", refuse)
        assert [(info.name, info.sides, info.diverged_at) for info in here.manager().list_sessions()] == expected
    here.change("other", 2)
    read = []
    with monkeypatch.context() as patched:
        patched.setattr(LocalBackend, "get_object", refuse)
        patched.setattr(LocalBackend, "read_ref", lambda backend, key: read.append(key.path) or real(backend, key))
        infos = here.manager().list_sessions()
    assert {(info.name, info.sides, info.diverged_at) for info in infos} == set(expected)
    assert [path.rpartition("/")[2] for path in read] == ["other.jsonl"]


def test_any_histories(tmp_path: Path, seed: int, long_size: bool) -> None:
    """Whatever machines append and exchange: sides name each other, and part where their messages do."""
    draw = random.Random(seed)
    parted = 0
    for trial in range(200 if long_size else 12):
        machines = [Machine(tmp_path / f"{trial}-{number}", f"machine-{number}") for number in range(3)]
        for _ in range(12):
            machine, other = draw.sample(machines, 2)
            names = machine.names() if machine.store.exists() else []
            if not names:
                machine.create("chat", said(draw.randrange(2)))
            elif draw.random() < 0.6:
                machine.change(draw.choice(names), draw.randrange(3))
            else:
                exchange(machine, other)
        for machine in machines:
            if machine.store.exists():
                sides = told(machine)
                texts = {name: machine.read(name) for name in sides}
                for name, (others, at) in sides.items():
                    parted += bool(others)
                    assert set(others) == sides.keys() - {name}
                    assert at == min((common(texts[name], texts[other]) for other in others), default=None)
    assert parted > 10


def common(one: list[str], other: list[str]) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))


def test_a_storage_of_ones_own_tells_nothing() -> None:
    """What it lists has no sides."""
    info = SessionInfo("chat", 0, datetime.now(), datetime.now(), {}, 0)
    assert (info.sides, info.diverged_at) == ((), None)
