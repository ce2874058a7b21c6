"""The tables of a database, how one is told from any other, and bringing an older one to this version.

The statements that made version 1 stay as they are for ever; a later version adds a step to `STEPS`.
"""

from __future__ import annotations

import os
import sqlite3

from sqlalchemy import column, table

from ...errors import CorruptionError, StoreFormatError

APPLICATION_ID = 0x436F6461
"""What SQLite keeps in the file's header for programs to know their own by: "Coda"."""

_VERSION_1 = """
-- One row; another number stands in changed after each ref that was created or replaced.
CREATE TABLE store (id INTEGER NOT NULL, changed INTEGER NOT NULL);

-- Version, size and mark are the token. The bytes are in ref_lines, so that a save adds a row and rewrites none.
CREATE TABLE refs (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL, size INTEGER NOT NULL, mark INTEGER NOT NULL
);
CREATE TABLE ref_lines (
    ref INTEGER NOT NULL REFERENCES refs, position INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (ref, position)
) WITHOUT ROWID;

-- A tag is a number made of the id: the sum over a group of objects tells which are in it.
CREATE TABLE objects (id TEXT NOT NULL PRIMARY KEY, tag INTEGER NOT NULL, form TEXT NOT NULL, data BLOB NOT NULL);

-- For people. Nothing is read from it but what the next save of the same ref adds to.
CREATE TABLE sessions (
    ref INTEGER PRIMARY KEY REFERENCES refs, name TEXT NOT NULL, replica TEXT NOT NULL,
    messages INTEGER NOT NULL, bytes INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL,
    metadata TEXT NOT NULL, parent TEXT, forked_at INTEGER, deleted INTEGER NOT NULL, line TEXT NOT NULL
);
CREATE INDEX sessions_by_name ON sessions (name);
"""

STEPS = (_VERSION_1,)
"""What leads from each version to the next; version 0 is an empty file."""

store = table("store", column("id"), column("changed"))
refs = table("refs", column("id"), column("path"), column("version"), column("size"), column("mark"))
ref_lines = table("ref_lines", column("ref"), column("position"), column("data"))
objects = table("objects", column("id"), column("tag"), column("form"), column("data"))
sessions = table(
    "sessions",
    *map(
        column,
        [
            "ref",
            "name",
            "replica",
            "messages",
            "bytes",
            "created",
            "updated",
            "metadata",
            "parent",
            "forked_at",
            "deleted",
            "line",
        ],
    ),
)


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """Return the version of a database, 0 where nothing is in it yet.

    Raises:
        StoreFormatError: it is another program's, or one of a newer version.
        CorruptionError: it says that it is one of ours, and has no tables.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID:
        if version > len(STEPS):
            raise StoreFormatError(
                f"{path}: the database has version {version}, and this version of the package knows {len(STEPS)}: "
                "upgrade it",
                path,
            )
        if not tables or version < 1:
            raise CorruptionError("the database has lost its tables: restore it from a backup", path)
        return int(version)
    if application or version or tables:
        raise StoreFormatError(
            f"{path} is a database of another program: name another storage_path, or an empty folder", path
        )
    return 0


def number_of(connection: sqlite3.Connection) -> int | None:
    """Return the number by which a database is told from every other but its copies; None where it has lost that."""
    row = connection.execute("SELECT id FROM store").fetchone()
    return None if row is None else int(row[0])


def is_current(connection: sqlite3.Connection) -> bool:
    """Tell whether a database still has this version, for one that had when it was opened."""
    return bool(connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),))


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring a database to this version, within the transaction that is open."""
    version = version_of(connection, path)
    for step in STEPS[version:]:
        # One by one: a script would end the transaction first.
        for statement in step.split(";\n"):
            connection.execute(statement)
    if version == 0:
        connection.execute("INSERT INTO store VALUES (?, ?)", (new_number(), new_number()))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(STEPS)}")


def new_number() -> int:
    """Return a number that nobody has had: 48 bits by chance.

    Not the next of a row: a backup that was restored goes on counting from where it was made.
    """
    return int.from_bytes(os.urandom(6))
