"""Random sessions whose history expires, beside the same ones where it does not: all but what expired is the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session import (
    HistoryError,
    HistoryExpiredError,
    SessionExistsError,
    SessionManager,
    SessionNotFoundError,
)
from coda_fs_session.format.chunks import Sizes
from coda_fs_session.repo.maintenance.gc import gc

from .collecting import FIRST_DAY, repo_of

SMALL = Sizes(minimum=120, spread=300, large=400, full=600, fan_out=3, deferred=150)
NAMES = ("ann", "bob", "cid")
VERBS = (
    *("append", "append", "stream", "stream", "edit", "cut", "clear", "undo", "restore", "tag", "untag"),
    *("branch", "merge", "delete", "undelete", "rename", "gc", "gc"),
)
QUICK, LONG = (2, 16, 26), range(120)
STEPS = 60


class Pair:
    """Two stores to which the same happens, but that in one of them gc runs, which keeps history for some days.

    Attributes:
        expired: how many entries were seen that had expired.
    """

    def __init__(self, folder: Path, seed: int, backend: str) -> None:
        self.rng = random.Random(seed)
        self.retention = self.rng.choice([0, 0, 5])
        self.now = FIRST_DAY
        self.numbers = count()
        self.expired = 0
        self.managers = [self.open(folder / which, backend) for which in ("kept", "collected")]

    def open(self, store: Path, backend: str) -> SessionManager:
        manager = open_store(store, backend=backend, replica="here-00000001")
        repo = repo_of(manager)
        repo.sizes = SMALL
        repo.settings = repo.settings._replace(sizes=SMALL, clock=lambda: self.now)
        return manager

    def close(self) -> None:
        for manager in self.managers:
            manager.close()

    def message(self) -> dict[str, Any]:
        size = self.rng.choice([0, 5, 20, 60, 450 if self.rng.random() < 0.2 else 9])
        return {"role": "user", "content": f"{next(self.numbers)} {'x' * size}"}

    def do(self, act: Callable[[SessionManager], object]) -> None:
        """Let something happen to both, and nothing to either where it needs what has expired."""
        kept, collected = self.managers
        outcomes: list[object] = []
        self.now += timedelta(seconds=1)
        for manager in (collected, kept):
            try:
                act(manager)
            except HistoryExpiredError:
                assert manager is collected
                return
            except (HistoryError, SessionExistsError, SessionNotFoundError, ValueError) as error:
                outcomes.append((type(error), str(error) if "nearest" not in str(error) else ""))
            else:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1]

    def collect(self) -> None:
        manager = self.managers[1]
        repo = repo_of(manager)
        for _ in range(self.rng.randrange(1, 12)):
            self.now += timedelta(days=3)
            with repo.machine.keeping_house("gc"):
                report = gc(repo, grace_days=1, retention_days=self.retention, dry_run=False)
            assert report.blocked == ()

    def step(self) -> None:
        rng = self.rng
        names = sorted(each.name for each in self.managers[0].list_sessions())
        name = rng.choice(names) if names else ""
        other = rng.choice(names) if names else ""
        new = rng.choice(NAMES)
        verb = rng.choice(VERBS)
        if verb == "gc":
            self.collect()
        elif not names or verb == "create":
            self.do(lambda manager: manager.save_session(manager.create_session(new)))
        elif verb in ("append", "stream", "edit", "cut", "clear"):
            messages = [self.message() for _ in range(rng.randrange(1, 9))]
            place = rng.random()
            self.do(lambda manager: change(manager, name, verb, messages, place))
        elif verb == "undo":
            self.do(lambda manager: manager.history(name).undo())
        elif verb in ("restore", "tag"):
            ids = [entry.id for entry in self.managers[0].history(name)]
            to, label = rng.choice(ids), rng.choice(["one", "two"])
            self.do(
                lambda manager: (
                    manager.history(name).restore(to) if verb == "restore" else manager.history(name).tag(label, to)
                )
            )
        elif verb == "untag":
            self.do(lambda manager: manager.history(name).untag("one"))
        elif verb == "branch":
            size = rng.choice([None, rng.randrange(12)])
            self.do(lambda manager: manager.create_session(new, branch_from=name, at=size))
        elif verb == "merge":
            strategy = rng.choice(["append", "ours", "theirs"])
            if is_related(self.managers[0], name, other):
                self.do(lambda manager: manager.branches.merge(name, other, strategy=strategy))
        elif verb == "delete":
            self.do(lambda manager: manager.delete_session(name))
        elif verb == "undelete":
            self.do(lambda manager: manager.history(new).restore())
        else:
            self.do(lambda manager: manager.rename_session(name, new))

    def compare(self) -> None:
        """Everything that is shown is the same, and what has not expired can be looked at."""
        kept, collected = self.managers
        assert [each.name for each in collected.list_sessions()] == [each.name for each in kept.list_sessions()]
        assert str(collected.branches.tree()) == str(kept.branches.tree())
        names = [each.name for each in kept.list_sessions()]
        for name in names:
            assert collected.load_session(name).messages == kept.load_session(name).messages
            assert {*collected.history(name).tags()} == {*kept.history(name).tags()}
            assert [told(each) for each in collected.history(name)] == [told(each) for each in kept.history(name)]
            for entry, before in zip(collected.history(name), kept.history(name), strict=True):
                assert before.expired <= entry.expired
                self.expired += entry.expired and not before.expired
                if entry.expired:
                    with pytest.raises(HistoryExpiredError):
                        collected.history(name).at(entry.id)
                elif not entry.side:
                    assert collected.history(name).at(entry.id).messages == kept.history(name).at(entry.id).messages
        for one, other in pairwise(names):
            assert str(collected.branches.diff(one, other)) == str(kept.branches.diff(one, other))
        assert [f for f in collected.maintenance.check(full=True).findings if f.severity != "note"] == []


def told(entry: Any) -> tuple[object, ...]:
    return entry.id, entry.kind, entry.messages, entry.added, entry.note, entry.side


def is_related(manager: SessionManager, one: str, other: str) -> bool:
    """Tell whether one session is a branch of the other: of what is a merge of such the base is kept."""
    parents = {each.name: each.parent for each in manager.list_sessions()}
    return one != other and (parents[one] == other or parents[other] == one)


def change(manager: SessionManager, name: str, verb: str, messages: list[dict[str, Any]], place: float) -> None:
    session = manager.load_session(name)
    if verb == "stream":
        session.add_message(messages[0])
        for message in messages:
            session.messages[-1] = message
            manager.save_session(session)
    elif verb == "append":
        for message in messages:
            session.add_message(message)
    elif verb == "edit" and len(session):
        session.messages[int(place * len(session))] = messages[0]
    elif verb == "cut":
        session.truncate_messages(int(place * len(session)))
    elif verb == "clear":
        session.clear_messages()
    manager.save_session(session)


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[Callable[[int, str], Pair]]:
    made: list[Pair] = []

    def make(seed: int, backend: str) -> Pair:
        made.append(Pair(tmp_path / f"{backend}-{seed}", seed, backend))
        return made[-1]

    yield make
    for pair in made:
        pair.close()


@pytest.mark.parametrize("backend", ["files", "sqlite"])
def test_all_but_what_expired_is_the_same(pairs: Callable[[int, str], Pair], backend: str, long_size: bool) -> None:
    """Views, trees, diffs and merges are those of a store without gc, and what has not expired can be gone back to."""
    expired = 0
    for seed in LONG if long_size else QUICK:
        pair = pairs(seed, backend)
        try:
            for _ in range(STEPS):
                pair.step()
            pair.collect()
            pair.compare()
        except BaseException:
            print(f"seed {seed}")
            raise
        pair.close()
        expired += pair.expired
    assert expired
