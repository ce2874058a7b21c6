"""The tables of a database, how one is told from any other, and bringing an older one to this version.

The statements that made version 1 stay as they are for ever; a later version adds a step to `STEPS`.
"""

from __future__ import annotations

import os
import sqlite3

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

# A table without rowids keeps a quarter of a page of each row beside the others, and sends the rest of it to pages of
# its own: of those, half was unused. Views that somebody made of the table stay: the newer way to rename would refuse.
_VERSION_2 = """
CREATE TABLE ref_lines_2 (
    ref INTEGER NOT NULL REFERENCES refs, position INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (ref, position)
);
INSERT INTO ref_lines_2 SELECT ref, position, data FROM ref_lines ORDER BY ref, position;
DROP TABLE ref_lines;
PRAGMA legacy_alter_table = ON;
ALTER TABLE ref_lines_2 RENAME TO ref_lines
"""

# What is in the folder of a path is told without a look at the paths in others. Nothing is moved: the path says it.
_VERSION_3 = """
ALTER TABLE refs ADD COLUMN
    folder TEXT AS (substr(path, 1, length(rtrim(path, replace(path, '/', ''))) - 1)) VIRTUAL;
CREATE INDEX refs_by_folder ON refs (folder);

-- A row for each of them; another number stands in changed after each ref that was created or replaced there.
CREATE TABLE folders (path TEXT NOT NULL PRIMARY KEY, changed INTEGER NOT NULL);
INSERT INTO folders SELECT folder, random() & 0xffffffffffff FROM refs GROUP BY folder
"""

# What replicas say of themselves.
_VERSION_4 = "CREATE TABLE replica_files (replica TEXT NOT NULL PRIMARY KEY, data BLOB NOT NULL)"

STEPS = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)
"""What leads from each version to the next; version 0 is an empty file.

The statements that read know no version, since what they read has the same names in each: but for those about folders
and replica files.
"""

_WITH_FOLDERS, _WITH_REPLICA_FILES = 3, 4


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


def has_folders(connection: sqlite3.Connection) -> bool:
    """Tell whether a database has the table of folders; one that was opened before may have got it since."""
    return _has(connection, _WITH_FOLDERS)


def has_replica_files(connection: sqlite3.Connection) -> bool:
    """Tell the same of the table of replica files."""
    return _has(connection, _WITH_REPLICA_FILES)


def _has(connection: sqlite3.Connection, what: int) -> bool:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version >= what)


def number_of(connection: sqlite3.Connection) -> int | None:
    """Return the number by which a database is told from every other but its copies; None where it has lost that."""
    row = connection.execute("SELECT id FROM store").fetchone()
    return None if row is None else int(row[0])


def bring_up_to_date(connection: sqlite3.Connection, path: str) -> bool:
    """Bring one of our databases to this version, within the transaction that is open; False where that cannot be."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if 0 < version < len(STEPS):
        migrate(connection, path)
        return True
    return bool(version == len(STEPS))


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables, or bring those of an earlier version to this one, within the transaction that is open."""
    version = version_of(connection, path)
    try:
        for step in STEPS[version:]:
            # One by one: a script would end the transaction first.
            for statement in step.split(";\n"):
                connection.execute(statement)
    finally:
        # It is the connection's, and a step that fails may have left it.
        connection.execute("PRAGMA legacy_alter_table = OFF")
    if version == 0:
        connection.execute("INSERT INTO store VALUES (?, ?)", (new_number(), new_number()))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(STEPS)}")


def new_number() -> int:
    """Return a number that nobody has had: 48 bits by chance.

    Not the next of a row: a backup that was restored goes on counting from where it was made.
    """
    return int.from_bytes(os.urandom(6))
