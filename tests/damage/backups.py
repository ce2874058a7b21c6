"""Ways in which an older copy of a store comes back, and what is told of it."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from repo.machines import Machine

from coda_fs_session import SessionWarning
from coda_fs_session.backends.machine import packing
from coda_fs_session.backends.machine.own_refs import FileRecord


def rsync(backup: Path, store: Path) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    subprocess.run(["rsync", "-a", f"{backup}/", f"{store}/"], check=True)


def copy_in_place(backup: Path, store: Path) -> None:
    subprocess.run(["cp", "-r", f"{backup}/.", f"{store}/"], check=True)


def restore(backup: Path, store: Path) -> None:
    """As from a backup: the folder away, the old one there; only the objects made since are kept."""
    store.rename(store.with_name("away"))
    shutil.copytree(backup, store)
    shutil.copytree(store.with_name("away") / "objects", store / "objects", dirs_exist_ok=True)


def by_rename(backup: Path, store: Path) -> None:
    """As sync tools do it, one ref after the other."""
    for path in (backup / "refs").rglob("*.jsonl"):
        copy = path.with_name(".copy")
        shutil.copy(path, copy)
        copy.replace(store / path.relative_to(backup))


def delete_one(backup: Path, store: Path) -> None:
    next(store.glob("refs/**/chat.jsonl")).unlink()


Way = Callable[[Path, Path], None]
WAYS: list[Way] = [rsync, copy_in_place, restore, by_rename, delete_one]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
every_length = pytest.mark.parametrize("more", [1, 3, 40], ids=["one save", "the tail", "sealed since"])


def backup_of(machine: Machine) -> Path:
    return machine.folder / "backup"


def go_on(machine: Machine, count: int) -> list[str]:
    for number in range(count):
        machine.change("chat", f"more {number}")
    return ["0", "1", *(f"more {number}" for number in range(count))]


@contextmanager
def told(*parts: str) -> Iterator[None]:
    """Make sure that the block warns once, in these words; without any words not at all."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    texts = [str(each.message) for each in caught if each.category is SessionWarning]
    assert len(texts) == bool(parts), texts
    assert all(part in texts[0] for part in parts), texts


def whole_tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def records(machine: Machine, name: str) -> list[Path]:
    """Return the files of records of a session, kept aside or not; packed ones are made files again."""
    for state in (machine.folder / "state").iterdir():
        record = FileRecord(lambda state=state: str(state))
        for key in [key for each in (*record.replicas(), *record.aside()) for key in record.tokens(each)]:
            if not (state / "own" / key.path).exists():
                data = record.read(key)
                assert data is not None
                (state / "own" / key.path).write_bytes(data)
        for pack in (state / "own").rglob(packing.PACK):
            pack.unlink()
    return sorted((machine.folder / "state").glob(f"*/own/*/**/{name}.jsonl"))
