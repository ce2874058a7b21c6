"""The two layouts of a replica's refs: all in its own folder, as while it has few, or all in folders within that.

Import `layout` into a `conftest.py`, and every test below runs over both. `is_tried` shares out what takes long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from coda_fs_session.backends import spread
from coda_fs_session.format.names import key_folders, ref_path

LAYOUTS = {"flat": spread.FLAT_REFS, "spread": 0}


@pytest.fixture(params=list(LAYOUTS), scope="module", autouse=True)
def layout(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let a replica put its refs into its own folder, or into those within."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "FLAT_REFS", LAYOUTS[request.param])
        yield request.param


@pytest.fixture
def is_tried(layout: str, long_size: bool) -> Callable[[int], bool]:
    """Tell which of many moments are tried in the layout of the test: in the quick size each in only one of both."""
    return lambda number: long_size or number % 2 == list(LAYOUTS).index(layout)


def path_of(replica: str, key: str) -> str:
    """Return where below the refs a replica puts its first ref for a key, in the layout of the test."""
    flat, inner = key_folders(replica, key)
    return ref_path(flat if spread.FLAT_REFS else inner, key, 1)
