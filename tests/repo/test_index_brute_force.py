"""The index against a look at every ref without one, whatever tools did to the files."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coda_fs_session import SessionInfo, SessionManager
from coda_fs_session.backends.base import NO_TOKEN
from coda_fs_session.format.names import key_of_ref, session_key
from coda_fs_session.repo.index import parts
from coda_fs_session.repo.index.rows import Row
from coda_fs_session.repo.lookup.listing import list_infos
from coda_fs_session.repo.repository import Repository
from coda_fs_session.repo.storage import RepoStorage

from .machines import Machine, said

SETTLED = 0.03
"""Seconds, longer than a tick of the file system's clock."""

FLAT = ["", "here-00000001", "there-00000002"]
DEEP = [*FLAT, "here-00000001/0a", "here-00000001/ff", "there-00000002/0a", "there-00000002/kept/by hand"]

FILES = [
    *("chat.jsonl", "talk.jsonl", "talk.2.jsonl", "talk", "chat (copy).jsonl", "chat.sync-conflict-1.jsonl"),
    f"{session_key('größe')}.jsonl",
]

NAMES = ["chat", "talk", "new", "old name", "größe"]


@pytest.fixture(scope="module")
def refs(tmp_path_factory: pytest.TempPathFactory) -> list[list[bytes]]:
    """Bytes of refs, each as it was after every save: of names that are shared, given up and deleted."""
    found: list[list[bytes]] = [[b"garbage\n"], [b""]]
    for number, (name, later) in enumerate([(name, later) for name in NAMES for later in (None, "", *NAMES[:3])]):
        machine = Machine(tmp_path_factory.mktemp("refs"), f"maker-{number:08x}")
        machine.create(name, said(number))
        if later == "":
            machine.manager().delete_session(name)
        elif later is not None and later != name:
            machine.manager().rename_session(name, later)
        states = [machine.only_ref().read_bytes()]
        for text in ("more", "and more") if later != "" else ():
            machine.change(later if later is not None else name, text)
            states.append(machine.only_ref().read_bytes())
        found.append(states)
    return found


class Tools:
    """Sync tools and people at work on the files of a store.

    Args:
        stands_still: the clock of the file system does, for a second each time.
    """

    def __init__(
        self, store: Path, folders: list[str], refs: list[list[bytes]], rng: random.Random, stands_still: bool
    ) -> None:
        self.root = store / "refs"
        self.folders = folders
        self.refs = refs
        self.rng = rng
        self.stands_still = stands_still
        self.tick = 0
        self.holds: dict[Path, list[bytes]] = {}
        self.root.mkdir(parents=True)

    def work(self) -> str:
        """Do one thing; return what."""
        act: Callable[[], None] = self.rng.choice(
            [self.create] * 2
            + [self.move] * 2
            + [self.replace, self.append, self.mend, self.delete, self.drop_folder]
            + ([] if self.stands_still else [self.replace_with_its_inode])
        )
        if act != self.create and not self.holds:
            act = self.create
        act()
        # So that folders count as they are from now on: one of their times nobody can set. A file with the inode of the
        # one before is noticed no earlier.
        if self.rng.random() < 0.5 or act == self.replace_with_its_inode:
            time.sleep(SETTLED)
        return act.__name__

    def create(self) -> None:
        path = self.free()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.put(path, self.rng.choice(self.refs))

    def replace(self) -> None:
        self.put(self.one(), self.rng.choice(self.refs))

    def replace_with_its_inode(self) -> None:
        """As if twice: the second file may get the inode of the first."""
        path = self.one()
        self.holds[path] = self.rng.choice(self.refs)
        with path.open("r+b") as file:
            file.truncate()
            file.write(self.holds[path][0])
        self.settle(path)
        self.settle(path.parent)

    def append(self) -> None:
        path = self.one()
        states = self.holds[path]
        now = states.index(path.read_bytes())
        with path.open("ab") as file:
            file.write(states[min(now + 1, len(states) - 1)][len(states[now]) :])
        self.pass_time(path)

    def mend(self) -> None:
        """Write into a file what it should be, where only its name told whose it is: no folder changes."""
        held = sorted(self.holds.items())
        bad = [path for path, states in held if states in self.refs[:2] and key_of_ref(path.name) is not None]
        if bad:
            path = self.rng.choice(bad)
            self.holds[path] = self.rng.choice(self.refs)
            path.write_bytes(self.holds[path][0])
            self.pass_time(path)

    def move(self) -> None:
        path, target = self.one(), self.free()
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            self.holds[target] = self.holds.pop(path)
            self.pass_time(path.parent, target.parent)

    def delete(self) -> None:
        path = self.one()
        path.unlink()
        del self.holds[path]
        self.pass_time(path.parent)

    def drop_folder(self) -> None:
        folder = self.one().parent
        if folder != self.root and self.rng.random() < 0.3:
            shutil.rmtree(folder)
            self.holds = {path: held for path, held in self.holds.items() if folder not in path.parents}
            self.pass_time(folder.parent)

    def put(self, path: Path, states: list[bytes]) -> None:
        incoming = path.with_name(".incoming")
        incoming.write_bytes(self.rng.choice(states))
        incoming.rename(path)
        self.holds[path] = states
        self.pass_time(path, path.parent)

    def one(self) -> Path:
        return self.rng.choice(sorted(self.holds))

    def free(self) -> Path | None:
        path = self.root / self.rng.choice(self.folders) / self.rng.choice(FILES)
        return None if path in self.holds or path.is_dir() else path

    def pass_time(self, *paths: Path) -> None:
        for path in paths:
            if self.stands_still:
                whole = time.time_ns() // 10**9 * 10**9
                os.utime(path, ns=(whole, whole))
            elif self.rng.random() < 0.7:
                self.settle(path)

    def settle(self, path: Path) -> None:
        """Let a change be long ago."""
        self.tick += 1
        os.utime(path, ns=(self.tick, 10**18 + self.tick))


def plain(rows: list[Row]) -> dict[str, Row]:
    return {row.path: row.plain()._replace(token=NO_TOKEN) for row in rows}


def as_named(rows: list[Row]) -> dict[str, tuple[object, ...]]:
    """Return what looking a name up promises: what a header says; and of what cannot be read whose it may be."""
    return {row.path: (row.name, row.key, row.former_names, row.deleted, row.readable) for row in rows}


def listing(repo: Repository, *, keep: bool = False) -> list[SessionInfo]:
    infos = list_infos(repo, keep=keep)
    for info in infos:
        info.error = str(info.error)  # type: ignore[assignment]
    return infos


@pytest.mark.parametrize("stands_still", [False, True], ids=["clock", "clock that stands still"])
@pytest.mark.parametrize("folders", [FLAT, DEEP], ids=["flat", "subfolders"])
def test_the_index_says_what_the_files_say(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refs: list[list[bytes]],
    seed: int,
    long_size: bool,
    folders: list[str],
    stands_still: bool,
) -> None:
    """Programs that stay for a while, and begin with what others kept, some of which is damaged or of earlier."""
    # The names of parts are kept whenever one was read for them.
    monkeypatch.setattr(parts, "_FEW_PARTS", 0)
    rng, asking = random.Random(seed), random.Random(seed)
    machine = Machine(tmp_path, "here-00000001")
    tools = Tools(machine.store, folders, refs, rng, stands_still)
    machine.manager().create_session("first")
    programs = [machine.repository()] * 3
    kept: dict[Path, bytes] = {}
    done: list[str] = []
    for step in range(200 if long_size else 60):
        done.append(tools.work())
        blank = machine.repository()
        blank.machine.recall = lambda topic: None  # type: ignore[method-assign]
        by_name = {name: as_named(blank.index.named(name)) for name in NAMES}
        expected, replicas, listed = plain(blank.index.rows()), blank.index.replicas(), listing(blank)
        names = {name for row in expected.values() for name in (row.name, *row.former_names) if row.readable}
        if rng.random() < 0.4:
            damage(machine, rng, kept)
            programs[rng.randrange(3)] = machine.repository()
        # Each after every step: a file that is replaced twice between two looks may get its first inode again.
        for program in programs:
            where = f"step {step}, {done[-5:]}"
            for name in rng.sample(NAMES, 2):
                assert as_named(program.index.named(name)) == by_name[name], where
            assert program.index.replicas() == replicas, where
            if asking.random() < 0.3:
                prefix = asking.choice(NAMES)[: asking.randrange(4)]
                found, _ = program.index.starting(prefix)
                # Others are of refs that were there.
                assert {name for name in names if name.startswith(prefix)} <= {*found}, where
                assert all(name.startswith(prefix) for name in found)
            if rng.random() < 0.3:
                assert plain(program.index.rows()) == expected, where
            if rng.random() < 0.4:
                assert listing(program, keep=rng.random() < 0.5) == listed, where
            if rng.random() < 0.5:
                program.index.keep()


def damage(machine: Machine, rng: random.Random, kept: dict[Path, bytes]) -> None:
    """Flip a bit of a file of the index, cut it, remove it, or put back what was there the last time."""
    files = [path for path in (machine.folder / "state").glob("*/index*/*") if path.is_file()]
    files += (machine.folder / "state").glob("*/index.json")
    if not files or rng.random() < 0.5:
        return
    path = rng.choice(sorted(files))
    data = path.read_bytes()
    place = rng.randrange(len(data) or 1)
    flipped = data[:place] + bytes(each ^ 1 << rng.randrange(8) for each in data[place : place + 1]) + data[place + 1 :]
    changed = rng.choice([flipped, data[:place], None, kept.get(path, data)])
    kept[path] = data
    if changed is None:
        path.unlink()
    else:
        path.write_bytes(changed)


def test_another_store_that_came_and_went(here: Machine, there: Machine) -> None:
    """What the times of folders vouch for are the refs that were seen with them."""
    here.create("chat", said(1))
    there.create("talk", said(2))
    time.sleep(0.1)
    index = here.repository().index
    assert len(index.named("chat")) == 1
    refs, away, other = here.store / "refs", here.store / "away", there.store / "refs"
    # As if it were another copy of the same replica.
    (other / there.replica).rename(other / here.replica)
    refs.rename(away)
    other.rename(refs)
    assert [row.name for row in index.rows()] == ["talk"]
    refs.rename(other)
    away.rename(refs)
    assert [row.name for row in index.named("chat", "talk")] == ["chat"]


def test_a_folder_that_is_gone_before_it_was_seen(here: Machine) -> None:
    """One that this program made, and somebody took away before the next look."""
    repo = here.repository()
    manager = SessionManager({"session": {"storage_path": here.store}}, storage=RepoStorage(repo))
    manager.create_session("chat")
    shutil.rmtree(here.store / "refs" / here.replica)
    assert repo.index.named("chat") == []
