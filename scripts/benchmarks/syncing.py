"""Rows about bringing two stores together."""

import os
import shutil
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path

from coda_fs_session import SessionManager

from .contenders.ours import Ours
from .lab import Lab
from .listing import scan
from .measure import Prepare, Row, interleave, milliseconds, ratio, ready


def filled(lab: Lab) -> Ours:
    """Return a store with many small sessions, and one that is long enough to be in objects."""
    ours = Ours(lab.spare(), durable=False)
    for serial in range(lab.scale.sessions):
        ours.fill(f"session-{serial}", lab.messages.take(2))
    ours.bulk("long", lab.messages.take(lab.scale.medium))
    ours.manager.close()
    ours.keep_index()
    return ours


def first_run(lab: Lab) -> Row:
    ours, targets = filled(lab), count()
    config = {"session": {**ours.config["session"], "durability": "full"}}

    def anew(copy: Callable[[Path], object]) -> Prepare:
        def prepare(_turn: int) -> Callable[[], object]:
            folder = ours.store.parent / "targets"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            os.sync()
            target = folder / str(next(targets))
            return lambda: copy(target)

        return prepare

    contenders = {
        "cp -r, fsync each": anew(lambda target: copy_durably(ours.store, target)),
        "ours": anew(lambda target: SessionManager(config).sync(target)),
    }
    results = milliseconds(interleave(contenders, lab.rounds(3)))
    check = ratio(results, "ours", "cp -r, fsync each", must=1.5, aim=1)
    return Row(f"first sync of {lab.scale.sessions:,} sessions into an empty folder", results, [check])


def copy_durably(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", source, target], check=True)
    for folder, _, names in os.walk(target):
        for name in names:
            descriptor = os.open(f"{folder}/{name}", os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def run_without_changes(lab: Lab) -> Row:
    ours = filled(lab)
    target = ours.store.parent / "target"
    # The second run remembers what was too young at the end of the first.
    for _ in range(2):
        SessionManager(ours.config).sync(target)

    def again() -> object:
        report = SessionManager(ours.config).sync(target)
        if report.pushed or report.pulled or report.problems:
            raise RuntimeError(f"a sync without changes reports {report}")
        return report

    contenders = {
        "raw scandir + stat, both": ready(lambda: (scan(ours.store / "refs"), scan(target / "refs"))),
        "ours": ready(again),
    }
    results = milliseconds(interleave(contenders, lab.rounds(30)))
    check = ratio(results, "ours", "raw scandir + stat, both", must=2, aim=1.5)
    return Row(f"sync of {lab.scale.sessions:,} sessions that did not change, a new manager", results, [check])
