"""Listing the refs of a store without reading any."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Collection, Iterator

from ...process.system import EVENTS_NAME_FILES, FolderEntry
from ..base import RefKey, Sign, Token
from ..disk.descriptors import scan
from ..disk.paths import REF_ENDING, is_hidden, is_ref_file
from ..disk.tokens import COARSE_TICK_NS, is_recent, listed_token, token_of

_GROUP = re.compile(r"[0-9a-f]{2}\Z")
_DEPTH = 32
"""Folders within each other that are looked into below the refs; a replica writes one deep."""
_OUT_OF_REACH = frozenset((errno.ENOENT, errno.ENAMETOOLONG))

FolderState = list[int] | None
"""Inode and time of a folder, None where there is none; changes when a name in it comes, goes or changes hands."""


def walk_groups(objects: str) -> Iterator[tuple[str, Sign]]:
    """Yield each folder of objects by its two digits, with what changes when a file comes or goes."""
    now = time.time_ns()
    with contextlib.suppress(FileNotFoundError), scan(objects) as entries:
        for entry in entries:
            if _GROUP.match(entry.name) and entry.is_dir(follow_symlinks=False):
                yield entry.name, Sign((*listed_token(entry.stat(follow_symlinks=False), now).numbers(),))


def list_tokens(root: str) -> dict[str, Token]:
    """Return the token of each ref below a folder by its path."""
    found: dict[str, Token] = {}
    _collect_tokens(root, "", found, time.time_ns(), _DEPTH)
    return found


def _collect_tokens(folder: str, prefix: str, found: dict[str, Token], now: int, depth: int) -> None:
    settled = now - COARSE_TICK_NS
    with _within_reach(), scan(folder) as entries:
        for entry in entries:
            name = entry.name
            try:
                # Listing a large store is this loop.
                if (name.endswith(REF_ENDING) and name[0] != ".") or may_be_ref(entry):
                    status = entry.stat(follow_symlinks=False)
                    token = token_of(status) if status.st_mtime_ns < settled else listed_token(status, now)
                    found[prefix + name] = token
                elif depth and not is_hidden(name) and entry.is_dir(follow_symlinks=False):
                    _collect_tokens(entry.path, f"{prefix}{name}/", found, now, depth - 1)
            except OSError as error:
                if error.errno not in _OUT_OF_REACH:
                    raise


def refs_at(path: str) -> Collection[RefKey] | None:
    """Do what `Backend.refs_at` promises, for a path below the store."""
    if not EVENTS_NAME_FILES:
        return None
    top, _, below = path.partition("/")
    if top == "objects" or any(map(is_hidden, path.split("/"))):
        return ()
    return (RefKey(below),) if top == "refs" and below else None


def list_identities(root: str, marker: object, but: str | None) -> tuple[object, dict[str, int] | None]:
    """Do what `Backend.ref_identities` promises, for a folder of refs."""
    if isinstance(marker, list) and all(_folder_state(root + folder) == state for folder, state in marker):
        return marker, None
    now = time.time_ns()
    found: dict[str, int] = {}
    folders: list[tuple[str, FolderState]] = []
    _collect_identities(root, "", found, folders, _DEPTH)
    if but is not None:
        folders = [each for each in folders if not f"{each[0]}/".startswith(f"/{but}/")]
    settled = all(state is None or not is_recent(state[1], now) for _, state in folders)
    return ([list(each) for each in folders] if settled else None), found


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
            if (name.endswith(REF_ENDING) and name[0] != ".") or may_be_ref(entry):
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


def may_be_ref(entry: FolderEntry) -> bool:
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
