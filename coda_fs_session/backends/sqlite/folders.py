"""Refs by the folders of their paths: to tell what changed since a look takes a look into the folders that changed.

A table has a number for each folder, another one after each change in it. A database of an earlier version has one for
all, and is read as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from typing import Any

from ..base import RefFolders, Token, folder_of
from . import refs as rows
from .schema import has_folders

_FOLDERS = "SELECT path, changed FROM folders"
_IN_FOLDER = f"{rows.LIST_REFS} WHERE folder = :folder"


def list_folders(connection: sqlite3.Connection, now: object, known: Mapping[str, object]) -> RefFolders:
    """Do what `Backend.ref_folders` promises.

    Args:
        now: the state of the whole store, read before: what changes in between must not pass for seen.
    """
    if known.get("") == now and None not in known.values():
        return RefFolders(dict(known), {})
    if not has_folders(connection):
        return RefFolders.listed({path: rows.number_of(row[0]) for path, row in _listed(connection).items()}, now)
    states = _states(connection) | {"": now}
    contents: dict[str, dict[str, int]] = {
        folder: {} for folder, state in states.items() if state is None or state != known.get(folder)
    }
    # What is in a folder without a row was put there by hand; so was, or is damaged, what has no path.
    strange = known.keys() - states.keys()
    is_all = not known or rows.NO_PATH in strange
    for path, row in _listed(connection, None if is_all else [*contents, *strange]).items():
        folder = folder_of(path)
        if folder in contents or folder not in states:
            contents.setdefault(folder, {})[path] = rows.number_of(row[0])
    return RefFolders(dict.fromkeys(contents) | states, contents)


def tokens_in(connection: sqlite3.Connection, folders: Collection[str]) -> dict[str, Token]:
    """Do what `Backend.ref_tokens_in` promises."""
    is_all = rows.NO_PATH in folders or not has_folders(connection)
    found = _listed(connection, None if is_all else folders)
    return {path: rows.token_of(*token) for path, token in found.items() if folder_of(path) in folders}


def _states(connection: sqlite3.Connection) -> dict[str, object]:
    return {
        path: changed if type(changed) is int else None
        for path, changed in connection.execute(_FOLDERS).fetchall()
        if isinstance(path, str) and rows.as_text(path) == path
    }


def _listed(connection: sqlite3.Connection, folders: Iterable[str] | None = None) -> dict[str, list[Any]]:
    """Return what is in the row of each ref, by its path: of those in these folders, or of all."""
    if folders is None:
        found: Iterable[Any] = connection.execute(rows.LIST_REFS).fetchall()
    else:
        each = ({"folder": rows.as_text(folder)} for folder in folders)
        found = chain.from_iterable(connection.execute(_IN_FOLDER, folder).fetchall() for folder in each)
    return {rows.path_of(number, path): token for number, path, *token in found}
