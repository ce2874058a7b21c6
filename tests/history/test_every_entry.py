"""Whatever a session was after a save or a step can be gone back to, however much came after it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from coda_fs_session import Session, SessionManager
from coda_fs_session.backends.memory import MemoryBackend, MemoryState
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.repo.repository import Repository, Settings
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.repo.writing import save

SMALL = Sizes(minimum=120, spread=300, large=400, full=600, fan_out=3, deferred=150)
QUICK, LONG = 12, 1000


def open_small() -> SessionManager:
    """Return a manager of a store in memory whose chunks hold a few messages."""
    repo = Repository(MemoryBackend(), MemoryState("here-00000001"), Settings(sizes=SMALL))
    return SessionManager({"session": {"autosave_interval": 0}}, storage=RepoStorage(repo))


def step_of(identity: str) -> str:
    return identity.partition(":")[0]


class Walk:
    """A session that goes through random saves and steps, and what it was after each.

    Attributes:
        former: by step, the names from before the renames that undos come to from there, the oldest first.
        here: the step that the session is at.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.manager = open_small()
        self.name = "trip"
        self.number = 0
        self.seen: dict[str, tuple[str, str | None]] = {}
        self.former: dict[str, tuple[str, ...]] = {}
        self.here = ""
        self.session = self.manager.create_session(self.name)
        self.note(())

    def message(self) -> dict[str, Any]:
        self.number += 1
        size = self.rng.choice([0, 5, 20, 60, 450 if self.rng.random() < 0.2 else 9])
        return {"role": "user", "content": f"{self.number} {'x' * size}"}

    def first_name(self) -> str:
        """Return the name that undos lead to: a restore keeps the name, so they come to no rename that it went over."""
        return (*self.former[self.here], self.name)[0]

    def undo(self) -> tuple[str, ...]:
        """Take a change back, and return the former names then: only the undo of a rename changes the name."""
        former, entry = self.former[self.here], self.manager.history(self.name).undo()
        if entry is not None:
            kept = self.former[step_of(entry.note.removeprefix("to "))]
            assert kept in (former, former[:-1])
            assert self.session.name == (self.name if kept == former else former[-1])
            former = kept
        return former

    def note(self, former: tuple[str, ...]) -> None:
        """Note what the session is now, by the id of its newest entry."""
        newest = next(iter(self.manager.history(self.name)))
        messages = json.dumps(self.session.get_messages())
        assert self.seen.setdefault(newest.id, (messages, self.name))[0] == messages
        assert newest.messages == len(self.session)
        self.here = step_of(newest.id)
        assert self.former.setdefault(self.here, former) == former

    def step(self) -> None:
        session, rng = self.session, self.rng
        count = len(session)
        former = self.former[self.here]
        verb = rng.choice(
            ["append"] * 8
            + ["edit", "edit", "drop", "clear", "truncate", "metadata", "rename", "delete", "reopen"]
            + ["undo", "undo", "undo", "restore"]
        )
        history = self.manager.history(self.name)
        if verb == "append":
            for _ in range(rng.choice([1, 1, 1, 2, 5])):
                session.add_message(self.message())
        elif verb == "edit" and count:
            place = rng.randrange(max(count - 4, 0), count) if rng.random() < 0.7 else rng.randrange(count)
            session.messages[place] = self.message()
        elif verb == "drop" and count:
            session.drop_last(rng.randrange(1, min(count, 4) + 1))
        elif verb == "clear":
            session.clear_messages()
        elif verb == "truncate" and count:
            session.truncate_messages(rng.randrange(count))
        elif verb == "metadata":
            session.metadata[rng.choice("ab")] = self.number
        elif verb == "rename":
            self.number += 1
            former = (*former, self.name)
            self.manager.rename_session(self.name, f"trip {self.number}")
        elif verb == "delete":
            self.manager.delete_session(self.name)
            assert [info.name for info in self.manager.deleted_sessions()] == [self.name]
            if rng.random() < 0.5:
                history.restore()
            else:
                assert history.undo() is not None
            self.session = self.manager.load_session(self.name)
        elif verb == "undo":
            former = self.undo()
        elif verb == "restore":
            place = rng.choice(list(self.seen))
            history.restore(place)
            assert session.name == self.name
            former = self.former[step_of(place)]
        elif verb == "reopen":
            self.session = session = self.manager.load_session(self.name)
        if verb not in ("undo", "restore", "delete", "rename"):
            self.manager.save_session(session)
        self.name = self.session.name
        self.note(former)


@pytest.fixture
def walks(pytestconfig: pytest.Config) -> range:
    return range(LONG if pytestconfig.getoption("--long") else QUICK)


def test_every_state_can_be_gone_back_to(walks: range, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each of many random saves and steps, every state that there was is found again by its id, and is the same;
    and every entry of the history is one of them, or lies between two of them."""
    for seed in walks:
        # Some sessions have their lines folded often, and so live by their marks.
        monkeypatch.setattr(save, "COMPACT_SAVES", random.Random(seed).choice([3, 64]))
        monkeypatch.setattr(save, "MOST_SAVES", 4)
        walk = Walk(seed)
        for _ in range(random.Random(seed).choice([10, 30, 60])):
            walk.step()
        history = walk.manager.history(walk.name)
        for identity, (messages, _) in walk.seen.items():
            if identity.count(":") == 1:
                assert json.dumps(history.at(identity).get_messages()) == messages, (seed, identity)
        listed = list(history)
        for entry in listed:
            assert not entry.expired, (seed, entry)
            past = history.at(entry.id)
            assert len(past) == entry.messages, (seed, entry)
            if entry.id in walk.seen:
                assert json.dumps(past.get_messages()) == walk.seen[entry.id][0], (seed, entry)
        assert listed[-1].kind == "create"


def test_undo_again_and_again_ends_where_the_session_began(walks: range) -> None:
    """Each undo shows a state that there was, and in the end the session is as it was created, under its first name.

    A restore to a state before a rename keeps the name, by design, so the undos after it do not come to the rename.
    """
    for seed in list(walks)[: len(walks) // 4]:
        walk = Walk(seed)
        for _ in range(25):
            walk.step()
        known = {messages for messages, _ in walk.seen.values()}
        session: Session = walk.manager.load_session(walk.name)
        for _ in range(500):
            if walk.manager.history(session.name).undo() is None:
                break
            assert json.dumps(session.get_messages()) in known, seed
        assert (session.name, len(session)) == (walk.first_name(), 0), seed
