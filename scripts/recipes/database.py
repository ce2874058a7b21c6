"""The golden database: everything that is in the golden store, in one SQLite file of version 4."""

from __future__ import annotations

import tempfile
from pathlib import Path

from coda_fs_session import SessionManager


def make(source: Path, target: Path) -> None:
    """Make the store at `target` from the files at `source`."""
    with tempfile.TemporaryDirectory() as state:
        common = {"state_path": state, "autosave_interval": 0, "durability": "none", "compress_threshold_bytes": 4096}
        files = SessionManager({"session": {**common, "storage_path": str(source)}})
        options = {**common, "backend": "sqlite", "storage_path": str(target)}
        with files, SessionManager({"session": options}) as database:
            database.sync(files, direction="pull")
