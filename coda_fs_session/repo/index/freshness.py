"""Whether what was last seen of the names of refs may still be believed."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...backends.base import Backend, Record

_A_MOMENT = 0.1
"""Seconds; sync tools take longer to notice that something is new."""


class Freshness:
    """The last look at which refs there are, and what has been written since.

    Attributes:
        marker: what the backend told of the state that was seen; see `Backend.ref_identities`.
    """

    def __init__(self, backend: Backend, record: Record) -> None:
        self.backend = backend
        self._record = record
        self.forget()

    def forget(self) -> None:
        """Believe nothing any more."""
        self.marker: object = None
        self._beside: object = None  # such a marker, without what this process does to the refs of its own replica
        self._noted = False  # a ref of our own since the last look
        self._changes = -1  # of all processes, at the last look
        self._recent = False  # the last look came right after some change
        self._good_until = 0.0  # by the monotonic clock: so long what was seen then will do for making new ones

    @property
    def is_recent(self) -> bool:
        """Whether the last look was a moment ago, and no other process of this machine has written a ref since."""
        return time.monotonic() < self._good_until and self._record.changes() == self._changes

    def look(self, known: Callable[[], dict[str, int]], *, maker: str | None = None) -> bool:
        """Look which refs there are; tell whether any may have other names than those that are known.

        A header changes only when its ref is replaced, so that identities tell.

        Args:
            known: returns the identities that are known.
            maker: this replica, where it is to make a ref. Allow an answer that is up to 0.1 s old. A file that a sync
                tool adds among its own refs in that time is noticed by the next look.
        """
        began = time.monotonic()
        beside = self._beside if maker is not None and self.is_recent else None
        # Before the listing: what happens between the two is a reason to look again, not one that was looked at.
        changes = self._record.changes()
        if maker is None:
            marker, identities = self.backend.ref_identities(self.marker)
            self.marker = marker
        else:
            marker, identities = self.backend.ref_identities(beside, but=maker)
            self._beside = marker
            if identities is None:
                return False
        # Some time that grows with what a look takes: who makes many sessions spends a tenth of it on looking.
        self._good_until = began + max(_A_MOMENT, 10 * (time.monotonic() - began))
        noted, self._noted = self._noted, False
        if identities is None:
            return False
        alone, self._changes = changes == self._changes, changes
        recent, self._recent = self._recent, marker is None
        # A file that somebody else has replaced twice may have its first inode again: that takes a look at sizes and
        # times. What other machines did can wait while the times of folders do not tell yet: the first look after
        # that finds them changed.
        return known() != identities or not alone or not (noted or (recent and self._recent))

    def note(self) -> None:
        """Take note that this process has written a ref, which the index has taken in."""
        self._noted = True
        changes = self._record.changes()
        if changes == self._changes + 1:
            # Nobody else's.
            self._changes = changes
