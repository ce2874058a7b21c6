"""Checking replica files, lists and purge records; and what a repair brings back of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from storekit import fill, open_store, untouched

from coda_fs_session.format.ids import ObjectId, object_id
from coda_fs_session.format.lists import encode_list
from coda_fs_session.format.replica_file import ReplicaFile, encode_replica_file
from coda_fs_session.repo.maintenance.findings import RULES

from .collecting import GRACE, Collector, repo_of

LISTED = f"objects/ab/{'ab' * 32}.jsonl"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store in which a text was purged from a large message."""
    store = tmp_path / "store"
    with open_store(store, replica="desk") as manager:
        fill(manager, "chat", 2, size=70_000)
        manager.maintenance.purge_text("message 1 ")
    return store


def put(store: Path, data: bytes) -> ObjectId:
    identity = object_id(data)
    path = store / "objects" / identity[:2] / f"{identity}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return identity


def file_of(store: Path, identity: str) -> Path:
    (path,) = store.glob(f"objects/*/{identity}*")
    return path


def other_says(store: Path, **said: object) -> None:
    """Let another replica say something."""
    folder = store / "refs" / "lap"
    folder.mkdir(exist_ok=True)
    (folder / "replica.json").write_bytes(encode_replica_file(ReplicaFile("lap", 1, **said)))  # type: ignore[arg-type]


def purged(store: Path) -> tuple[Path, str]:
    """Return the file of the purge record, and the object that is gone."""
    (record,) = orjson.loads((store / "refs" / "desk" / "replica.json").read_bytes())["purged"]
    path = file_of(store, record)
    gone = [line["object"] for line in map(orjson.loads, path.read_bytes().splitlines()) if "object" in line]
    return path, gone[0]


def missing_list(field: str) -> Callable[[Path], str]:
    def damage(store: Path) -> str:
        identity = "cd" * 32
        other_says(store, **{field: identity if field == "condemned" else (identity,)})
        return f"objects/cd/{identity}.jsonl"

    return damage


def no_list(store: Path) -> str:
    identity = put(store, b"{}\n")
    other_says(store, done=(identity,))
    return f"objects/{identity[:2]}/{identity}.jsonl"


def damaged_list(store: Path) -> str:
    identity = put(store, encode_list([LISTED]))
    file_of(store, identity).write_bytes(b"x")
    other_says(store, acknowledged=(identity,))
    return f"objects/{identity[:2]}/{identity}.jsonl"


def listed_file(store: Path, field: str = "done") -> str:
    data = b"{}\n"
    name = f"objects/{object_id(data)[:2]}/{put(store, data)}.jsonl"
    other_says(store, **{field: (put(store, encode_list([name])),)})
    return name


def missing_record(store: Path) -> str:
    other_says(store, purged=("ef" * 32,))
    return f"objects/ef/{'ef' * 32}.jsonl"


def no_record(store: Path) -> str:
    identity = put(store, b"{}\n")
    other_says(store, purged=(identity,))
    return f"objects/{identity[:2]}/{identity}.jsonl"


def purged_object(store: Path) -> str:
    _, gone = purged(store)
    backup = store.with_name("backup")
    with open_store(backup, state_path=f"{backup}.state", replica="other") as manager:
        fill(manager, "chat", 2, size=70_000)
    source = file_of(backup, gone)
    (store / "objects" / gone[:2]).mkdir(exist_ok=True)
    shutil.copy(source, store / "objects" / gone[:2] / source.name)
    return f"objects/{gone[:2]}/{source.name}"


CASES: dict[str, tuple[Callable[[Path], str], str]] = {
    "a condemned list missing": (missing_list("condemned"), "list"),
    "a list that is done missing": (missing_list("done"), "list"),
    "an acknowledged list missing": (missing_list("acknowledged"), "list"),
    "a list that is none": (no_list, "list"),
    "a damaged list": (damaged_list, "list"),
    "a listed file": (listed_file, "list-file"),
    "a purge record missing": (missing_record, "purge-record"),
    "a purge record that is none": (no_record, "purge-record"),
    "a purged object": (purged_object, "purge-object"),
}


@pytest.mark.parametrize("full", [False, True], ids=["quick", "full"])
@pytest.mark.parametrize("case", CASES)
def test_each_rule(store: Path, case: str, full: bool) -> None:
    """What breaks a rule is found by that rule alone, with its file, by a quick check too; it loses no message."""
    damage, rule = CASES[case]
    path = damage(store)
    with untouched(store), open_store(store, replica="desk", read_only=True) as manager:
        report = manager.maintenance.check(full=full)
    (found,) = report.findings
    assert (found.rule, found.path, found.severity, report.is_whole) == (rule, str(store / path), "note", True)
    assert found.remedy == RULES[rule].remedy
    if rule in ("list", "purge-record"):
        assert "lap names it" in found.what


@pytest.mark.parametrize("field", ["acknowledged"])
def test_what_is_not_deleted_yet_may_be_here(store: Path, field: str) -> None:
    """A file on a list that nobody has carried out is as it should be."""
    listed_file(store, field)
    with open_store(store, replica="desk", read_only=True) as manager:
        assert manager.maintenance.check(full=True).findings == ()


def damaged(store: Path) -> Iterator[Path]:
    """Break the list that is done and the purge record, and yield their files."""
    (done,) = orjson.loads((store / "refs" / "desk" / "replica.json").read_bytes())["done"]
    record, _ = purged(store)
    yield file_of(store, done)
    yield record


@pytest.mark.parametrize("how", ["missing", "altered"])
def test_a_repair_brings_them_back(store: Path, how: str) -> None:
    """From another store: then the names stay avoided, and what was purged can be read as it stands now."""
    collector = Collector(store, replica="desk")
    collector.leave(50)
    collector.until(lambda report: report.freed.files == 1)
    backup = Path(shutil.copytree(store, store.with_name("backup")))
    files = list(damaged(store))
    good = [path.read_bytes() for path in files]
    for path in files:
        path.unlink() if how == "missing" else path.write_bytes(b"x")
    with open_store(store, replica="desk") as manager:
        assert {each.rule for each in manager.maintenance.check().findings} >= {"list", "purge-record"}
        mended = manager.maintenance.repair(dry_run=False, from_store=backup).mended
        assert {str(path) for path in files} <= {each.path for each in mended}
        assert [path.read_bytes() for path in files] == good
        assert manager.maintenance.check(full=True).findings == ()
        assert manager.load_session("chat").messages[1]["content"].startswith("*********")
        assert repo_of(manager).listed()


def test_a_gc_waits_for_them(store: Path) -> None:
    """Without a purge record nobody can tell what stands for what: nothing is condemned until it is back."""
    collector = Collector(store, replica="desk")
    collector.leave(50)
    record, _ = purged(store)
    kept = record.rename(store.parent / "kept")
    for _ in range(6):
        assert collector.run().condemned.files == 0
    kept.rename(record)
    assert collector.until(lambda report: report.condemned.files == 1) <= GRACE
