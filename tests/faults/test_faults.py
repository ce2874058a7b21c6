"""Whatever call fails: what was acknowledged is there, nothing is half there, and one can go on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .failing import faults
from .operations import OPERATIONS
from .trials import Trial, refer


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_call_may_fail(
    name: str, scratch: Path, long_size: bool, is_tried: Callable[[int], bool], caplog: pytest.LogCaptureFixture
) -> None:
    """A call that fails gives a StoreError (StoreFullError where no space is left) or does no harm. Then the store
    holds the state before the change or the one after it, the session holds everything that it held, no file is
    synced again after a failed sync, and doing the change again when the fault is gone stores every message once."""
    caplog.set_level(logging.CRITICAL, logger="coda_fs_session")  # autosave logs each of its failures
    reference = refer(OPERATIONS[name], scratch / "refer")
    found, count = [], 0
    for number, fault in enumerate(faults(reference.names, every=long_size)):
        if not is_tried(number):
            continue
        for more in (False, True) if long_size else (count % 2 == 1,):
            count += 1
            try:
                Trial(reference, scratch / "trial", fault, more=more).run()
            except Exception as error:
                call = reference.names[fault.at]
                found.append(f"{fault} ({call}{', more added' * more}): {type(error).__name__}: {error}")
            shutil.rmtree(scratch / "trial")
    print(f"{count} faults in {len(reference.names)} calls")
    assert not found, f"{len(found)} of {count} faults do harm:\n" + "\n".join(found[:4])
