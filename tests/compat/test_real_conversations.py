"""Conversations of other projects come back as they went in. They are read in place, and are not in this repository.

The environment variable CODA_FS_TEST_DATA names a folder with JSON Lines files in the form of `fixtures/conversations`,
itself or in its folder `conversations`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from coda_fs_session import Session, SessionManager

from .reading import assert_same_as_library, needs_zstdcat

DATA = os.environ.get("CODA_FS_TEST_DATA")
FILES = (
    [path for form in ("conversations/*.jsonl", "*.jsonl") for path in sorted(Path(DATA).glob(form))] if DATA else []
)

pytestmark = pytest.mark.skipif(not DATA, reason="CODA_FS_TEST_DATA names no folder of real conversations")


def conversations(path: Path, most: int) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for _, line in zip(range(most), lines, strict=False):
            yield json.loads(line)


def test_there_are_files() -> None:
    """A wrong path in the variable is no reason to pass."""
    assert FILES, f"no *.jsonl in {DATA} or {DATA}/conversations"


@needs_zstdcat
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_real_conversations_come_back(path: Path, tmp_path: Path) -> None:
    """Every message has the same bytes, read by another manager and by the reader of FORMAT.md alone."""
    store = tmp_path / "store"
    config = {
        "session": {
            "storage_path": store,
            "state_path": tmp_path / "state",
            "durability": "none",
            "autosave_interval": 0,
        }
    }
    given = {f"{number} {each['id']}"[:200]: each for number, each in enumerate(conversations(path, 60))}
    with SessionManager(config) as manager:
        for name, each in given.items():
            manager.save_session(Session(name, each["messages"][:1], each.get("metadata")))
            session = manager.load_session(name)
            for message in each["messages"][1:]:
                session.add_message(message)
            manager.save_session(session)
    with SessionManager(config) as manager:
        for name, each in given.items():
            session = manager.load_session(name)
            assert [orjson.dumps(m) for m in session.get_messages()] == [orjson.dumps(m) for m in each["messages"]]
            assert session.metadata == (each.get("metadata") or {})
        assert_same_as_library(store, manager)
