"""Listing the refs of a store without reading any."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping

from ...process.system import EVENTS_NAME_FILES, FolderEntry
from ..base import RefFolders, RefKey, Sign, Token, folder_of
from ..disk.descriptors import scan
from ..disk.paths import REF_ENDING, is_hidden, is_ref_file, is_replica_file, object_of
from ..disk.tokens import COARSE_TICK_NS, is_recent, listed_token, token_of

_GROUP = re.compile(r"[0-9a-f]{2}\Z")
DEPTH = 32
"""Folders within each other that are looked into below the refs; a replica writes one deep."""
_OUT_OF_REACH = frozenset((errno.ENOENT, errno.ENAMETOOLONG))


def walk_groups(objects: str) -> Iterator[tuple[str, Sign]]:
    """Yield each folder of objects by its two digits, with what changes when a file comes or goes."""
    now = time.time_ns()
    with contextlib.suppress(FileNotFoundError), scan(objects) as entries:
        for entry in entries:
            if _GROUP.match(entry.name) and entry.is_dir(follow_symlinks=False):
                yield entry.name, Sign((*listed_token(entry.stat(follow_symlinks=False), now).numbers(),))


def ids_in(objects: str, group: str) -> Iterator[str]:
    """Yield the id of each object in the folder of a group."""
    with contextlib.suppress(FileNotFoundError), scan(f"{objects}/{group}") as entries:
        for entry in entries:
            identity = object_of(entry.name)
            if identity and identity.startswith(group) and entry.is_file(follow_symlinks=False):
                yield identity


def list_tokens(root: str) -> dict[str, Token]:
    """Return the token of each ref below a folder by its path."""
    found: dict[str, Token] = {}
    _collect_tokens(root, "", found, time.time_ns(), DEPTH)
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
    if top == "objects" or any(map(is_hidden, path.split("/"))) or is_replica_file(path.rpartition("/")[2]):
        return ()
    return (RefKey(below),) if top == "refs" and below else None


def tokens_in(root: str, folders: Collection[str]) -> dict[str, Token]:
    """Return the token of each ref right in some of the folders below a folder, by its path."""
    found: dict[str, Token] = {}
    now = time.time_ns()
    for folder in folders:
        _collect_tokens(_path(root, folder), f"{folder}/" if folder else "", found, now, 0)
    return found


def list_folders(root: str, known: Mapping[str, object], but: str | None) -> RefFolders:
    """Do what `Backend.ref_folders` promises, for a folder of refs: a folder's state is its inode and times."""
    now = time.time_ns()
    within: dict[str, list[str]] = {}
    for folder in known:
        if folder:
            within.setdefault(folder_of(folder), []).append(folder)
    found = RefFolders({}, {})
    pending = [""]
    while pending:
        folder = pending.pop()
        path = f"{root}/{folder}" if folder else root
        # Before the listing: what comes into the folder while we list it must not pass for seen. Spelled out, as
        # looking a name up in a large store is this loop.
        state: list[int] | None
        try:
            status = os.stat(path, follow_symlinks=False)
            # Both times: tools that carry a folder give it the time that it has elsewhere, whatever they put into it.
            state = [status.st_ino, status.st_mtime_ns, status.st_ctime_ns]
        except OSError as error:
            if error.errno not in _OUT_OF_REACH:
                raise
            state = []
        if known.get(folder) == state:
            # What is in a folder cannot come or go without it.
            inner = within.get(folder, ())
        else:
            found.contents[folder], inner = _list_identities(path, folder)
            if state and is_recent(max(state[1:]), now):
                state = None
        found.states[folder] = state
        if inner:
            pending += inner if but is None else (each for each in inner if each != but)
    return found


def _list_identities(path: str, folder: str) -> tuple[dict[str, int], list[str]]:
    """Return the inode of each ref in a folder by its path, and the folders in it."""
    prefix = f"{folder}/" if folder else ""
    is_deep = folder.count("/") >= DEPTH - 1
    refs: dict[str, int] = {}
    folders: list[str] = []
    with _within_reach(), scan(path) as entries:
        for entry in entries:
            # Spelled out for the common case: looking a name up in a large folder is this loop.
            name = entry.name
            if (name.endswith(REF_ENDING) and name[0] != ".") or may_be_ref(entry):
                refs[prefix + name] = entry.inode()
            elif not is_deep and not is_hidden(name) and entry.is_dir(follow_symlinks=False):
                folders.append(prefix + name)
    return refs, folders


def _path(root: str, folder: str) -> str:
    return f"{root}/{folder}" if folder else root


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
    if is_hidden(name) or is_replica_file(name):
        return False
    return is_ref_file(name) or entry.is_file(follow_symlinks=False)
