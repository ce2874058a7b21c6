"""A process saves, and somebody puts older files under it: everything that it had acknowledged is still there.

So do rsync and restored backups, in place or by a rename, sync tools between two saves and during one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from storekit import within

from coda_fs_session import ObjectNotYetHereError, SessionError
from coda_fs_session.backends.disk.files import Files

from .specimen import open_fresh
from .writer import REVERTS, SAVES, Revert, Writer, in_place_with_its_time

every_revert = pytest.mark.parametrize("revert", REVERTS, ids=lambda revert: revert.__name__.strip("_"))


@every_revert
@pytest.mark.parametrize("copied", range(0, SAVES, 2))
def test_between_two_saves(tmp_path: Path, revert: Revert, copied: int) -> None:
    """A copy from after any save, put back after any later one, in the same generation and across seals."""
    for reverted in range(copied, SAVES):
        writer = Writer(tmp_path / str(reverted))
        writer.save(copied)
        older = writer.ref.read_bytes()
        writer.save(reverted - copied)
        revert(writer.ref, older)
        writer.save()
        writer.assert_all_there()
        writer.save(2)
        writer.assert_all_there()


@every_revert
def test_again_and_again(tmp_path: Path, revert: Revert) -> None:
    """Between every two saves, always with the oldest copy."""
    writer = Writer(tmp_path / "store")
    older = writer.ref.read_bytes()
    for _ in range(3 * SAVES):
        writer.save()
        revert(writer.ref, older)
    writer.save()
    writer.assert_all_there()


def _tag(writer: Writer, size: int) -> int:
    """Save metadata of some size, and return by how much the ref has grown."""
    before = writer.ref.stat().st_size
    writer.session.metadata["filler"] = "x" * size
    writer.manager.save_session(writer.session)
    return writer.ref.stat().st_size - before


def test_with_the_same_size_and_time(tmp_path: Path) -> None:
    """Bug: an older copy of the size that the file has, with its time and in its inode, made the next save hang.

    It is told by its last bytes, and everything saved since is there.
    """
    writer = Writer(tmp_path / "store")
    older = b""
    while not 150 < len(older) - writer.ref.stat().st_size:
        older = writer.ref.read_bytes()
        writer.save()
    line = _tag(Writer(tmp_path / "probe"), 0)
    _tag(writer, len(older) - writer.ref.stat().st_size - line)
    assert writer.ref.stat().st_size == len(older)
    in_place_with_its_time(writer.ref, older)
    with within(20):
        writer.save()
    writer.assert_all_there()
    assert "filler" in open_fresh(writer.store).load_session("chat").metadata


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    """The session goes on in another file; nobody's folder is touched."""
    writer = Writer(tmp_path / "store")
    writer.save(SAVES)
    writer.ref.unlink()
    writer.ref.mkdir()
    writer.save(2)
    writer.assert_all_there()
    assert list(writer.ref.iterdir()) == []
    writer.ref.rmdir()
    writer.save(2)
    writer.assert_all_there()


def test_a_damaged_header(tmp_path: Path) -> None:
    """Bug: what an open session held could not be saved any more; it goes on in another file, the old one stays."""
    writer = Writer(tmp_path / "store")
    writer.save(SAVES)
    damaged = writer.ref.read_bytes().replace(b"created", b"treated", 1)
    writer.ref.write_bytes(damaged)
    writer.save(2)
    writer.assert_all_there()
    assert writer.ref.read_bytes() == damaged


@pytest.mark.parametrize("copied", [0, 2, 5, SAVES - 1])
def test_all_refs_are_older(tmp_path: Path, copied: int) -> None:
    """The whole folder of refs is replaced by a copy, as by restoring a backup."""
    writer = Writer(tmp_path / "store")
    writer.save(copied)
    shutil.copytree(writer.store / "refs", tmp_path / "backup")
    writer.save(SAVES - copied)
    shutil.rmtree(writer.store / "refs")
    (tmp_path / "backup").rename(writer.store / "refs")
    writer.save()
    writer.assert_all_there()


@pytest.mark.parametrize("cached", [0, 1000])
@pytest.mark.parametrize("copied", [0, 2, 5, SAVES - 1])
def test_the_whole_store_is_older(tmp_path: Path, copied: int, cached: int) -> None:
    """Objects that are gone are written again from memory, or an error names one; then nothing on disk changes.

    No ref ever names an object that is not there, and the session keeps its messages.
    """
    writer = Writer(tmp_path / "store", cached=cached)
    writer.save(copied)
    shutil.copytree(writer.store, tmp_path / "backup")
    writer.save(SAVES - copied)
    newest = Path(shutil.copytree(writer.store, tmp_path / "newest"))
    shutil.rmtree(writer.store)
    shutil.copytree(tmp_path / "backup", writer.store)
    older = writer.ref.read_bytes()
    problem: SessionError | None = None
    try:
        writer.save()
    except SessionError as error:
        problem = error
    if problem is not None:
        assert isinstance(problem, ObjectNotYetHereError)
        assert writer.ref.read_bytes() == older
        assert len(writer.session) == writer.said
        assert len(open_fresh(writer.store).load_session("chat").get_messages()) == copied
        shutil.copytree(newest / "objects", writer.store / "objects", dirs_exist_ok=True)
        writer.manager.save_session(writer.session)
    writer.assert_all_there()


class Meddler(Files):
    """Lets somebody change the ref right after one of the calls on it."""

    def __init__(self) -> None:
        super().__init__(durable=False)
        self.countdown = -1
        self.meddle: Callable[[], None] | None = None

    def _count(self) -> None:
        if self.meddle is not None:
            self.countdown -= 1
            if self.countdown < 0:
                meddle, self.meddle = self.meddle, None
                meddle()

    def open_append(self, path: str) -> int:
        descriptor = super().open_append(path)
        self._count()
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        written = super().write(descriptor, data)
        self._count()
        return written

    def sync_data(self, descriptor: int) -> None:
        self._count()

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self._count()

    def sync_folder(self, path: str) -> None:
        self._count()


@every_revert
def test_during_a_save(tmp_path: Path, revert: Revert, long_size: bool) -> None:
    """Right after any call of a save, an append or a seal: the next save finds out at the latest.

    Bug: an older copy written in place between the write and its sync made the save try again for ever.
    """
    for copied in range(0, SAVES, 1 if long_size else 4):
        for reverted in range(copied, SAVES, 1 if long_size else 2):
            for call in range(12):
                files = Meddler()
                writer = Writer(tmp_path / f"{copied}-{reverted}-{call}", files)
                writer.save(copied)
                older = writer.ref.read_bytes()
                writer.save(reverted - copied)

                def meddle(ref: Path = writer.ref, older: bytes = older) -> None:
                    if ref.exists():
                        revert(ref, older)

                files.countdown, files.meddle = call, meddle
                with within(20):
                    writer.save()
                done = files.meddle is None
                files.meddle = None
                writer.save()
                writer.assert_all_there()
                shutil.rmtree(writer.store)
                if not done:
                    break
