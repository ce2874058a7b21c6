"""The folders of a replica's refs: which one a new ref goes into, and what tells that something in them changed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from repo.machines import Machine, said

from coda_fs_session import Session, SessionExistsError, SessionWarning
from coda_fs_session.backends.base import RecordAheadError, RefKey
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.backends.files import replica_folders
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.format.names import key_folders, ref_path
from coda_fs_session.repo.bulk import Bulk
from coda_fs_session.repo.repository import Repository
from coda_fs_session.repo.storage import RepoStorage
from coda_fs_session.repo.writing.refs import create_free, paths_for

REPLICA = "host-00000000"
MANY = 4
SETTLED = 0.02
"""Seconds, longer than a tick of the file system's clock."""


def names(count: int) -> list[str]:
    return [f"chat-{number}" for number in range(count)]


def inner(key: str) -> str:
    return ref_path(key_folders(REPLICA, key)[1], key, 1)


def flat(key: str) -> str:
    return ref_path(REPLICA, key, 1)


def paths(store: Path) -> list[str]:
    return sorted(path.relative_to(store / "refs").as_posix() for path in store.glob("refs/**/*.jsonl"))


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "here", REPLICA)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a replica have many refs from so few on."""
    monkeypatch.setattr(replica_folders, "FLAT_REFS", MANY)
    return MANY


def process(here: Machine, many: bool) -> Repository:
    """Return what a process works on that takes a replica's refs for many, or for few, whatever it finds."""
    repo = here.repository()
    backend = repo.backend
    assert isinstance(backend, LocalBackend)
    # More than any number, or less.
    backend._spread._known[REPLICA] = 2**31 if many else -(2**31) + 1
    return repo


def test_where_new_refs_go(here: Machine, many: int) -> None:
    """Into one folder as long as there are few, then into those by the names' hashes; none is moved, all are found."""
    for name in names(3 * many):
        here.create(name, said(name))
    first, rest = names(3 * many)[:many], names(3 * many)[many:]
    assert paths(here.store) == sorted([*map(flat, first), *map(inner, rest)])
    here.change(first[0], "more")
    here.change(rest[0], "more")
    assert paths(here.store) == sorted([*map(flat, first), *map(inner, rest)])
    assert here.names() == sorted(names(3 * many))
    assert [here.read(name) for name in (first[0], rest[0])] == [[first[0], "more"], [rest[0], "more"]]


def test_one_process_makes_many(here: Machine, many: int) -> None:
    """A process that makes them all counts what it makes, without a look at the folder each time."""
    manager = here.manager()
    for name in names(3 * many):
        manager.create_session(name)
    assert len(list(here.store.glob("refs/*/*.jsonl"))) == many
    assert len(paths(here.store)) == 3 * many


def test_the_folder_is_not_listed_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To tell few from many, it is looked into once for many creates, and no further than many goes."""
    looks: list[str] = []
    scan = replica_folders.scan
    monkeypatch.setattr(replica_folders, "scan", lambda folder: looks.append(folder) or scan(folder))
    (tmp_path / REPLICA).mkdir()
    folders = key_folders(REPLICA, "chat")
    chosen = replica_folders.Spread(str(tmp_path), 256)
    assert [chosen.order(folders)[0] for _ in range(30)] == [REPLICA] * 30
    assert len(looks) == 1
    for number in range(300):
        (tmp_path / REPLICA / f"{number}.jsonl").touch()
    chosen = replica_folders.Spread(str(tmp_path), 256)
    assert [chosen.order(folders)[0] for _ in range(1000)] == [folders[1]] * 1000
    assert len(looks) == 2


def test_folders_that_are_there_go_on(here: Machine, many: int) -> None:
    """A replica that has begun with folders goes on with them, though its own one was thinned out since."""
    for name in names(many + 1):
        here.create(name, said(name))
    for name in names(many):
        (here.store / "refs" / flat(name)).unlink()
    here.lose_record()
    here.create("another", said("x"))
    assert inner("another") in paths(here.store)


@pytest.mark.parametrize("many", [True, False])
def test_a_key_is_taken_in_either_folder(here: Machine, many: bool) -> None:
    """A process that would put a ref elsewhere takes no name that another one has taken."""
    here.create("first", said(0))
    for each in (many, not many):
        repo = process(here, each)
        with repo.writing():
            create_free(repo, paths_for(repo, REPLICA, "chat"), b"one\n")
    before, after = (inner, flat) if many else (flat, inner)
    assert paths(here.store) == sorted([flat("first"), before("chat"), after("chat").replace("chat", "chat.2")])


@pytest.mark.parametrize("many", [True, False])
def test_a_record_is_kept_in_either_folder(here: Machine, many: bool) -> None:
    """Nor is it free while a ref of it is only gone: what was recorded is put back there first."""
    here.create("first", said(0))
    repo = process(here, many)
    with repo.writing():
        key, _ = create_free(repo, paths_for(repo, REPLICA, "chat"), b"one\n")
    (here.store / "refs" / key.path).unlink()
    told: list[Exception] = []
    repo = process(here, not many)
    with repo.writing():
        create_free(repo, paths_for(repo, REPLICA, "chat"), b"two\n", taken=lambda key, error: told.append(error))
    assert isinstance(told[0], RecordAheadError)


@pytest.mark.parametrize("many", [True, False])
def test_a_session_that_another_process_has_made(here: Machine, many: bool) -> None:
    """Whichever folder it would have chosen itself, a process that comes later finds the session, and makes no other
    one, also where it has looked at the names a moment ago."""
    here.create("first", said(0))
    one, two = RepoStorage(process(here, many)), RepoStorage(process(here, not many))
    two.repo.backend.ref_tokens()
    two.create(Session("second"))
    one.create(Session("chat"))
    with pytest.raises(SessionExistsError):
        two.create(Session("chat"))
    assert [path for path in paths(here.store) if "chat" in path] == [(inner if many else flat)("chat")]


@pytest.mark.parametrize("many", [True, False])
def test_bulk_looks_at_both(here: Machine, many: bool) -> None:
    """Another process makes the same session in the other folder meanwhile: both are kept, and it is told."""
    here.create("first", said(0))
    held, other = process(here, many), RepoStorage(process(here, not many))

    def work() -> None:
        with Bulk(held):
            RepoStorage(held).create(Session("chat"))
            other.create(Session("chat"))

    with pytest.warns(SessionWarning, match="both are kept"):
        work()
    before, after = (inner, flat) if many else (flat, inner)
    found = [path for path in paths(here.store) if "chat" in path]
    assert found == sorted([after("chat"), before("chat").replace("chat", "chat.2")])


def test_one_folder_sync_for_all_of_a_folder(tmp_path: Path) -> None:
    """Refs that are made together are made folder by folder."""
    synced: list[str] = []

    class Counting(Files):
        def sync_folder(self, path: str) -> None:
            synced.append(path)
            super().sync_folder(path)

    backend = LocalBackend(tmp_path / "store", files=Counting(durable=False))
    backend.prepare()
    keys = [RefKey(f"{REPLICA}/{number % 8:02x}/{number}.jsonl") for number in range(320)]
    tokens = backend.create_refs([(key, f"{key.path}\n".encode()) for key in keys])
    assert len([path for path in synced if os.path.basename(os.path.dirname(path)) == REPLICA]) <= 8 + 4
    assert tokens == [backend.ref_token(key)._replace(listed=0) for key in keys]  # type: ignore[union-attr]


def test_whether_a_replica_has_refs(tmp_path: Path) -> None:
    """Also those in folders within; not dotfiles, nor folders that are empty."""
    backend = LocalBackend(tmp_path / "store", files=Files(durable=False))
    backend.prepare()
    folder = tmp_path / "store" / "refs" / REPLICA / "ab"
    assert not backend.has_refs(REPLICA)
    folder.mkdir(parents=True)
    (folder / ".tmp-0123").touch()
    assert not backend.has_refs(REPLICA)
    (folder / "chat.jsonl").touch()
    assert backend.has_refs(REPLICA)


CHANGES = {
    "a ref comes": lambda folder: (folder / "new.jsonl").write_bytes(b"new\n"),
    "a ref goes": lambda folder: next(folder.glob("*.jsonl")).unlink(),
    "a ref is replaced": lambda folder: (
        shutil.copy(next(folder.glob("*.jsonl")), folder / ".x")
        and (folder / ".x").replace(next(folder.glob("*.jsonl")))
    ),
    "a ref goes into a new folder": lambda folder: (folder / "fe").mkdir() or (folder / "fe" / "x.jsonl").touch(),
}


@pytest.mark.parametrize(
    ("where", "change"),
    [*(("within", change) for change in list(CHANGES)[:-1]), *(("own", change) for change in CHANGES)],
)
def test_a_marker_changes_with_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, where: str
) -> None:
    """Whatever happens to a ref in any of a replica's folders; where nothing does, none of them is listed."""
    # Else nothing that was just made vouches for anything.
    monkeypatch.setattr(replica_folders, "is_recent", lambda changed, now: False)
    backend = LocalBackend(tmp_path / "store", files=Files(durable=False))
    backend.prepare()
    for path in ("a.jsonl", "b.jsonl", "ab/c.jsonl", "ab/d.jsonl", "cd/e.jsonl"):
        backend.create_ref(RefKey(f"{REPLICA}/{path}"), b"one\n")
    known = backend.replica_marker(REPLICA)
    with monkeypatch.context() as context:
        context.setattr(os, "scandir", None)
        assert known
        assert backend.replica_marker(REPLICA, known) == known
    time.sleep(SETTLED)
    folder = tmp_path / "store" / "refs" / REPLICA / ("ab" if where == "within" else "")
    CHANGES[change](folder)
    assert backend.replica_marker(REPLICA, known) not in (known, {}, None)


def test_a_marker_of_a_few_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the others it says what was known, so that what happened there still shows when they are looked at."""
    monkeypatch.setattr(replica_folders, "is_recent", lambda changed, now: False)
    backend = LocalBackend(tmp_path / "store", files=Files(durable=False))
    backend.prepare()
    one, other = f"{REPLICA}/ab", f"{REPLICA}/cd"
    for folder in (one, other):
        backend.create_ref(RefKey(f"{folder}/a.jsonl"), b"one\n")
    known = backend.replica_marker(REPLICA)
    assert known
    time.sleep(SETTLED)
    for folder in (one, other):
        backend.create_ref(RefKey(f"{folder}/b.jsonl"), b"two\n")
    every = backend.replica_marker(REPLICA, known)
    assert every
    assert backend.replica_marker(REPLICA, known, only=[one, "elsewhere/ab"]) == known | {one: every[one]}
    assert every[other] != known[other]
    backend.create_ref(RefKey(f"{REPLICA}/ef/a.jsonl"), b"one\n")
    # A folder that nobody has asked for may be among those that have come.
    assert backend.replica_marker(REPLICA, known, only=[]) == backend.replica_marker(REPLICA)
