"""Real sync tools between two stores: every message is there on both sides, and both show the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .stores import Machine, begin, check, diverge, run, tool

Sync = Callable[[], None]


def rsync_both_ways(here: Machine, there: Machine, *options: str) -> Sync:
    """Copy here to there, then there to here."""
    program = tool("rsync")

    def sync() -> None:
        for machine in (here, there):
            machine.store.mkdir(exist_ok=True)
        run(program, *options, f"{here.store}/", f"{there.store}/")
        run(program, *options, f"{there.store}/", f"{here.store}/")
        # As if people went on a minute later: `-u` takes a file for newer only if it is so by a whole second.
        for path in [*here.store.rglob("*.jsonl"), *there.store.rglob("*.jsonl")]:
            moment = path.stat().st_mtime_ns - 60 * 10**9
            os.utime(path, ns=(moment, moment))

    return sync


def rsync_delete(here: Machine, there: Machine) -> Sync:
    """`rsync -au --delete` both ways, each side below refs for its own replica only: it deletes what the other made.

    As people run it who have more than one machine: `--delete` on the whole folder throws away what is new on the
    other side, whatever is in the folder.
    """
    program = tool("rsync")

    def sync() -> None:
        for source, target in ((here, there), (there, here)):
            source.store.mkdir(exist_ok=True)
            target.store.mkdir(exist_ok=True)
            run(program, "-au", "--exclude=refs/", f"{source.store}/", f"{target.store}/")
            own = source.store / "refs" / source.replica
            if own.is_dir():
                (target.store / "refs").mkdir(mode=0o700, exist_ok=True)
                run(program, "-au", "--delete", f"{own}/", f"{target.store / 'refs' / source.replica}/")

    return sync


def unison(here: Machine, there: Machine, folder: Path, *options: str) -> Sync:
    program = tool("unison")

    def sync() -> None:
        for machine in (here, there):
            machine.store.mkdir(exist_ok=True)
        os.environ["UNISON"] = str(folder / "unison")
        try:
            # 1: some files were skipped, as conflicts are in batch mode.
            run(program, here.store, there.store, "-batch", "-auto", "-ui", "text", *options, allowed=(0, 1))
        finally:
            del os.environ["UNISON"]

    return sync


def rclone_bisync(here: Machine, there: Machine, folder: Path) -> Sync:
    program = tool("rclone")
    work = folder / "bisync"

    def sync() -> None:
        first = () if work.exists() else ("--resync",)
        for machine in (here, there):
            machine.store.mkdir(exist_ok=True)
        run(program, "--config", os.devnull, "bisync", here.store, there.store, "--workdir", work, *first)

    return sync


def git_through_a_bare_repository(here: Machine, there: Machine, folder: Path) -> Sync:
    program = tool("git")
    origin = folder / "origin.git"

    def git(machine: Machine, *arguments: str) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "core.autocrlf=true")
        run(program, "-C", machine.store, *who, *arguments)

    def sync() -> None:
        if not origin.exists():
            run(program, "init", "--quiet", "--bare", "--initial-branch=main", origin)
            for machine in (here, there):
                machine.store.mkdir(exist_ok=True)
                run(program, "init", "--quiet", "--initial-branch=main", machine.store)
                git(machine, "remote", "add", "origin", str(origin))
        for machine in (here, there, here):
            git(machine, "add", "--all")
            git(machine, "commit", "--quiet", "--allow-empty", "--message=sync")
            if any((origin / "refs" / "heads").iterdir()):
                git(
                    machine,
                    "pull",
                    "--quiet",
                    "--no-rebase",
                    "--no-edit",
                    "--allow-unrelated-histories",
                    "origin",
                    "main",
                )
            git(machine, "push", "--quiet", "origin", "main")

    return sync


TOOLS: dict[str, Callable[[Machine, Machine, Path], Sync]] = {
    "rsync -a": lambda here, there, folder: rsync_both_ways(here, there, "-a"),
    "rsync -au": lambda here, there, folder: rsync_both_ways(here, there, "-au"),
    "rsync -au --delete": lambda here, there, folder: rsync_delete(here, there),
    "unison": unison,
    "unison -prefer newer": lambda here, there, folder: unison(here, there, folder, "-prefer", "newer"),
    "rclone bisync": rclone_bisync,
    "git": git_through_a_bare_repository,
}


@pytest.mark.parametrize("name", TOOLS)
def test_both_sides_write_between_two_syncs(name: str, here: Machine, there: Machine, tmp_path: Path) -> None:
    """Both machines work on the same sessions between two runs of a tool; afterwards both have everything and agree."""
    sync = TOOLS[name](here, there, tmp_path)
    begin(here)
    sync()
    assert there.texts() == here.texts()
    diverge(here, there)
    sync()
    sync()
    check(here, there)
    assert here.data() == there.data()


@pytest.mark.parametrize(
    "name",
    TOOLS,
)
def test_both_sides_go_on_with_what_diverged(name: str, here: Machine, there: Machine, tmp_path: Path) -> None:
    """After a divergence both go on, with derived sessions too, and sync again: no name moves, nothing is lost."""
    sync = TOOLS[name](here, there, tmp_path)
    begin(here)
    sync()
    diverge(here, there)
    sync()
    sync()
    before = here.view()
    derived = next(each for each in sorted(before) if each.startswith("chat~"))
    here.work(["say", "chat", "more here"], ["say", derived, "more of the other here"])
    there.work(["say", "twig", "more there"], ["delete", "new"])
    sync()
    # Opened on both sides, which is when a machine puts back what was taken from under its feet.
    assert here.view().keys() | there.view().keys() <= before.keys()
    if name == "rsync -a":
        # Its first half puts what one machine had of the other's refs over those refs, and its second half takes that
        # for what the other has: what it reverts is put back where it was written, and comes here by no such sync.
        assert {"more there"} <= there.texts()
        assert {"more here", "more of the other here"} <= here.texts()
        return
    sync()
    after = here.view()
    assert after == there.view()
    assert after.keys() <= before.keys()
    assert {"more here", "more of the other here", "more there"} <= here.texts()
    for name_of_side in ("chat", derived):
        lines, lines_before = after[name_of_side].lines, before[name_of_side].lines
        assert lines is not None
        assert lines_before is not None
        assert len(lines) == len(lines_before) + 1
        assert lines[:-1] == lines_before
