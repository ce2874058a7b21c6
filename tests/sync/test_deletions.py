"""Real tools carry what gc deletes, and what is purged: both sides end up equal and whole, and have nothing of it."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from maintenance.collecting import TEXT, Collector
from maintenance.test_purge import SECRET, contents, tell
from storekit import fill, message

from coda_fs_session import SessionWarning

from .stores import Machine, run, tool
from .syncthing import connected
from .test_tools import TOOLS, Sync

MINE, THEIRS = [0, 1], [2, 3]
ROUNDS = 6


def rclone_copy(here: Machine, there: Machine) -> Sync:
    program = tool("rclone")

    def sync() -> None:
        for source, target in ((here, there), (there, here)):
            run(program, "--config", os.devnull, "copy", "--update", source.store, target.store)

    return sync


@contextmanager
def syncing(name: str, here: Machine, there: Machine, folder: Path) -> Iterator[Sync]:
    """Connect two stores by a tool for the time of the block."""
    for machine in (here, there):
        machine.store.mkdir(parents=True, exist_ok=True)
    if name == "syncthing":
        with connected(tool("syncthing"), folder / "syncthing", here.store, there.store) as pair:
            yield pair.sync
    elif name == "rclone copy":
        yield rclone_copy(here, there)
    else:
        yield TOOLS[name](here, there, folder)


NAMES = ("rsync -au", "rsync -au --delete", "unison", "rclone bisync", "rclone copy", "git", "syncthing")
"""Without `rsync -a`: what it carries last it takes for the newest, refs of the other side too."""


def keeper(machine: Machine) -> Collector:
    return Collector(machine.store, state_path=machine.folder / "state", replica=machine.replica)


def objects(machine: Machine) -> set[str]:
    return {path for path in machine.data() if path.startswith("objects/")}


def is_whole(keepers: tuple[Collector, Collector], expected: dict[str, list[int]]) -> None:
    """Both sides have these sessions, with all of what was saved, and a full check finds nothing."""
    for each in keepers:
        with each.open() as manager:
            assert manager.maintenance.check(full=True).findings == ()
            found = {info.name: manager.load_session(info.name).messages for info in manager.list_sessions()}
        assert found == {name: [message(number, TEXT) for number in numbers] for name, numbers in expected.items()}


@pytest.mark.parametrize("name", NAMES)
def test_what_gc_deletes(name: str, here: Machine, there: Machine, tmp_path: Path) -> None:
    """One machine condemns, the other needs some of that after all: the files go on both sides, and no message does."""
    desk, lap = keepers = keeper(here), keeper(there)
    with syncing(name, here, there, tmp_path) as sync:
        for each, session, numbers in ((desk, "mine", MINE), (lap, "theirs", THEIRS)):
            with each.open() as manager:
                kept = manager.create_session(session)
                for number in numbers:
                    kept.add_message(message(number, TEXT))
                manager.save_session(kept)
        left = {desk.leave(number).relative_to(here.store).as_posix() for number in (90, 91, 92)}
        sync()
        sync()
        assert left <= objects(there)
        desk.until(lambda report: report.condemned.files > 0)
        with lap.open() as manager:
            again = manager.create_session("again")
            again.add_message(message(90, TEXT))
            manager.save_session(again)
        for _ in range(ROUNDS):
            sync()
            lap.run()
            sync()
            for _ in range(4):
                desk.run()
            if not left & (objects(here) | objects(there)):
                break
        sync()
        for each in keepers:
            each.run()
        sync()
        assert not left & (objects(here) | objects(there))
        is_whole(keepers, {"mine": MINE, "theirs": THEIRS, "again": [90]})
        assert here.data() == there.data()


def holding(machine: Machine) -> list[str]:
    """Return the files of a machine that hold the secret; what a tool keeps as its own history is said to the user."""
    return [
        str(path)
        for path in sorted(machine.folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
        for content in contents(path)
        if SECRET.encode() in content
    ]


def open_and_close(keepers: tuple[Collector, Collector]) -> None:
    with warnings.catch_warnings():
        # It says from which sessions what another machine purged was taken.
        warnings.simplefilter("ignore", SessionWarning)
        for each in keepers:
            with each.open() as manager:
                manager.list_sessions()


@pytest.mark.parametrize("what", ["text", "session"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_purged(what: str, name: str, here: Machine, there: Machine, tmp_path: Path) -> None:
    """It is on no side any more, also where an offline machine comes back with all of its old files."""
    keepers = desk, lap = keeper(here), keeper(there)
    with syncing(name, here, there, tmp_path) as sync:
        with desk.open() as manager:
            tell(manager, "talk", f"my key is {SECRET}", f"{SECRET} {'x' * TEXT}", "last")
            tell(manager, "other", "of the desk")
        sync()
        with lap.open() as manager:
            fill(manager, "theirs", 2, size=TEXT)
            if what == "text":
                tell(manager, "again", f"the key is {SECRET}")
                manager.create_session("branch", branch_from="talk")
        sync()
        old = tmp_path / "old"
        shutil.copytree(there.store, old, ignore=shutil.ignore_patterns(".*"))
        with desk.open() as manager, warnings.catch_warnings():
            warnings.simplefilter("ignore", SessionWarning)
            if what == "text":
                assert manager.maintenance.purge_text(SECRET).places
            else:
                assert manager.maintenance.purge("talk").places
        for is_back in (False, True):
            if is_back:
                shutil.copytree(old, there.store, dirs_exist_ok=True)
            for _ in range(ROUNDS):
                open_and_close(keepers)
                sync()
                # Where a tool writes over a file in place, gc is what finds out that one of its own is an old one.
                desk.run()
                open_and_close(keepers)
                if not holding(here) + holding(there):
                    break
            assert holding(here) + holding(there) == []
            sync()
            open_and_close(keepers)
            sync()
            assert holding(here) + holding(there) == []
            assert here.data() == there.data()
            for each in keepers:
                with each.open() as manager:
                    assert manager.maintenance.check(full=True).is_whole
                    assert [each["content"] for each in manager.load_session("other").messages] == ["of the desk"]
                    assert len(manager.load_session("theirs").messages) == 2
                    assert ("talk" in manager) == (what == "text")
                    if what == "text":
                        assert "*" * len(SECRET) in manager.load_session("again").messages[0]["content"]
