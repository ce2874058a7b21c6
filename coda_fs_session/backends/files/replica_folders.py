"""The folders of one replica's refs: its own, and those within that as soon as it has many (FORMAT.md)."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterator, Sequence

from ...process.system import FolderEntry
from ..base import Marker
from ..disk.descriptors import scan
from ..disk.paths import StorePaths
from ..disk.tokens import is_recent
from .listing import may_be_ref

FLAT_REFS = 256
"""How many refs a replica has in its own folder before new ones go into those within."""
_COUNT_EVERY = 32
_INNER = re.compile(r"[0-9a-f]{2}\Z")


class Spread:
    """Decides which folder a new ref goes into.

    Args:
        refs: the folder of all refs.
        flat_refs: in place of `FLAT_REFS`.
    """

    def __init__(self, refs: str, flat_refs: int | None) -> None:
        self._refs = refs
        self._flat_refs = FLAT_REFS if flat_refs is None else flat_refs
        # By replica: how many refs it has in its own folder, those included that were only asked for. It may be wrong:
        # any of the folders will do.
        self._known: dict[str, int] = {}

    def order(self, folders: Sequence[str]) -> Sequence[str]:
        """Return the folders of a ref, given outermost first, in the order that `Backend.key_folders` promises."""
        replica = folders[0]
        known = self._known.get(replica, 0)
        # Not at each: what other processes make may be noticed later.
        if known < self._flat_refs and known % _COUNT_EVERY == 0:
            known = max(known, self._count(replica))
        self._known[replica] = known + 1
        return folders if known < self._flat_refs else folders[::-1]

    def _count(self, replica: str) -> int:
        """Count what is in a replica's own folder, and not much further than to what is many."""
        count = 0
        with contextlib.suppress(OSError), scan(f"{self._refs}/{replica}") as entries:
            for entry in entries:
                count += 1
                if count >= self._flat_refs or _is_inner(entry):
                    return self._flat_refs
        return count


def has_refs(folder: str) -> bool:
    """Tell whether there is a ref in the folders of a replica, whose own one is given."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        inner = []
        with scan(folder) as entries:
            for entry in entries:
                if may_be_ref(entry):
                    return True
                if _is_inner(entry):
                    inner.append(entry.path)
        return any(map(has_refs, inner))
    return False


def replica_marker(paths: StorePaths, replica: str, known: Marker, only: Collection[str] | None) -> Marker | None:
    """Do what `Backend.replica_marker` promises.

    A tool that copies a whole store in place writes into each file; FORMAT stands for them all.
    """
    folder = paths.ref(replica)
    try:
        if not stat.S_ISDIR(os.stat(folder, follow_symlinks=False).st_mode):
            return {}
        whole = _part(paths.root)
        with contextlib.suppress(FileNotFoundError):
            whole += _part(paths.format)
        marker: Marker = {"": whole, replica: _part(folder)}
    except FileNotFoundError:
        return None
    if known.get(replica) != marker[replica]:
        inner = [f"{replica}/{name}" for name in _inner_of(folder)]
    # Those that were in the folder then are in it now, if nothing came or went.
    elif only is None:
        inner = [path for path in known if "/" in path]
    else:
        marker = known | marker
        inner = [path for path in only if "/" in path and path in known]
    for path in inner:
        # Spelled out: of a large store, there are some hundred.
        try:
            marker[path] = _part(paths.ref(path))
        except FileNotFoundError:
            marker.pop(path, None)
    if marker == known:
        return marker
    if not has_refs(folder):
        return None
    now = time.time_ns()
    settled = {path: [] if any(is_recent(at, now) for at in part[1::2]) else part for path, part in marker.items()}
    return settled if settled[""] else {}


def _inner_of(folder: str) -> Iterator[str]:
    # It may go away at any moment.
    with contextlib.suppress(FileNotFoundError), scan(folder) as entries:
        for entry in entries:
            if _is_inner(entry):
                yield entry.name


def _is_inner(entry: FolderEntry) -> bool:
    return _INNER.match(entry.name) is not None and entry.is_dir(follow_symlinks=False)


def _part(path: str) -> list[int]:
    """Return what changes when a name in a folder comes, goes or changes hands, or a file is written.

    By ctime, since tools set the other one to what they like.
    """
    status = os.stat(path, follow_symlinks=False)
    return [status.st_ino, status.st_ctime_ns]
