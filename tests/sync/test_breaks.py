"""The engine is broken on purpose, in the ways that a rule for several replicas can be wrong; histories must notice."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from simulator.steps import random_history
from simulator.world import HistoryFailed, run

from coda_fs_session.backends.base import RefKey
from coda_fs_session.format.names import ref_path, session_key
from coda_fs_session.process import forks
from coda_fs_session.repo.ancestry import resolve
from coda_fs_session.repo.ancestry.covers import Newest, Order
from coda_fs_session.repo.content.state import State
from coda_fs_session.repo.repository import Repository
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.repo.writing import lifecycle, refs, save, step

HISTORIES = 200
"""How many histories notice each break; the quick size of the simulator looks at as many."""

RARE = 86
"""The first in which names by a clock or a length are noticed."""


def reader_of(head: State) -> str | None:
    """Return the id of the replica that has read a head."""
    repositories = (each for each in list(forks._forked[forks.Floor.ENGINE]) if isinstance(each, Repository))
    return next(repo.replica for repo in repositories if repo.objects is head.messages.objects)


def names_by(key: Callable[[State], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Make a break that gives the label to the first head by some order, and derived names to the others."""

    def break_it(patch: pytest.MonkeyPatch) -> None:
        def labels(newest: Sequence[State], paths: object, is_taken: object) -> dict[State, str]:
            named: dict[State, str] = {}
            for name in {head.name for head in newest}:
                first, *others = sorted((head for head in newest if head.name == name), key=key)
                named[first] = name
                named |= {head: f"{name}~{head.last_id[:8]}" for head in others}
            return named

        patch.setattr(resolve, "_labels", labels)

    return break_it


def latest_wins(patch: pytest.MonkeyPatch) -> None:
    """Show of every name only what was saved last."""

    def choose(found: list[Newest]) -> list[Newest]:
        last = {each.head.name: each for each in sorted(found, key=lambda each: each.head.updated)}
        return [each for each in found if last[each.head.name] is each]

    leave_out(patch, choose)


def leave_out(patch: pytest.MonkeyPatch, choose: Callable[[list[Newest]], list[Newest]]) -> None:
    """Show only some of what no other ref covers, and have nothing notice that the rest is missing."""
    real = Order.newest
    patch.setattr(Order, "newest", lambda order: choose(real(order)))
    patch.setattr(resolve, "_check_all_there", lambda *_: None)


def heads_move_between_files(patch: pytest.MonkeyPatch) -> None:
    """Let a replica have one file a name, which goes over to whatever conversation it continues."""
    real = refs.publish

    def one_file_a_name(repo: Any, header: Any, lines: Any, target: State | None, **options: Any) -> State:
        if target is None:
            with repo.writing() as replica:
                key = RefKey(ref_path(replica, session_key(header.name), 1))
            with suppress(KeyError):
                target = repo.read(key)
        return real(repo, header, lines, target, **options)

    for module in (save, lifecycle):
        patch.setattr(module, "publish", one_file_a_name)


def longest_wins(patch: pytest.MonkeyPatch) -> None:
    """Take a state for an ancestor of any longer one."""
    patch.setattr(resolve, "compare", lambda first, second: (first.count <= second.count, second.count <= first.count))


def tombstones_win(patch: pytest.MonkeyPatch) -> None:
    """Let a deletion count for what others added without knowing of it."""

    def choose(found: list[Newest]) -> list[Newest]:
        deleted = {each.head.name for each in found if each.head.deleted}
        return [each for each in found if each.head.deleted or each.head.name not in deleted]

    leave_out(patch, choose)


def nothing_is_frozen(patch: pytest.MonkeyPatch) -> None:
    """Begin new generations without a commit of the state before."""

    def freeze(repo: Repository, head: State, operation: Any, now: str) -> Any:
        return real(repo, head, operation, now)._replace(commit=head.header.commit)

    real = step.freeze
    patch.setattr(step, "freeze", freeze)


def reading_merges(patch: pytest.MonkeyPatch) -> None:
    """Make a ref of one's own for what others wrote, when listing it."""
    real = RepoStorage.list_all

    def list_all(storage: RepoStorage) -> Any:
        infos = real(storage)
        for info in infos:
            head = resolve_name(storage, info.name)
            if head is not None and head.key.replica != storage.repo.replica:
                refs.publish(storage.repo, head.header, list(head.messages.lines), None)
                break
        return infos

    patch.setattr(RepoStorage, "list_all", list_all)


def resolve_name(storage: RepoStorage, name: str) -> State | None:
    from coda_fs_session.repo.lookup.names import resolve

    return resolve(storage.repo, name).head


BREAKS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], tuple[str, ...]]] = {
    # what is broken, and which promises notice
    "names by clock": (names_by(lambda head: [-ord(c) for c in head.updated]), ("others_stay", "labels_stay")),
    "names by reader": (
        names_by(lambda head: (head.header.replica != reader_of(head), head.key)),
        ("same_files_same_view",),
    ),
    "names by length": (names_by(lambda head: -head.count), ("others_stay", "labels_stay")),
    "latest wins": (latest_wins, ("every_side_is_shown", "acknowledged_is_shown", "nothing_disappears")),
    "longest wins": (longest_wins, ("every_side_is_shown", "acknowledged_is_shown", "nothing_disappears")),
    "tombstones win": (tombstones_win, ("every_side_is_shown", "acknowledged_is_shown", "nothing_disappears")),
    "one file a name": (heads_move_between_files, ("acknowledged_is_kept", "others_stay")),
    "nothing is frozen": (nothing_is_frozen, ("acknowledged_is_kept", "every_side_is_shown")),
    "reading writes": (reading_merges, ("reading_writes_nothing",)),
}


def promises_broken(error: BaseException | None) -> Iterable[str]:
    while error is not None:
        yield from (frame.name for frame in traceback.extract_tb(error.__traceback__))
        error = error.__cause__


@pytest.mark.parametrize("name", BREAKS)
def test_it_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within two hundred histories, a promise that is about this very thing fails."""
    break_it, promises = BREAKS[name]
    break_it(monkeypatch)
    other: set[str] = set()
    for seed in (RARE, *range(HISTORIES)):
        try:
            run(random_history(random.Random(seed)))
        except HistoryFailed as failure:
            broken = set(promises_broken(failure))
            if broken & set(promises):
                return
            other.add(str(failure).partition("\n")[0])
    raise AssertionError(f"nobody noticed {name}; what failed was {sorted(other)[:5]}")


def test_unbroken_it_is_not_noticed() -> None:
    """The same histories hold where nothing is broken."""
    for seed in (RARE, *range(HISTORIES // 20)):
        run(random_history(random.Random(seed)))
