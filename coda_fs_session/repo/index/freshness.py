"""Whether what was last seen of the names of refs may still be believed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...backends.base import Backend, Record, RefFolders, folder_of

_A_MOMENT = 0.1
"""Seconds; sync tools take longer to notice that something is new."""


class Look(NamedTuple):
    """What a look found.

    Attributes:
        contents: by folder, of those that may not be as they were: the identity of each ref in it by its path.
        explained: of these, those in which nothing else has happened where the identities are those that are known.
        gone: folders that are not there any more.
        is_first: it was the first one of all folders.
    """

    contents: Mapping[str, Mapping[str, int]] = {}
    explained: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    is_first: bool = False


class Freshness:
    """The last look at which refs there are, and what has been written since.

    Attributes:
        states: what the backend told of the folders that were seen; see `Backend.ref_folders`.
        written: folders in which this process has written refs, with those around them.
        has_looked: whether there was a look since the last `forget`.
    """

    def __init__(self, backend: Backend, record: Record) -> None:
        self.backend = backend
        self._record = record
        self.written: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """Believe nothing any more."""
        self.states: dict[str, object] = {}
        self._beside: dict[str, object] | None = None  # such states, without what we do to the refs of our own replica
        self._noted: set[str] = set()  # folders in which this process has written since the last look
        self._others: int | None = None  # how many changes other processes had made, at the last look
        self._recent: set[str] = set()  # folders into which the last look came right after some change
        self.has_looked = False
        self._good_until = 0.0  # by the monotonic clock: so long what was seen then will do for making new ones

    @property
    def is_recent(self) -> bool:
        """Whether the last look was a moment ago, and no other process of this machine has written a ref since."""
        return time.monotonic() < self._good_until and self._changes_of_others() == self._others

    def look(self, *, maker: str | None = None) -> Look:
        """Look in which folders refs may have other names than those that are known.

        A header changes only when its ref is replaced, so that identities tell.

        Args:
            maker: this replica, where it is to make a ref. Allow an answer that is up to 0.1 s old. A file that a sync
                tool adds among its own refs in that time is noticed by the next look.
        """
        began = time.monotonic()
        if maker is not None and self._is_as_before_beside(maker):
            return Look()
        # Before the listing: what happens between the two is a reason to look again, not one that was looked at.
        others = self._changes_of_others()
        found = self.backend.ref_folders(self.states)
        gone = self.states.keys() - found.states.keys()
        self.states = found.states
        is_first, self.has_looked = not self.has_looked, True
        # Some time that grows with what a look takes: who makes many sessions spends a tenth of it on looking.
        self._good_until = began + max(_A_MOMENT, 10 * (time.monotonic() - began))
        noted, self._noted = self._noted, set()
        alone, self._others = others == self._others, others
        if not found.contents and not gone:
            return Look()
        before, self._recent = self._recent, {folder for folder in found.contents if found.states[folder] is None}
        # A file that somebody else has replaced twice may have its first inode again: that takes a look at sizes and
        # times. What other machines did can wait while the time of a folder does not tell yet: the first look after
        # that finds it changed.
        explained = found.contents.keys() & (noted | (before & self._recent)) if alone else ()
        return Look(found.contents, frozenset(explained), frozenset(gone), is_first)

    def _is_as_before_beside(self, maker: str) -> bool:
        """Tell whether an earlier look will do: it was a moment ago, and only this replica has made refs since."""
        is_recent, before = self.is_recent, self._beside
        if before is None:
            before = {folder: state for folder, state in self.states.items() if folder.partition("/")[0] != maker}
        found: RefFolders = self.backend.ref_folders(before, but=maker)
        self._beside = found.states
        return is_recent and not found.contents and before.keys() == found.states.keys()

    def note(self, paths: Iterable[str]) -> None:
        """Take note that this process has written refs, which the index has taken in."""
        for folder in set(map(folder_of, paths)):
            # With those around it, in which it may be new.
            while folder not in self._noted:
                self._noted.add(folder)
                self.written.add(folder)
                folder = folder_of(folder)

    def _changes_of_others(self) -> int:
        # Ours first: one that another thread makes meanwhile is taken for somebody else's, and not the reverse.
        ours = self._record.counted
        return self._record.changes() - ours

    def doubt(self, folder: str) -> None:
        """Look into a folder at the next look, whatever its state."""
        self.states[folder] = None
