"""Throwing a file away that a check has named: by hand, one at a time, and its bytes are kept aside for a while."""

from __future__ import annotations

import os
from collections.abc import Container
from contextlib import suppress
from functools import partial
from hashlib import sha256

from ...backends.base import RefKey
from ...errors import StoreError, printable
from ...format.names import key_of_ref
from ..repository import Repository
from ..reverts.put_back import retried
from .check import Check
from .findings import Finding
from .ref_rules import ReadRef
from .report import DiscardReport, Lost

_MAY_GO = frozenset(
    [
        *("ref-header", "ref-line", "ref-replaced"),
        *("object-damaged", "history-damaged", "unused-damaged", "object-copy", "object-place"),
        *("stray-file", "temporary-file"),
    ]
)
"""The rules of files that need not stay. What breaks another rule is mended otherwise, as its remedy says."""


def discard(repo: Repository, path: str, *, dry_run: bool = True) -> DiscardReport:
    """Throw a file away; see `Maintenance.discard`.

    Args:
        path: of the file, absolute.
    """
    check = Check(repo, full=True)
    wanted = printable(path)
    found = tuple(each for each in check.run().findings if os.path.abspath(each.path) == wanted)
    spare = {each.path for places in check.stored.values() for each in repo.backend.spare_copies(places)}
    _refuse_others(path, found, {os.path.abspath(each) for each in spare})
    key = next((key for key, _ in repo.backend.refs() if os.path.abspath(repo.backend.locate(key)) == path), None)
    lost = next((_alone_in(repo, read) for read in check.damaged if read.key == key), None)
    data = repo.backend.read_file(path)
    kept = "" if dry_run else throw_away(repo, path, data, key)
    return DiscardReport(found, lost, kept, dry_run)


def throw_away(repo: Repository, path: str, data: bytes, key: RefKey | None) -> str:
    """Remove a file with these bytes, and return where they are kept aside.

    Args:
        key: of the ref that it is, if it is one.
    """
    # Before it goes: it may be the only copy.
    kept = repo.machine.keep_deleted(sha256(data).hexdigest(), data)
    retried(repo, partial(_remove, repo, path, data, key))
    return kept


def _refuse_others(path: str, found: tuple[Finding, ...], spare: Container[str]) -> None:
    """Raises ValueError where a file is to stay."""
    if not found:
        raise ValueError(f"a full check finds nothing wrong with {path}: give the path of a finding, as it is there")
    for each in found:
        if each.rule not in _MAY_GO:
            raise ValueError(f"{path} must stay: {each.what}; {each.remedy}")
        if each.rule == "object-copy" and path not in spare:
            raise ValueError(f"{path} must stay: it is the only good copy of its object; call repair() first")


def _alone_in(repo: Repository, read: ReadRef) -> Lost:
    """Say what is in a damaged ref, and in no other."""
    name, count = key_of_ref(read.key.path) or read.key.path, 0
    with suppress(KeyError, StoreError):
        head = repo.read(read.key)
        name, count = head.name, head.count
    places = (range(count),) if count else ()
    return Lost(name, read.path, places, "no other ref has what is intact of it: repair() puts that into a new file")


def _remove(repo: Repository, path: str, data: bytes, key: RefKey | None) -> None:
    if key is None:
        repo.backend.remove_file(path, data)
        return
    with repo.lock(key_of_ref(key.path) or key.path):
        repo.backend.remove_file(path, data)
        # A listing does not look at refs of this replica as long as nobody says that they changed.
        repo.machine.record.count_change()
    with suppress(StoreError):
        repo.index.look_again([key])
