"""A process is killed, another one goes on, and then the power fails: the second one's saves must not rest on what the
first had no time to sync."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .recording import Recorder
from .runs import record
from .scenarios import SCENARIOS, Scenario
from .states import LONG, Disk, Limits, write_tree
from .stores import Content, content, message, open_store

FEW = Limits(subsets=4, contents=8, hidden=0)

CASES = [
    *(
        (name, how)
        for name in ("create", "seal", "fork in the middle", "shorten", "rename")
        for how in ("append", "seal")
    ),
    *((name, "again") for name in ("seal", "seal many", "fork in the middle")),
]


@pytest.mark.parametrize(("name", "how"), CASES, ids=map("-then-".join, CASES))
def test_what_is_saved_after_a_kill_survives_a_crash(
    name: str,
    how: str,
    layout: str,
    scratch: Path,
    long_size: bool,
    seed: int,
    is_tried: Callable[[int], bool],
) -> None:
    """Whichever call a process was killed at, what the next process has saved is there after a power failure: as one
    line or sealed, to each session that it finds, or the same that the first was about to save, again.

    A save of one line does not sync the folder, whose last change may be the killed process's. There we rely on the
    file system to keep the name of a file that is synced, which is more than POSIX says. Where each ref has a folder of
    its own, nothing else syncs that.
    """
    scenario = SCENARIOS[name]
    run = record(scenario, scratch / "run")
    run.disk.journals = how == "append" or (how, layout) == ("again", "spread")
    found = []
    for killed_after in range(len(run.calls) + 1):
        if killed_after:
            run.disk.apply(run.calls[killed_after - 1])
        if not is_tried(killed_after):
            continue
        disk, saved = go_on(run.disk, scenario, scratch / "next", how)
        if lost := after_crash(disk, saved, scenario, scratch, LONG if long_size else FEW, random.Random(seed)):
            before = run.calls[killed_after - 1] if killed_after else "nothing"
            found.append(f"killed after {killed_after} calls, the last of them {before}: {lost}")
        shutil.rmtree(scratch / "next")
    assert not found, f"{len(found)} kills matter, the first one {found[0]}"


def go_on(killed: Disk, scenario: Scenario, folder: Path, how: str) -> tuple[Disk, Content]:
    """Go on as the next process would; return the disk as it is then, and what was acknowledged."""
    folder.mkdir()
    disk = killed.moved_to(folder / "disk")
    files = Recorder(folder / "disk")
    replica, sizes = scenario.replica, scenario.sizes
    with open_store(folder / "disk/store", folder / "state", files=files, replica=replica, sizes=sizes) as manager:
        if how == "again":
            for _ in scenario.work(manager):
                pass
        for name in [info.name for info in manager.list_sessions()] or ["new"]:
            session = manager.create_session(name)
            session.add_message(message(1001, 1300 if how == "seal" else 50))
            manager.save_session(session)
        saved = content(manager)
    for call in files.calls:
        disk.apply(call)
    return disk, saved


def after_crash(
    disk: Disk, saved: Content, scenario: Scenario, folder: Path, limits: Limits, chance: random.Random
) -> str | None:
    for tree in disk.crashes(limits, chance):
        try:
            write_tree(folder / "crashed", tree)
            with open_store(folder / "crashed/store", folder / "state", sizes=scenario.sizes) as manager:
                assert content(manager) == saved
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            shutil.rmtree(folder / "crashed")
    return None
