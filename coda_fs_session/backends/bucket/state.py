"""The state of a process that shares its replica with others on other machines: none of it outlives the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from zlib import crc32

from ...errors import UnsupportedError
from ...process import forks
from ...process.interrupts import give_up
from ..base import MachineState

FLEET = "fleet"
"""What all who write to a store in a bucket go by, where the option `replica` says nothing else."""

_LOCKS = 64


class FleetState(MachineState):
    """That of one process of a fleet. Its locks exclude the other threads, and nobody else.

    Args:
        replica: the id of the fleet.
        alone: somebody has made sure that no other process uses the store: so this one may keep house.
    """

    shares_replica = True

    def __init__(self, replica: str = FLEET, *, alone: bool = False) -> None:
        self._replica = replica
        self._alone = alone
        self._notes: dict[str, bytes] = {}
        self.after_fork()
        forks.renew(self, forks.Floor.BACKEND)

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._locks = [threading.RLock() for _ in range(_LOCKS + 1)]

    def replica(self, known: Iterable[str]) -> str:
        return self._replica

    def choose_replica(self) -> str:
        return self._replica

    @contextmanager
    def lock(self, *keys: str) -> Iterator[None]:
        with ExitStack() as stack:
            # In one order for all.
            for number in sorted(set(map(_number, keys))):
                stack.enter_context(self._locks[number])
            yield

    def keeping_house(self, what: str) -> AbstractContextManager[object]:
        if what == "gc":
            raise UnsupportedError(
                "a store in a bucket has no gc: what that deletes goes to a state folder for a while"
            )
        if self._alone:
            return self.lock(".house")
        raise UnsupportedError(
            f"{what} is not for a store in a bucket that others may be writing to, as no lock keeps them waiting: stop "
            "every process that uses it, and set alone = true in the option bucket for this one"
        )

    def scrub(self, holds: Callable[[bytes], bool], *, index: bool) -> list[str]:
        return ["old versions of what is in the bucket, where it keeps any: let them expire, or remove them"]

    def recall(self, topic: str) -> bytes | None:
        return self._notes.get(topic)

    def remember(self, topic: str, data: bytes) -> None:
        self._notes[topic] = data

    def recover(self) -> None:
        for lock in self._locks:
            give_up(lock)

    def set_aside(self, key: str, data: bytes) -> None:
        return


def _number(key: str) -> int:
    """Return which lock a key has. One that begins with a dot is no name's; what tells names apart is after the dot."""
    return _LOCKS if key.startswith(".") else crc32(key.rpartition(".")[2].encode()) % _LOCKS
