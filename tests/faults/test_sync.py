"""A sync on a failing disk: it says so, loses nothing on either side, and the next one completes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.test_sync import all_states, check, prepare, run_sync

from coda_fs_session import StoreError

from .failing import FOR_GOOD, FailingFiles, Fault, When


@pytest.mark.parametrize(("when", "lasting"), [("before", 1), ("after", 1), ("short", 1), ("before", FOR_GOOD)])
def test_an_error_at_any_call(
    scratch: Path, when: When, lasting: float, long_size: bool, is_tried: Callable[[int], bool]
) -> None:
    """Whichever call fails, both stores have what they had, no file is synced again after a sync of it failed, and a
    second sync does the rest."""
    prepare(scratch / "disk")
    before = all_states(scratch / "disk")
    raised = number = 0
    while True:
        number += not is_tried(number)
        disk = scratch / f"failing-{number}" / "disk"
        shutil.copytree(scratch / "disk", disk)
        files = FailingFiles(disk, Fault(number, when=when, lasting=lasting))
        try:
            run_sync(disk, files)
        except StoreError:
            raised += 1
        check(disk, before)
        assert files.resynced == []
        shutil.rmtree(disk.parent)
        if number >= files.made:
            break
        number += 1
    assert raised > (30 if when != "short" else 3) // (1 if long_size else 2)
