"""Listing the refs of a store without reading any."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterator

from ...process.system import FolderEntry
from ..base import Token
from ..disk.descriptors import scan
from ..disk.paths import REF_ENDING, is_hidden, is_ref_file
from ..disk.ref_files import token_of

_GROUP = re.compile(r"[0-9a-f]{2}\Z")
_TICK_NS = 20_000_000
_COARSE_TICK_NS = 2_000_000_000
_DEPTH = 32
"""Folders within each other that are looked into below the refs; a replica writes one deep."""
_OUT_OF_REACH = frozenset((errno.ENOENT, errno.ENAMETOOLONG))

FolderState = list[int] | None
"""Inode and time of a folder, None where there is none; changes when a name in it comes, goes or changes hands."""


def walk_groups(objects: str) -> Iterator[tuple[str, Token]]:
    """Yield each folder of objects by its two digits, with a token that changes when a file comes or goes."""
    now = time.time_ns()
    with contextlib.suppress(FileNotFoundError), scan(objects) as entries:
        for entry in entries:
            if _GROUP.match(entry.name) and entry.is_dir(follow_symlinks=False):
                yield entry.name, listed_token(entry.stat(follow_symlinks=False), now)


def list_tokens(root: str) -> dict[str, Token]:
    """Return the token of each ref below a folder by its path."""
    found: dict[str, Token] = {}
    _collect_tokens(root, "", found, time.time_ns(), _DEPTH)
    return found


def _collect_tokens(folder: str, prefix: str, found: dict[str, Token], now: int, depth: int) -> None:
    settled = now - _COARSE_TICK_NS
    with _within_reach(), scan(folder) as entries:
        for entry in entries:
            name = entry.name
            try:
                # Spelled out for the common case: listing a large store is this loop.
                if (name.endswith(REF_ENDING) and name[0] != ".") or _may_be_ref(entry):
                    status = entry.stat(follow_symlinks=False)
                    changed = status.st_mtime_ns
                    if changed < settled:
                        found[prefix + name] = Token((status.st_ino, status.st_size, changed))
                    else:
                        found[prefix + name] = listed_token(status, now)
                elif depth and not is_hidden(name) and entry.is_dir(follow_symlinks=False):
                    _collect_tokens(entry.path, f"{prefix}{name}/", found, now, depth - 1)
            except OSError as error:
                if error.errno not in _OUT_OF_REACH:
                    raise


def list_identities(root: str, marker: object) -> tuple[object, dict[str, int] | None]:
    """Do what `Backend.ref_identities` promises, for a folder of refs."""
    if isinstance(marker, list) and all(_folder_state(root + folder) == state for folder, state in marker):
        return marker, None
    now = time.time_ns()
    found: dict[str, int] = {}
    folders: list[tuple[str, FolderState]] = []
    _collect_identities(root, "", found, folders, _DEPTH)
    settled = all(state is None or not _is_recent(state[1], now) for _, state in folders)
    return ([list(each) for each in folders] if settled else None), found


def states_beside(root: str, own: str) -> list[tuple[str, FolderState]] | None:
    """Return what differs once refs came, went or were replaced outside of the folder `own`; None for not yet.

    What somebody has put deeper than a replica writes is not looked at.
    """
    with contextlib.suppress(FileNotFoundError), scan(root) as entries:
        others = [entry.path for entry in entries if entry.path != own and entry.is_dir(follow_symlinks=False)]
        states = [(folder, _folder_state(folder)) for folder in (root, *others)]
        now = time.time_ns()
        if not any(state is None or _is_recent(state[1], now) for _, state in states):
            return states
    return None


def replica_marker(root: str, format_file: str, folder: str, known: list[int] | None) -> list[int] | None:
    """Do what `Backend.replica_marker` promises, for the folder of a replica's refs.

    A tool that copies a whole store in place writes into each file; FORMAT stands for them all.
    """
    # Before the listing; and by ctime, since tools set the other one to what they like.
    try:
        statuses = [os.stat(path, follow_symlinks=False) for path in (root, folder)]
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(statuses[1].st_mode):
        return []
    with contextlib.suppress(FileNotFoundError):
        statuses.append(os.stat(format_file, follow_symlinks=False))
    marker = [number for status in statuses for number in (status.st_ino, status.st_ctime_ns)]
    now = time.time_ns()
    if any(_is_recent(changed, now) for changed in marker[1::2]):
        marker = []
    elif marker == known:
        # The refs that were in the folder then are in it now.
        return marker
    with contextlib.suppress(FileNotFoundError), scan(folder) as entries:
        if any(_may_be_ref(entry) for entry in entries):
            return marker
    return None


def _collect_identities(
    folder: str, prefix: str, found: dict[str, int], folders: list[tuple[str, FolderState]], depth: int
) -> None:
    # Before the listing: what comes into the folder while we list it must not pass for seen.
    # And by its place below the refs, since the path of a store need not be text, and JSON keeps nothing else.
    folders.append((f"/{prefix}"[:-1], _folder_state(folder)))
    with _within_reach(), scan(folder) as entries:
        for entry in entries:
            # Spelled out for the common case: looking a name up in a large store is this loop.
            name = entry.name
            if (name.endswith(REF_ENDING) and name[0] != ".") or _may_be_ref(entry):
                found[prefix + name] = entry.inode()
            elif depth and not is_hidden(entry.name) and entry.is_dir(follow_symlinks=False):
                _collect_identities(entry.path, f"{prefix}{entry.name}/", found, folders, depth - 1)


@contextlib.contextmanager
def _within_reach() -> Iterator[None]:
    """Pass over a folder that is gone, or so deep that the system takes no path to it."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OUT_OF_REACH:
            raise


def _may_be_ref(entry: FolderEntry) -> bool:
    """Tell whether an entry below the refs is to be read as one.

    What is no regular file but has a ref's name is: reading it raises the error to show.
    """
    name = entry.name
    return not is_hidden(name) and (is_ref_file(name) or entry.is_file(follow_symlinks=False))


def _folder_state(folder: str) -> FolderState:
    try:
        status = os.stat(folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _OUT_OF_REACH:
            raise
        return None
    return [status.st_ino, status.st_mtime_ns]


def listed_token(status: os.stat_result, now: int) -> Token:
    """Return a token that equals no earlier one while the file's time could hide another change.

    As with Git's "racily clean" index entries: two changes within one tick of the file system's clock
    leave the same time, and a replaced file can even get its predecessor's inode.
    """
    # Nearly every file is older than the coarsest tick.
    if now - status.st_mtime_ns < _COARSE_TICK_NS and _is_recent(status.st_mtime_ns, now):
        return Token((status.st_ino, status.st_size, status.st_mtime_ns, now))
    return token_of(status)


def _is_recent(changed_ns: int, now_ns: int) -> bool:
    coarse = changed_ns % 1_000_000_000 == 0
    return now_ns - changed_ns < (_COARSE_TICK_NS if coarse else _TICK_NS)
