"""Advisory locks between the processes of one machine."""

from __future__ import annotations

import errno
import os
import threading

from ...errors import under_way
from ...process import forks, system

_holders: dict[int, int] = {}
"""Which thread has locked an open file: one that waited for itself would wait for ever."""

NOT_KNOWN = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP))
"""What a disk answers that has no locks: Lustre without ``-o flock``, NFS without lockd, some FUSE disks."""


def lock(descriptor: int, *, shared: bool = False) -> None:
    """Wait until no other open file of any process holds the lock of this file, then hold it.

    Args:
        shared: others may hold it too that do so as well; where a platform knows no such locks, it is alone.

    Raises:
        SessionError: another open file of this very thread does.
    """
    operation = system.LOCK_SH if shared else system.LOCK_EX
    try:
        system.flock(descriptor, operation | system.LOCK_NB)
    except BlockingIOError:
        _refuse_own(descriptor)
        system.flock(descriptor, operation)
    _holders[descriptor] = threading.get_ident()


def unlock(descriptor: int) -> None:
    _holders.pop(descriptor, None)
    system.flock(descriptor, system.LOCK_UN)


def unlock_if_possible(descriptor: int) -> None:
    """Unlock a file, or leave it where the disk has no locks."""
    try:
        unlock(descriptor)
    except OSError as error:
        # A signal handler may raise one, such as TimeoutError: it has no number, and the file may still be locked.
        if error.errno is None:
            unlock(descriptor)
            raise


def _refuse_own(descriptor: int) -> None:
    wanted, thread = os.fstat(descriptor), threading.get_ident()
    for other, holder in list(_holders.items()):
        if holder == thread and other != descriptor and _is_of(other, wanted):
            raise under_way()


def _is_of(descriptor: int, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file)
    except OSError:
        # Closed without being unlocked.
        return False


forks.call(_holders.clear)
