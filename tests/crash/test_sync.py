"""A sync that is killed, or that the power fails in: no store loses anything, and the next run completes it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from coda_fs_session import SessionManager
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.repo.sync.objects import AllObjects

from .recording import Recorder
from .runs import _digest
from .states import LONG, Disk, Limits, Tree, read_tree, write_tree
from .stores import message, open_store
from .test_broken_protocols import NoFileSync, NoFolderSync, NoObjectFolderSync

HERE, THERE = "here-00000001", "there-00000002"
QUICK_SYNC = Limits(subsets=2, contents=3)


class Killed(BaseException):
    """No handler in the package runs after a real SIGKILL; here they do, but every call they make fails too."""


class KilledFiles(Files):
    """Makes so many calls and then none any more."""

    def __init__(self, calls: int) -> None:
        super().__init__(durable=False)
        self.left = calls

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if callable(value) and not name.startswith("_"):
            if self.left <= 0:
                raise Killed
            self.left -= 1
        return value


def manager(disk: Path, which: str, files: Files | None = None) -> SessionManager:
    """Open one of the two stores; each machine has its state beside the disk."""
    replica = HERE if which == "here" else THERE
    files = files or Files(durable=False)
    return open_store(disk / which, disk.parent / f"state-{which}", files=files, replica=replica)


def extend(store: SessionManager, name: str, *lengths: int) -> None:
    session = store.create_session(name)
    for length in lengths:
        session.add_message(message(len(session), length))
    store.save_session(session)


def prepare(disk: Path) -> None:
    """Make two stores that once were the same, and went on: every kind of write of a sync comes up, both ways."""
    disk.mkdir(parents=True)
    with manager(disk, "here") as here, manager(disk, "there") as there:
        for store, name in ((here, "mine"), (here, "long"), (there, "theirs"), (here, "clone")):
            extend(store, name, 100, 900, 200)
        here.sync(there)
        extend(here, "mine", 50)  # one more line of a ref: appended
        extend(here, "long", 900, 900, 900)  # a new header: replaced
        extend(there, "theirs", 60)
        extend(here, "new here", 100, 1300, 100)
        extend(there, "new there", 1300)
        extend(here, "clone", 61)
    # What a machine with the same replica id would have written: neither state contains the other.
    with open_store(disk / "there", disk.parent / "state-clone", files=Files(durable=False), replica=HERE) as clone:
        extend(clone, "clone", 62)


def all_states(disk: Path) -> dict[str, set[tuple[str, tuple[bytes, ...]]]]:
    """Return the messages of every ref, by store, covered ones too."""
    found = {}
    for which in ("here", "there"):
        with manager(disk, which) as opened:
            repo = opened._storage.repo  # type: ignore[attr-defined]
            heads = [repo.read(key) for key, _ in repo.backend.refs()]
            assert [head.damage for head in heads] == [None] * len(heads)
            found[which] = {(head.name, tuple(head.messages.read(0, head.count))) for head in heads}
    return found


def run_sync(disk: Path, files: Files | None = None) -> None:
    with manager(disk, "here", files) as here, manager(disk, "there", files) as there:
        here.sync(there)


def holds(found: set[tuple[str, tuple[bytes, ...]]], state: tuple[str, tuple[bytes, ...]]) -> bool:
    """Tell whether a store has a state, or one that it was the beginning of."""
    name, lines = state
    return any(name == other and lines == longer[: len(lines)] for other, longer in found)


def check(disk: Path, before: dict[str, set[tuple[str, tuple[bytes, ...]]]]) -> None:
    """A store never has less than before; and the next sync brings both everything."""
    found = all_states(disk)
    for which, states in before.items():
        for state in states:
            assert holds(found[which], state), f"{which} lost {state[0]} with {len(state[1])} messages"
    run_sync(disk)
    after = all_states(disk)
    for state in before["here"] | before["there"]:
        assert holds(after["here"], state), f"{state[0]} did not come here"
        assert holds(after["there"], state), f"{state[0]} did not go there"


def test_killed_at_any_call(scratch: Path) -> None:
    """Whichever call is the last, both stores have what they had, and a second sync does the rest."""
    prepare(scratch / "disk")
    before = all_states(scratch / "disk")
    calls = 0
    while True:
        folder = scratch / f"killed-{calls}"
        folder.mkdir()
        disk = folder / "disk"
        shutil.copytree(scratch / "disk", disk)
        try:
            run_sync(disk, KilledFiles(calls))
        except Killed:
            check(disk, before)
            shutil.rmtree(folder)
            calls += 1
        else:
            check(disk, before)
            break
    assert calls > 50


def crashes(run: Path, recorder: type[Recorder], limits: Limits, seed: int, every: int) -> Iterator[tuple[str, Tree]]:
    """Yield what a crash may leave after each, or every tenth, ... call."""
    start, files = Disk(run / "disk"), recorder(run / "disk")
    run_sync(run / "disk", files)
    seen: set[bytes] = set()
    for number, call in enumerate(files.calls, 1):
        start.apply(call)
        if number % every and number < len(files.calls):
            continue
        for tree in start.crashes(limits, random.Random(seed)):
            if (digest := _digest(tree)) not in seen:
                seen.add(digest)
                yield str(call), tree


def violations(
    scratch: Path, recorder: type[Recorder], limits: Limits, seed: int, *, every: int = 1, most: int | None = None
) -> Iterator[str]:
    """Yield a description of each crash that a store does not survive, in random order, of `most` crashes at most."""
    prepare(scratch / "run/disk")
    before = all_states(scratch / "run/disk")
    states = list(crashes(scratch / "run", recorder, limits, seed, every))
    print(f"{len(states)} states, of which {most or 'all'} are looked at")
    for after, tree in random.Random(seed).sample(states, min(most or len(states), len(states))):
        crashed = scratch / "crashed"
        crashed.mkdir()
        write_tree(crashed / "disk", tree)
        try:
            check(crashed / "disk", before)
        except Exception as error:
            yield f"after {after}: {type(error).__name__}: {error}"
        finally:
            shutil.rmtree(crashed)


def test_every_crash_is_survived(scratch: Path, long_size: bool, seed: int) -> None:
    """In every crash state both stores have what they had, no ref names an object that is not durable, and a second
    sync completes the first."""
    limits, most = (LONG, None) if long_size else (QUICK_SYNC, 250)
    found = list(violations(scratch, Recorder, limits, seed, most=most))
    assert not found, f"{len(found)} crashes are not survived, the first one {found[0]}"


@pytest.mark.parametrize("broken", [NoFileSync, NoFolderSync, NoObjectFolderSync])
def test_broken_protocols_are_found_out(scratch: Path, broken: type[Recorder], seed: int) -> None:
    """Without any one of the syncs there is a crash that leaves a ref without its bytes, or without its objects."""
    assert next(violations(scratch, broken, QUICK_SYNC, seed, every=1000), None) is not None


def test_refs_before_objects_are_found_out(scratch: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """An engine that writes refs first is caught."""
    monkeypatch.setattr(AllObjects, "after_refs", AllObjects.before_refs)
    monkeypatch.setattr(AllObjects, "before_refs", lambda self: None)
    prepared = violations(scratch, Recorder, QUICK_SYNC, seed, every=5)
    assert next(prepared, None) is not None


def test_a_sync_leaves_no_temporary_files(scratch: Path) -> None:
    """After a run to its end nothing stands in either store that is not data."""
    prepare(scratch / "disk")
    run_sync(scratch / "disk")
    assert not [path for path in read_tree(scratch / "disk") if ".tmp-" in path]
