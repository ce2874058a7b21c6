"""Opening the databases of other programs: nothing is written into them, or beside them."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from ..backends.sqlite.unchanged import open_unchanged, see
from ..errors import ExportError, StoreError
from ..process.sqlite_files import checked, connected
from .outside import open_outside, write_outside

_PATIENCE = 5.0
_STEP = 1024 * 1024
_COPIED = ("", "-wal")


@contextmanager
def opened_outside(path: str) -> Iterator[tuple[sqlite3.Connection, Callable[[], None]]]:
    """Open a database to read it, and give with it what tells, by an ExportError, that it was changed meanwhile.

    Where its log can only be read by making a file beside it, both are copied: then nobody has it open. Whether
    somebody had is looked at afterwards.

    Raises:
        sqlite3.Error: it cannot be opened.
        ExportError: it was changed while it was copied.
    """
    try:
        connection, seen = open_unchanged(path, lambda mode: _connect(path, mode))
    except StoreError:
        with tempfile.TemporaryDirectory(prefix="coda-session-") as folder:
            copy = os.path.join(folder, "copy")
            before = [see(path + ending) for ending in _COPIED]
            for ending in _COPIED:
                with open_outside(path + ending) as stream:
                    write_outside(copy + ending, iter(partial(stream.read, _STEP), b""), overwrite=False)
            if [see(path + ending) for ending in _COPIED] != before:
                raise _changed(path) from None
            connection = _connect(copy, "rw")
            try:
                yield connection, lambda: None
            finally:
                connection.close()
        return

    def check() -> None:
        if seen is not None and see(path) != seen:
            raise _changed(path)

    try:
        yield connection, check
    finally:
        connection.close()


def _changed(path: str) -> ExportError:
    return ExportError("was changed while it was read: import it again", path)


def _connect(path: str, mode: str) -> sqlite3.Connection:
    return checked(connected(path, mode, _PATIENCE, sqlite3.Connection))
