"""A disk without room, for real: a small file system in memory that is filled up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.stores import SMALL, content, message, open_store

from coda_fs_session import Session, SessionManager, StoreFullError
from coda_fs_session.backends.disk.files import Files
from coda_fs_session.format.chunks import STANDARD, Sizes

PAGE = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.getuid() != 0:
        pytest.skip("a full disk needs a file system of its own, which only root may mount")
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "coda-fs-session-test", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("a full disk needs a file system of its own, and there is no mount command")
    if done.returncode:
        pytest.skip(f"a full disk needs a file system of its own, and here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class Talk:
    """Sessions that go on whether they can be saved or not, and what of them was acknowledged."""

    def __init__(self, manager: SessionManager) -> None:
        self.manager = manager
        self.sessions = {name: manager.create_session(name) for name in ("small", "sealing", "live", "forked")}
        self.said: dict[str, list[int]] = {name: [] for name in self.sessions}
        self.acknowledged = dict.fromkeys(self.sessions, 0)
        self.refused = 0

    def say(self, name: str, number: int, length: int) -> None:
        """Add a message and save the session, where there is room for it."""
        session, each = self.sessions[name], message(number, length)
        self.said[name].append(number)
        if name == "live":
            session.messages.append(each)
        else:
            session.add_message(each)
        self.save(name)

    def save(self, name: str) -> None:
        try:
            self.manager.save_session(self.sessions[name])
        except StoreFullError:
            self.refused += 1
            assert self.sessions[name].has_unsaved_changes
        else:
            self.acknowledged[name] = len(self.said[name])

    def fork(self, name: str, parent: str) -> None:
        try:
            self.sessions[name] = self.manager.create_session(name, branch_from=parent)
        except StoreFullError:
            self.refused += 1
        else:
            # A branch takes over what is not saved as well.
            self.said[name] = list(self.said[parent])
            self.acknowledged[name] = len(self.said[name])

    def create(self, name: str) -> None:
        session = Session(name, [message(number) for number in range(20)])
        self.sessions[name], self.said[name], self.acknowledged[name] = session, list(range(20)), 0
        self.save(name)


def numbers(messages: list[dict[str, str]]) -> list[int]:
    return [int(each["content"][:4]) for each in messages]


@pytest.mark.parametrize("sizes", [STANDARD, SMALL], ids=["lines", "chunks"])
def test_a_full_disk_loses_nothing(disk: Path, tmp_path: Path, sizes: Sizes) -> None:
    """Saving on while the disk is full and filling up raises StoreFullError and nothing else; all that was
    acknowledged can be read, nothing is there that was not said, and after making room the same objects save
    everything, each message once."""
    ballast = [disk / f"ballast{number}" for number in range(40)]
    for path in ballast:
        path.write_bytes(bytes(2 * PAGE))
    with open_store(disk / "store", tmp_path / "state", files=Files(durable=True), sizes=sizes) as manager:
        talk = Talk(manager)
        turn = 0
        while talk.refused < 40:
            turn += 1
            assert turn < 2000, "the disk does not get full"
            for name, length in (("small", 90), ("sealing", 700), ("live", 200), ("forked", 300)):
                talk.say(name, turn, length)
            if turn % 9 == 0:
                talk.fork(f"fork {turn}", "forked")
                talk.create(f"new {turn}")
            if talk.refused and turn % 7 == 0 and len(ballast) > 20:
                # A little room now and then, too little for what waits.
                ballast.pop().unlink()
                _check(talk, disk, tmp_path, sizes)
        _check(talk, disk, tmp_path, sizes)
        assert any(session.has_unsaved_changes for session in talk.sessions.values())
        for path in ballast:
            path.unlink()
        before = talk.refused
        for name in talk.sessions:
            talk.save(name)
        assert talk.refused == before, "there is room again"
        assert not any(session.has_unsaved_changes for session in talk.sessions.values())
        stored = _check(talk, disk, tmp_path, sizes)
        assert {name: stored[name] for name in talk.said} == talk.said
        assert {name: numbers(session.get_messages()) for name, session in talk.sessions.items()} == talk.said


def _check(talk: Talk, disk: Path, tmp_path: Path, sizes: Sizes) -> dict[str, list[int]]:
    with open_store(disk / "store", tmp_path / "reader", sizes=sizes) as manager:
        stored = {name: numbers(messages) for name, (messages, _, _) in content(manager).items()}
    for name, said in talk.said.items():
        shown = stored.get(name, [])
        assert len(shown) >= talk.acknowledged[name], f"{name!r}: what was acknowledged is not there"
        assert shown == said[: len(shown)], f"{name!r} holds what was not said"
    return stored
