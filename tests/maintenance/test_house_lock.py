"""One process of a machine keeps house at a time: another one is told who is at it, and changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from storekit import ROOT, fill, open_store

from coda_fs_session import SessionManager, StoreError

VERBS: dict[str, Callable[[SessionManager, Path], object]] = {
    "gc": lambda manager, _: manager.maintenance.gc(dry_run=False),
    "repair": lambda manager, _: manager.maintenance.repair(dry_run=False),
    "purge": lambda manager, _: manager.maintenance.purge_text("message 1"),
    "discard": lambda manager, store: manager.maintenance.discard(store / "notes.txt", dry_run=False),
    "retire": lambda manager, _: manager.maintenance.retire("lap", force=True, dry_run=False),
    "forget": lambda manager, store: manager.maintenance.forget(store, dry_run=False),
}
DRY: dict[str, Callable[[SessionManager, Path], object]] = {
    "gc": lambda manager, _: manager.maintenance.gc(),
    "repair": lambda manager, _: manager.maintenance.repair(),
    "purge": lambda manager, _: manager.maintenance.purge_text("message 1", dry_run=True),
    "discard": lambda manager, store: manager.maintenance.discard(store / "notes.txt"),
    "retire": lambda manager, _: manager.maintenance.retire("lap", force=True),
    "forget": lambda manager, store: manager.maintenance.forget(store),
}

_AT_WORK = """
import sys
from pathlib import Path
from storekit import open_store
from coda_fs_session.manager import maintenance
from maintenance.test_house_lock import VERBS

def work(*_, **__):
    print("at work", flush=True)
    sys.stdin.read()
    sys.exit()

store, verb = Path(sys.argv[1]), sys.argv[2]
setattr(maintenance, verb, work)
VERBS[verb](open_store(store, replica="desk"), store)
"""
"""The verb as a user calls it, up to the moment at which it has the lock and begins to work."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store in which each verb finds something to do."""
    store = tmp_path / "store"
    for replica, state in (("lap", f"{tmp_path}/lap"), ("desk", f"{store}.state")):
        with open_store(store, replica=replica, state_path=state) as manager:
            fill(manager, f"chat of {replica}", 2)
    (store / "notes.txt").write_bytes(b"stray")
    return store


@contextmanager
def at_work(store: Path, verb: str) -> Iterator[subprocess.Popen[str]]:
    """Let another process be in the middle of a verb."""
    command = [sys.executable, "-c", _AT_WORK, str(store), verb]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process
        if process.poll() is None:
            process.communicate("")


def files(store: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("verb", VERBS)
def test_all_are_told_who_is_at_it(store: Path, verb: str) -> None:
    """Whatever the other process does, each verb says which process it is, and what to do; dry runs go on."""
    before = files(store)
    with open_store(store, replica="desk") as manager:
        with at_work(store, verb) as process:
            said = rf"`{verb}` of process {process.pid}, since .* is keeping house.*: wait until it is done, or end it"
            for act in VERBS.values():
                with pytest.raises(StoreError, match=said):
                    act(manager, store)
            for look in DRY.values():
                look(manager, store)
            assert files(store) == before
        for act in VERBS.values():
            act(manager, store)
    assert files(store) != before


def test_one_that_was_killed_is_in_nobodys_way(store: Path) -> None:
    """Its lock goes with it, and its note is not believed."""
    with open_store(store, replica="desk") as manager, at_work(store, "gc") as process:
        process.kill()
        process.wait()
        manager.maintenance.repair(dry_run=False)
