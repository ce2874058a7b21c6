"""What the other processes of these tests do."""

from __future__ import annotations

import mmap
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, TypeVar

from crash.stores import open_store

from coda_fs_session import SessionWarning
from coda_fs_session.backends.disk.files import Files

T = TypeVar("T")

BOARD_BYTES = 64
BRANCH_EVERY = 10


def tagged(writer: int, serial: int) -> dict[str, Any]:
    """Return a message that tells who wrote it, and when; every seventh is a chunk of its own."""
    length = 1500 if serial % 7 == 6 else 20 + serial * 37 % 200
    return {"role": "user", "writer": writer, "serial": serial, "content": chr(97 + serial % 26) * length}


def write_many(root: Path, state: Path, writer: int, names: list[str], count: int, start: Barrier) -> None:
    """Create sessions that others create too, and save messages to them in turns."""
    warnings.simplefilter("error", SessionWarning)
    start.wait()
    with open_store(root, state, replica=None) as manager:
        sessions = [manager.create_session(name) for name in names]
        for serial in range(count):
            session = sessions[serial % len(sessions)]
            session.add_message(tagged(writer, serial))
            manager.save_session(session)


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a process is to stand still: before or after the nth call of a kind, or with half of a write done."""

    call: str
    nth: int
    moment: str


class Announcing(Files):
    """Writes on a board that others see which call was made last, and which one is being made.

    Args:
        board: shared memory; call number, last call and present call as text.
        pause: called at the stop; does not return.
    """

    def __init__(self, board: mmap.mmap, stop: Stop | None, pause: Callable[[], None]) -> None:
        super().__init__()
        self._board, self._stop, self._pause = board, stop, pause
        self._made: dict[str, int] = {}
        self._last = "nothing"
        self._appending: set[int] = set()

    def open_append(self, path: str) -> int:
        descriptor = self._do("open_append", lambda: super(Announcing, self).open_append(path))
        self._appending.add(descriptor)
        return descriptor

    def create(self, path: str) -> int:
        descriptor = self._do("create", lambda: super(Announcing, self).create(path))
        self._appending.discard(descriptor)
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        call = "append" if descriptor in self._appending else "write"
        half = lambda: super(Announcing, self).write(descriptor, data[: len(data) // 2])  # noqa: E731
        return self._do(call, lambda: super(Announcing, self).write(descriptor, data), half)

    def sync_data(self, descriptor: int) -> None:
        call = "sync_append" if descriptor in self._appending else "sync_data"
        self._do(call, lambda: super(Announcing, self).sync_data(descriptor))

    def sync_folder(self, path: str) -> None:
        self._do("sync_folder", lambda: super(Announcing, self).sync_folder(path))

    def rename(self, source: str, target: str) -> None:
        call = "rename_ref" if "/refs/" in target else "rename_object"
        self._do(call, lambda: super(Announcing, self).rename(source, target))

    def link(self, source: str, target: str) -> None:
        self._do("link", lambda: super(Announcing, self).link(source, target))

    def unlink(self, path: str) -> None:
        self._do("unlink", lambda: super(Announcing, self).unlink(path))

    def make_folder(self, path: str) -> None:
        self._do("make_folder", lambda: super(Announcing, self).make_folder(path))

    def _do(self, call: str, act: Callable[[], T], half: Callable[[], T] | None = None) -> T:
        self._made[call] = self._made.get(call, 0) + 1
        number = sum(self._made.values())
        self._announce(f"{number} {self._last} {call}")
        stop = self._stop if self._stop and (self._stop.call, self._stop.nth) == (call, self._made[call]) else None
        if stop and stop.moment != "after":
            if half and stop.moment == "half":
                half()
            self._pause()
        result = act()
        self._last = call
        self._announce(f"{number} {call} nothing")
        if stop:
            self._pause()
        return result

    def _announce(self, text: str) -> None:
        self._board[:BOARD_BYTES] = text.encode().ljust(BOARD_BYTES)


def save_until_killed(root: Path, state: Path, board: Path, stop: Stop | None, acknowledge: Connection) -> None:
    """Append to the session "chat" for ever, and branch now and then; acknowledge each by its serial."""

    def pause() -> None:
        acknowledge.send(("paused", 0))
        while True:
            signal.pause()

    with board.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), BOARD_BYTES)
    manager = open_store(root, state, files=Announcing(shared, stop, pause))
    session = manager.create_session("chat")
    while True:
        serial = len(session)
        session.add_message(tagged(0, serial))
        manager.save_session(session)
        acknowledge.send(("saved", serial))
        if serial % BRANCH_EVERY == 0:
            manager.create_session(f"branch-{serial}", branch_from="chat")
            acknowledge.send(("branched", serial))
