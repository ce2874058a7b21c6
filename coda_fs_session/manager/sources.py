"""Finding the files to import, in folders and zip files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING

from ..errors import ExportError
from ..interchange.formats import FORMATS
from ..interchange.sources import SourceFile, is_zip, unzipped
from .outside import open_outside

if TYPE_CHECKING:
    import sqlite3


def files_at(
    paths: Iterable[str | os.PathLike[str]], format_name: str | None, notes: list[str], unreadable: list[str]
) -> Iterator[SourceFile]:
    """Yield the files at some paths: each that is given, and of a folder those whose names say that they may be meant.

    A path that is given may be a link; links within a folder are notes. Nothing is written anywhere.

    Raises:
        FileNotFoundError: a path is not there.
    """
    for given in paths:
        path = os.path.abspath(os.path.expanduser(os.fspath(given)))
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            found = _in_folder(path, format_name, notes, unreadable)
        else:
            found = iter([_file(os.path.basename(path), path, status)])
        for file in found:
            yield from _opened(file, format_name, unreadable)


def _opened(file: SourceFile, format_name: str | None, unreadable: list[str]) -> Iterator[SourceFile]:
    try:
        if not (file.name.endswith(".zip") or not _picked(file.base, format_name)) or not is_zip(file):
            yield file
            return
        there = list(unzipped(file))
        members = [member for member in there if _picked(member.base, format_name)]
        logs = {member.name for member in there if member.size and member.name.endswith("-wal")}
        unreadable += [
            f"{file.place}: {member.name}-wal has what was written last: unpack the zip file, and import the folder"
            for member in members
            if f"{member.name}-wal" in logs
        ]
    except (ExportError, OSError) as error:
        unreadable.append(str(error))
        return
    yield from members


def _in_folder(folder: str, format_name: str | None, notes: list[str], unreadable: list[str]) -> Iterator[SourceFile]:
    pending = [folder]
    while pending:
        at = pending.pop()
        try:
            with os.scandir(at) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if at == folder:
                raise
            unreadable.append(str(error))
            continue
        folders = []
        for entry in listed:
            if entry.is_symlink():
                notes.append(f"{entry.path} is a link: it was not followed")
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False) and (
                _picked(entry.name, format_name) or entry.name.endswith(".zip")
            ):
                name = os.path.relpath(entry.path, folder).replace(os.sep, "/")
                yield _file(name, entry.path, entry.stat(follow_symlinks=False))
        pending += reversed(folders)


def _file(name: str, path: str, status: os.stat_result) -> SourceFile:
    size, stamp = status.st_size, status.st_mtime_ns
    if not path.endswith((".json", ".jsonl")):
        # What is written to a database may be in its log alone for long.
        with suppress(FileNotFoundError):
            log = os.stat(f"{path}-wal")
            size, stamp = size + log.st_size, max(stamp, log.st_mtime_ns)
    return SourceFile(name, size, partial(open_outside, path), path, stamp, path, partial(_database, path))


def _database(path: str) -> AbstractContextManager[tuple[sqlite3.Connection, Callable[[], None]]]:
    # Most imports read no database.
    from .databases import opened_outside

    return opened_outside(path)


def _picked(name: str, format_name: str | None) -> bool:
    wanted = FORMATS.values() if format_name is None else [FORMATS[format_name]]
    return any(each.picks(name) for each in wanted)
