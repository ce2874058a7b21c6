"""The names of replica files: no reader takes such a file for a ref."""

from __future__ import annotations

from pathlib import Path

import pytest
from compat.reading import read_store
from storekit import lose_record, message, open_store, ref_of, say

from coda_fs_session.backends.files.listing import refs_at
from coda_fs_session.process.system import EVENTS_NAME_FILES

NAMES = [
    "replica.json",
    "replica.sync-conflict-20260102-030405-ABCDEFG.json",
    "replica (conflicted copy).json",
    "replica.json.conflict1",
]


@pytest.mark.parametrize("content", [b'{"coda_fs_session":1,"replica":"desk"}\n', b"", b"\0" * 600])
def test_it_is_no_ref(tmp_path: Path, content: bytes) -> None:
    """Nor are the copies that tools make of it: nothing is listed or watched, and a check only notes them."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        say(manager, manager.create_session("replica"), 1)
        folder = ref_of(store, "replica").parent
        for name in NAMES:
            (folder / name).write_bytes(content)
        (folder / "ab").mkdir()
        (folder / "ab" / NAMES[0]).write_bytes(content)
        assert [(info.name, info.error) for info in manager.list_sessions()] == [("replica", None)]
        # Only the one of the very name is read.
        found = manager.maintenance.check(full=True).findings
        assert {each.path: each.rule for each in found} == {
            str(folder / NAMES[0]): "replica-file",
            **{str(folder / name): "stray-file" for name in (*NAMES[1:], f"ab/{NAMES[0]}")},
        }
        assert {each.severity for each in found} == {"note"}
    with open_store(store) as manager:
        assert manager.load_session("replica").messages == [message(1)]
    assert len(read_store(store, "replica").splitlines()) == 1
    if EVENTS_NAME_FILES:
        assert [refs_at(f"refs/desk/{name}") for name in NAMES] == [()] * len(NAMES)


def test_a_session_of_that_name(tmp_path: Path) -> None:
    """A session called `replica` has refs like any other, and a copy of such a ref counts under a tool's name too."""
    store = tmp_path / "store"
    with open_store(store) as manager:
        say(manager, manager.create_session("replica"), 1)
        path = ref_of(store, "replica")
        path.rename(path.with_name("replica.sync-conflict-20260102-030405-ABCDEFG.jsonl"))
    lose_record(store)
    with open_store(store) as manager:
        assert manager.load_session("replica").messages == [message(1)]
