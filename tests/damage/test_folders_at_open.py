"""What is held against the store when it is opened: the records of those folders in which something happened."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from layouts import path_of
from repo.machines import Machine, said

from coda_fs_session import SessionWarning
from coda_fs_session.backends.base import RefKey, Token
from coda_fs_session.backends.files.backend import LocalBackend
from coda_fs_session.backends.machine.own_refs import FileRecord

REPLICA = "host-00000000"
SETTLED = 0.03
"""Seconds, longer than a tick of the file system's clock."""
NAMES = [f"chat-{number}" for number in range(8)]


@pytest.fixture
def many(tmp_path: Path) -> Machine:
    """A store of which it is known that all records agree."""
    machine = Machine(tmp_path / "here", REPLICA)
    for name in NAMES:
        machine.create(name, said(name))
    reopen(machine)
    return machine


def reopen(machine: Machine) -> None:
    time.sleep(SETTLED)
    machine.manager().close()


@contextmanager
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Note in which folders records are compared with refs; "all" where they are in all."""
    found: set[str] = set()
    tokens, ref_tokens = FileRecord.tokens, LocalBackend.ref_tokens

    def noted(self: FileRecord, replica: str, folders: list[str] | None = None) -> dict[RefKey, Token]:
        found.update(["all"] if folders is None else folders)
        return tokens(self, replica, folders)

    def listed(self: LocalBackend) -> dict[str, Token]:
        found.add("all")
        return ref_tokens(self)

    with monkeypatch.context() as context:
        context.setattr(FileRecord, "tokens", noted)
        context.setattr(LocalBackend, "ref_tokens", listed)
        yield found


def folder(name: str) -> str:
    return os.path.dirname(path_of(REPLICA, name))


def test_nothing_is_compared_where_nothing_moved(many: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening and closing looks at folders alone, also after saves, which leave them as they are."""
    many.change(NAMES[0], "more")
    with looked_at(monkeypatch) as found:
        many.manager().close()
    assert found == set()


def test_one_folder_that_moved_is_compared_alone(many: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a create there may be something in its folder; once that has been seen, nothing is left to look at."""
    many.create("another", said("x"))
    time.sleep(SETTLED)
    with looked_at(monkeypatch) as found:
        many.manager().close()
    # Its folder is within the replica's, which moves when it is made.
    assert folder("another") in found <= {folder("another"), REPLICA}
    with looked_at(monkeypatch) as found:
        many.manager().close()
    assert found == set()


@pytest.mark.parametrize("way", ["a ref goes", "a folder goes", "an older ref comes"])
def test_what_happened_in_one_folder_is_put_back(many: Machine, tmp_path: Path, way: str) -> None:
    """Whether it is told by the times of the folder or by its being gone, and whatever was closed in between."""
    name = NAMES[3]
    ref = many.store / "refs" / path_of(REPLICA, name)
    older = ref.read_bytes()
    manager = many.manager()
    many.change(name, "more")
    if way == "a folder goes":
        shutil.rmtree(ref.parent)
    else:
        ref.unlink()
    if way == "an older ref comes":
        ref.write_bytes(older)
    time.sleep(SETTLED)

    def go_on() -> None:
        # This one was open meanwhile, and keeps what it finds when it is closed.
        manager.create_session("another")
        time.sleep(SETTLED)
        manager.close()
        many.manager()

    with pytest.warns(SessionWarning, match="put back"):
        go_on()
    assert many.read(name) == [name, "more"]
    assert {*NAMES, "another"} == set(many.names())


def test_a_folder_that_came_and_went_between_two_looks(many: Machine) -> None:
    """The first look did not know it, and the second cannot see it: its records tell that it was there.

    They did not, and what was saved there was never put back.
    """
    manager = many.manager()
    manager.create_session("another")
    ref = many.store / "refs" / path_of(REPLICA, "another")
    ref.unlink()
    if not any(ref.parent.iterdir()):
        ref.parent.rmdir()
    time.sleep(SETTLED)
    with pytest.warns(SessionWarning, match="put back"):
        many.manager()
    assert {*NAMES, "another"} == set(many.names())


def test_a_store_copied_in_place(many: Machine, tmp_path: Path) -> None:
    """FORMAT stands for all files: where it was written, every record is compared, though no folder moved."""
    backup = Path(shutil.copytree(many.store, tmp_path / "backup"))
    many.change(NAMES[0], "more")
    reopen(many)
    for path in backup.rglob("*"):
        if path.is_file():
            (many.store / path.relative_to(backup)).write_bytes(path.read_bytes())
    with pytest.warns(SessionWarning, match="put back"):
        many.manager()
    assert many.read(NAMES[0]) == [NAMES[0], "more"]


def test_what_an_earlier_version_kept(many: Machine) -> None:
    """It vouches for nothing, and goes away with the first that is kept anew."""
    (own,) = (many.folder / "state").glob("*/own")
    (own / ".checked").write_bytes(b"{}")
    for path in own.glob(".marker"):
        path.unlink()
    reopen(many)
    assert not (own / ".checked").exists()
    assert (own / ".marker").exists()
