"""What stands in the place of refs and beside them: no files, links, folders of any depth, files of others."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_store import assert_only_bad_is_bad, damaged_store
from storekit import ROOT, fill, open_store, say, untouched, within

from coda_fs_session import CorruptionError


def _folder(path: Path) -> None:
    path.mkdir()


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("good.jsonl"))


def _dangling(path: Path) -> None:
    path.symlink_to("/nonexistent")


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path may have 107 characters only
    try:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero: endless
    except OSError as error:
        pytest.skip(f"cannot make a device here: {error}")


@pytest.mark.parametrize("make", [_folder, os.mkfifo, _link, _dangling, _socket, _device])
def test_a_ref_that_is_no_regular_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A folder, FIFO, link, socket or device in a ref's place is neither followed nor waited for."""
    store, path = damaged_store(tmp_path)
    path.unlink()
    make(path)
    error = assert_only_bad_is_bad(store, path)
    advice = "put what this one stands for in its place" if path.is_symlink() else "move it out of the store"
    assert advice in str(error)
    assert getattr(error, "expected", None) == "a regular file"


@pytest.mark.parametrize("top", ["refs", "refs/hostile", "objects/ab"])
@pytest.mark.parametrize("name", ["d", "d" * 255], ids=["short", "long"])
def test_folders_a_thousand_deep(tmp_path: Path, top: str, name: str) -> None:
    """Bug: nothing could be listed where a path was longer than the system takes. What is too deep is no ref."""
    store, _ = damaged_store(tmp_path)
    (store / top).mkdir(exist_ok=True)
    folder = os.open(store / top, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    try:
        for _ in range(2):
            with open_store(store) as manager, within(20):
                assert sorted(info.name for info in manager.list_sessions()) == ["bad", "good"]
                assert "nobody" not in manager
                assert manager.stats().sessions == 2
                say(manager, manager.load_session("good"), 5)
                manager.sync(tmp_path / "other")
    finally:
        # Python's own way of removing folders gives up at that depth.
        subprocess.run(["rm", "-rf", store], check=True)


def test_a_ref_that_is_32_folders_deep(tmp_path: Path) -> None:
    """As FORMAT.md says, it counts, and one that is a folder deeper does not; the independent reader agrees."""
    store, path = damaged_store(tmp_path)
    for depth, found in ((32, ["bad", "good"]), (33, ["good"])):
        there = store / "refs" / "/".join("d" * depth) / "x.jsonl"
        there.parent.mkdir(parents=True)
        path.rename(there)
        path = there
        assert sorted(info.name for info in open_store(store).list_sessions()) == found
        run = subprocess.run([ROOT / "scripts/read_store", store], capture_output=True, text=True)
        assert sorted(line.partition("\t")[2] for line in run.stdout.splitlines()) == found, run.stderr


def test_a_folder_of_a_replica_that_is_a_link(tmp_path: Path) -> None:
    """A link in the place of a replica's folder is not followed: what lies behind it is no part of the store."""
    store = tmp_path / "store"
    manager = open_store(store, replica="mine-00000001")
    fill(manager, "chat")
    manager.close()
    (store / "refs" / "mine-00000001").rename(tmp_path / "outside")
    (store / "refs" / "mine-00000001").symlink_to(tmp_path / "outside")
    manager = open_store(store, replica="mine-00000001")
    with untouched(tmp_path / "outside"):
        assert manager.list_sessions() == []
        with pytest.raises(CorruptionError, match="links are not followed") as caught:
            manager.create_session("another")
    assert caught.value.path == store / "refs" / "mine-00000001"


def test_links_between_folders_do_not_loop(tmp_path: Path) -> None:
    """A link to a folder above is not walked into."""
    store, _ = damaged_store(tmp_path)
    (store / "refs" / "loop").symlink_to(store)
    with within(10):
        assert sorted(info.name for info in open_store(store).list_sessions()) == ["bad", "good"]


@pytest.mark.parametrize("name", ["notes.txt", "chat.txt~", "Thumbs.db", "pipe"])
def test_foreign_files_beside_the_refs(tmp_path: Path, name: str) -> None:
    """Files that are no refs, and do not look like ours, are left alone and not shown."""
    store, path = damaged_store(tmp_path)
    if name == "pipe":
        os.mkfifo(path.with_name(name))
    else:
        path.with_name(name).write_text("hello")
    manager = open_store(store)
    with untouched(store), within(10):
        assert sorted((info.name, info.error) for info in manager.list_sessions()) == [("bad", None), ("good", None)]


def test_a_conflict_copy_is_one_more_ref(tmp_path: Path) -> None:
    """A copy under any name counts for the session in its header; an equal one changes nothing."""
    store, path = damaged_store(tmp_path)
    copy = path.with_name("bad (conflicted copy 2024-01-01).jsonl")
    copy.write_bytes(path.read_bytes())
    manager = open_store(store)
    assert [(info.name, info.message_count) for info in manager.list_sessions() if info.name == "bad"] == [("bad", 3)]
    path.unlink()
    assert len(open_store(store).load_session("bad")) == 3
