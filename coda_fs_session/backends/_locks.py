"""Advisory locks between the processes of one machine."""

from __future__ import annotations

import errno
import fcntl

NOT_KNOWN = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP))
"""What a disk answers that has no locks: Lustre without ``-o flock``, NFS without lockd, some FUSE disks."""


def lock(descriptor: int) -> None:
    """Wait until no other open file of any process holds the lock of this file, then hold it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def unlock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)
