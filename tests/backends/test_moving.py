"""Sessions that move between backends stay what they are: ids, chain hashes, messages, and everything about them."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from storekit import fill, message, open_store, say

from coda_fs_session import SessionManager, StoreFormatError
from coda_fs_session.repo.storage import RepoStorage

FIXTURES = Path(__file__).parents[2] / "fixtures"
SINCE_VERSION_3 = ("purged", "purged-fork", "listed")
"""Sessions of the golden store that came when there were databases of version 4."""
GOLDEN_DATABASES = {"sqlite-v1": "v1-0", "sqlite-v2": "v1-0", "sqlite-v3": "v1", "sqlite-v4": "v1"}
"""The golden store that each holds."""


def identity(manager: SessionManager) -> dict[str, Any]:
    """Return what a store is made of: object ids, and of every ref its lines' ids and its chain hash."""
    assert isinstance(manager._storage, RepoStorage)
    repo = manager._storage.repo
    found: dict[str, Any] = {"objects": {each for each, _ in repo.backend.objects()}}
    for key, _ in repo.backend.refs():
        head = repo.read(key)
        found[key.path] = (head.name, head.deleted, head.count, head.chain, tuple(head.line_ids))
    return found


def listed(manager: SessionManager) -> dict[str, Any]:
    """Return what users see."""
    return {info.name: (info, manager.load_session(info.name).get_messages()) for info in manager.list_sessions()}


def memory() -> SessionManager:
    return SessionManager({"session": {"backend": "memory", "autosave_interval": 0}})


def sqlite(store: Path) -> SessionManager:
    return open_store(store, backend="sqlite")


def some_sessions(manager: SessionManager) -> None:
    fill(manager, "long", 30, size=9_000)
    fill(manager, "large", 3, size=70_000)
    branch = manager.create_session("branch", branch_from="long", at=17)
    branch.metadata["why"] = {"deep": [1, None, "ü"]}
    say(manager, branch, 100)
    edited = manager.create_session("edited 🦜", branch_from="branch")
    edited.messages[3] = message(1000)
    manager.save_session(edited)
    fill(manager, "gone")
    manager.delete_session("gone")
    manager.create_session("before")
    manager.rename_session("before", "after")


@pytest.mark.parametrize("first", ["files", "sqlite", "memory"])
def test_round_trip(first: str, tmp_path: Path) -> None:
    """From one backend to the next and back into a new store of the first kind: at each the same ids and chain hashes,
    and the same sessions; another sync finds nothing to do."""
    makers = {
        "files": lambda number: open_store(tmp_path / f"files-{number}"),
        "sqlite": lambda number: sqlite(tmp_path / f"sqlite-{number}"),
        "memory": lambda number: memory(),
    }
    kinds = [first, *(kind for kind in makers if kind != first), first]
    managers = [makers[kind](number) for number, kind in enumerate(kinds)]
    some_sessions(managers[0])
    expected, shown = identity(managers[0]), listed(managers[0])
    for source, target in pairwise(managers):
        source.sync(target)
        assert identity(target) == expected
        assert listed(target) == shown
        report = target.sync(source)
        assert (report.pushed.refs, report.pulled.refs, report.problems) == (0, 0, ())
    for manager in managers:
        manager.close()


@pytest.mark.parametrize("kind", ["files", "memory"])
def test_both_sides_go_on(kind: str, tmp_path: Path) -> None:
    """After a sync each side saves to its own sessions; the next one carries both ways."""
    with sqlite(tmp_path / "db") as one, memory() if kind == "memory" else open_store(tmp_path / "files") as two:
        fill(one, "mine", 2)
        fill(two, "theirs", 2)
        one.sync(two)
        say(one, one.load_session("mine"), 10)
        say(two, two.load_session("theirs"), 11)
        fill(two, "late", 1, size=70_000)
        assert two.sync(one).problems == ()
        assert identity(one) == identity(two)
        assert {name: len(each) for name, (_, each) in listed(one).items()} == {"mine": 3, "theirs": 3, "late": 1}


def test_into_a_folder(tmp_path: Path) -> None:
    """A database goes into a folder of files by its path, as files do; a folder with a database takes a manager."""
    with sqlite(tmp_path / "db") as manager:
        some_sessions(manager)
        manager.sync(tmp_path / "stick")
        with open_store(tmp_path / "stick") as files:
            assert identity(files) == identity(manager)
            with pytest.raises(StoreFormatError, match='backend = "sqlite"'):
                files.sync(tmp_path / "db")


def test_saved_alike_in_each_backend(tmp_path: Path) -> None:
    """The same messages make the same chunks and chain hashes wherever they are saved."""
    found = []
    for manager in (open_store(tmp_path / "files"), sqlite(tmp_path / "db"), memory()):
        fill(manager, "chat", 40, size=9_000)
        say(manager, manager.load_session("chat"), 99)
        made = identity(manager)
        found.append((made.pop("objects"), [ref[:4] for ref in made.values()]))
        manager.close()
    assert len(found[0][0]) > 1
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("database", GOLDEN_DATABASES)
def test_the_golden_database(tmp_path: Path, database: str) -> None:
    """A database of each version holds what the golden store does, and can be gone on with."""
    copy = Path(shutil.copytree(FIXTURES / "stores" / database, tmp_path / "db"))
    store = FIXTURES / "stores" / GOLDEN_DATABASES[database]
    expected = json.loads(store.with_name(f"{store.name}.expected.json").read_bytes())["sessions"]
    with sqlite(copy) as manager, open_store(Path(shutil.copytree(store, tmp_path / "files"))) as files:
        if database == "sqlite-v3":
            for name in SINCE_VERSION_3:
                del expected[name]
                files.delete_session(name)
        assert listed(manager) == listed(files)
        assert {name: info.message_count for name, (info, _) in listed(manager).items()} == {
            name: each["messages"] for name, each in expected.items()
        }
        for name in expected:
            say(manager, manager.load_session(name), 7)
    with sqlite(copy) as manager:
        assert all(len(manager.load_session(name)) == each["messages"] + 1 for name, each in expected.items())
