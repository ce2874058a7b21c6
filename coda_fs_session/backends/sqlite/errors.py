"""From what SQLite says to the `StoreError` that tells the caller what to do next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import CorruptionError, StoreError, StoreFormatError, StoreFullError, StoreReadOnlyError
from ..disk.files import is_of_program, translate

_LOCKED = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL))
_READ_ONLY = frozenset((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH))


class AllInUseError(Exception):
    """Every connection is lent, and none came back in time."""


def code_of(error: BaseException | None) -> int:
    """Return the kind of an error of SQLite, without its details; 0 where it is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_locked(error: BaseException) -> bool:
    """Tell whether it may work when it is tried again a moment later."""
    return code_of(error) in _LOCKED


@contextmanager
def database_errors(action: str, path: str, *, reading: bool = False) -> Iterator[None]:
    """Turn an error of SQLite, of the pool or of the system into a `StoreError` that names the database."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, action, path, reading=reading) from error
    except AllInUseError as error:
        raise StoreError(
            f"cannot {action} {path}: all connections are in use; raise connection_pool_size", path
        ) from error
    except OSError as error:
        if is_of_program(error):
            raise
        raise translate(error, action, path, reading=reading) from error


def _translated(cause: sqlite3.Error, action: str, path: str, *, reading: bool) -> StoreError:
    code = code_of(cause)
    what = f"cannot {action} {path}: {cause}"
    if code in _LOCKED:
        return StoreError(
            f"{what}; another program keeps it locked: let it finish or close it, and try again. Nothing was changed",
            path,
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StoreFormatError(
            f"{path} is no SQLite database: restore it from a backup if it was one, or name another storage_path", path
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return CorruptionError(
            f"the database is damaged ({cause}): close every program that uses it, keep a copy of the folder, and "
            "restore it from a backup, or sync it from another store; `sqlite3 sessions.db .recover` may save the rest",
            path,
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(f"{what}; what was saved before is intact: make room and save again", path)
    if code in _READ_ONLY:
        if reading:
            return StoreError(
                f"{what}; check the permissions. Where sessions.db-wal or sessions.db-journal is in the folder, open "
                "the store once from where it can be written",
                path,
            )
        return StoreReadOnlyError(f"{what}; check the permissions and how the disk is mounted", path)
    if code == sqlite3.SQLITE_ERROR:
        return CorruptionError(f"the database is not as this package makes it ({cause}): restore a backup", path)
    return StoreError(what, path)
