"""Telling a store from any other folder."""

from __future__ import annotations

import contextlib
import os
import stat

from ...errors import StoreError, StoreFormatError, warn
from ...process.system import permissions
from .descriptors import names_in
from .files import read_file, store_errors
from .paths import DATABASE, FORMAT_FILE, READMES, StorePaths, is_hidden

_FORMAT_LIMIT = 4096
_OWN_NAMES = frozenset(("refs", "objects"))


def check_store(paths: StorePaths) -> None:
    """Accept a store of this version, a part of one that is still being synced, an empty folder, and no folder.

    Dotfiles do not count: sync tools and desktops leave theirs in empty folders.

    Raises:
        StoreFormatError: it is something else, or a store of a newer version.
        StoreError: it cannot be read.
    """
    root = paths.root
    with store_errors("open", root, reading=True):
        if _has_format(paths.format):
            return
        try:
            names = [name for name in names_in(root) if not is_hidden(name)]
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise StoreFormatError(
                f"{root} is a file, and a store is a folder: name another storage_path", root
            ) from error
        if "FORMAT" in names:
            _check_format(paths.format)
        elif DATABASE in names:
            raise StoreFormatError(
                f'{root} holds a database ({DATABASE}): open it with backend = "sqlite", or name another storage_path',
                root,
            )
        elif not _is_part_of_a_store(root, names):
            shown = ", ".join(sorted(names)[:3])
            raise StoreFormatError(
                f"{root} is not empty and holds no store ({shown}...): name another storage_path, or an empty folder",
                root,
            )


def check_database_folder(folder: str) -> None:
    """As `check_store`, for a store in a database: accept a folder with one, an empty one, and none.

    Raises:
        StoreFormatError: it is something else.
    """
    with store_errors("open", folder, reading=True):
        try:
            names = sorted(name for name in names_in(folder) if not is_hidden(name))
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise StoreFormatError(
                f"{folder} is a file, and storage_path is the folder that {DATABASE} is in: name a folder", folder
            ) from error
    if {"FORMAT", "refs", "objects"} & set(names):
        raise StoreFormatError(
            f'{folder} is a store of files: open it with backend = "files", or name another storage_path and bring '
            "over what is in it with SessionManager.sync",
            folder,
        )
    if names and DATABASE not in names:
        if any(name.startswith(DATABASE) for name in names):
            raise StoreFormatError(
                f"{folder} has the log of a database, and {DATABASE} is missing: put it back beside its log", folder
            )
        shown = ", ".join(names[:3])
        raise StoreFormatError(
            f"{folder} is not empty and holds no {DATABASE} ({shown}...): name another storage_path, "
            "or an empty folder",
            folder,
        )


def warn_if_open_to_all(root: str) -> None:
    """Warn of a store into whose folder every user of this machine may write."""
    with contextlib.suppress(OSError):
        if permissions(os.stat(root)) & stat.S_IWOTH:
            warn(
                f"every user of this machine may write into {root}, and so hide, delete or forge sessions: run "
                "`chmod o-w` on it, or mount that disk with a umask"
            )


def _is_part_of_a_store(root: str, names: list[str]) -> bool:
    """Tell whether a folder without FORMAT can be a store that a sync tool has not completed yet."""
    others = [name for name in names if name not in _OWN_NAMES and not _is_arriving(root, name)]
    if others == ["README.txt"]:
        return _OWN_NAMES <= set(names)
    folders = [f"{root}/{name}" for name in names if name in _OWN_NAMES]
    return not others and all(stat.S_ISDIR(os.lstat(folder).st_mode) for folder in folders)


def _is_arriving(root: str, name: str) -> bool:
    """Tell whether a file is FORMAT or the README, under the name that a sync tool gives to a second copy of it.

    FORMAT also when it has not been received whole; any folder may have a README that is empty yet.
    """
    path = f"{root}/{name}"
    if not name.startswith(("FORMAT", "README")) or not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    content = read_file(path, _FORMAT_LIMIT)
    return content in READMES or (name.startswith("FORMAT") and FORMAT_FILE.startswith(content))


def _has_format(path: str) -> bool:
    """Tell whether this is a store for certain; where it is not, a look at the whole folder tells why."""
    try:
        return read_file(path, _FORMAT_LIMIT) == FORMAT_FILE
    except (OSError, StoreError):
        return False


def _check_format(path: str) -> None:
    import orjson

    content = read_file(path, _FORMAT_LIMIT)
    if content == FORMAT_FILE:
        return
    try:
        version = orjson.loads(content)["coda_fs_session"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        wanted = FORMAT_FILE.decode().strip()
        raise StoreFormatError(
            f"{path} is not the FORMAT file of a store: if this folder is one, write {wanted} into it; "
            "otherwise name another storage_path",
            path,
        ) from error
    if version != 1:
        raise StoreFormatError(
            f"{path}: the store has format version {version}, and this version of the package knows 1: upgrade it", path
        )
