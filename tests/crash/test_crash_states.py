"""A crash at any moment leaves the old state or the new one, and never takes an acknowledged save away."""

from __future__ import annotations

from pathlib import Path

import pytest

from .runs import record, violations
from .scenarios import SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_crash_is_survived(name: str, scratch: Path, long_size: bool, seed: int) -> None:
    """In every crash state all that was acknowledged is there, the change in flight is there whole or not at all,
    no session gives an error, and the store takes further saves."""
    run = record(SCENARIOS[name], scratch / "run")
    found = list(violations(run, scratch, long_size=long_size, seed=seed))
    assert not found, f"{len(found)} crashes are not survived, the first one {found[0]}"
