"""Advisory locks between the processes of one machine."""

from __future__ import annotations

import fcntl


def lock(descriptor: int) -> None:
    """Wait until no other open file of any process holds the lock of this file, then hold it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def unlock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)
