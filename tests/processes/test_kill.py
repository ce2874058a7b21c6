"""Killing a process while it saves."""

from __future__ import annotations

import mmap
import multiprocessing
import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from crash.stores import open_store

from .workers import BOARD_BYTES, Stop, save_until_killed, tagged

STOPS = [
    Stop(call, nth, moment)
    for call, nth, moments in (
        ("append", 3, ("before", "half", "after")),
        ("sync_append", 2, ("before", "after")),
        ("sync_data", 2, ("before", "after")),
        ("rename_ref", 1, ("before", "after")),
        ("rename_object", 2, ("before", "after")),
        ("write", 3, ("half",)),
        ("link", 1, ("before", "after")),
        ("sync_folder", 3, ("before", "after")),
    )
    for moment in moments
]

BETWEEN = {
    "write and sync": {("append", "sync_append"), ("append", "nothing"), ("write", "sync_data"), ("write", "nothing")},
    "sync and rename": {("sync_data", "rename_ref"), ("open_append", "rename_ref"), ("open_append", "nothing")},
    "rename and sync of the folder": {("rename_ref", "sync_folder"), ("rename_ref", "nothing")},
}


@dataclass(slots=True)
class Victim:
    """A store, and one process after another that saves to it until it is killed."""

    folder: Path
    acknowledged: int = 0
    branches: set[int] = field(default_factory=set)

    def run(self, stop: Stop | None, calls: int) -> tuple[str, str]:
        """Kill a process at a stop, or once it has begun so many calls; return the call before and that call."""
        context = multiprocessing.get_context("forkserver")
        board = self.folder / "board"
        board.write_bytes(b"0 nothing nothing".ljust(BOARD_BYTES))
        receive, send = context.Pipe(duplex=False)
        arguments = (self.folder / "store", self.folder / "state", board, stop, send)
        process = context.Process(target=save_until_killed, args=arguments)
        process.start()
        send.close()
        with board.open("rb") as file, mmap.mmap(file.fileno(), BOARD_BYTES, access=mmap.ACCESS_READ) as seen:
            try:
                paused = False
                while not paused and (stop or int(seen[:].split()[0]) < calls):
                    if receive.poll(0.001 if stop else 0):
                        paused = self._take(receive)
                    assert process.is_alive(), "the process ended by itself"
            finally:
                process.kill()
                process.join()
            last, present = seen[:].decode().split()[1:]
        with receive:
            while receive.poll():
                try:
                    self._take(receive)
                except EOFError:
                    break
        return last, present

    def _take(self, receive: Connection) -> bool:
        what, serial = receive.recv()
        if what == "saved":
            self.acknowledged = serial + 1
        elif what == "branched":
            self.branches.add(serial)
        return bool(what == "paused")

    def check(self, state: str) -> None:
        """Every acknowledged message is there, in order, and at most the one in flight after it."""
        with open_store(self.folder / "store", self.folder / state) as manager:
            infos = {info.name: info for info in manager.list_sessions()}
            assert all(info.error is None for info in infos.values()), infos
            messages = manager.load_session("chat").get_messages() if "chat" in infos else []
            assert messages == [tagged(0, serial) for serial in range(len(messages))]
            assert len(messages) - self.acknowledged in (0, 1)
            for serial in self.branches:
                assert infos[f"branch-{serial}"].message_count == serial + 1
            # A lost acknowledgement must not be expected of the next process.
            self.acknowledged = len(messages)


def test_a_killed_process_loses_nothing(tmp_path: Path, long_size: bool, seed: int) -> None:
    """Processes killed at chosen and at random moments of a save, a seal or a fork leave every acknowledged message;
    the next one goes on where they stopped. Kills between write and sync, sync and rename, and rename and sync of
    the folder were among them."""
    chance = random.Random(seed)
    victim = Victim(tmp_path)
    stops = cycle(chance.sample(STOPS, len(STOPS)))
    fell: Counter[tuple[str, str]] = Counter()
    for number in range(240 if long_size else len(STOPS) + 10):
        chosen = next(stops) if (long_size and number % 2) or number < len(STOPS) else None
        fell[victim.run(chosen, chance.randrange(1, 120))] += 1
        victim.check("state" if number % 3 else f"state-{number}")
    print(f"{victim.acknowledged} messages;", ", ".join(f"{a}>{b}: {n}" for (a, b), n in fell.most_common()))
    for place, moments in BETWEEN.items():
        assert moments & set(fell), f"no kill fell between {place}"


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: f"{stop.moment}-{stop.call}")
def test_the_chosen_moments_are_reached(stop: Stop, tmp_path: Path) -> None:
    """A process in a new store, killed at each chosen moment, was there, and the store is whole."""
    victim = Victim(tmp_path)
    last, present = victim.run(stop, 0)
    assert stop.call == (last if stop.moment == "after" else present)
    victim.check("state")
