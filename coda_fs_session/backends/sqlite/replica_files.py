"""Replica files as rows (FORMAT.md, "Replica files")."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from ...errors import CorruptionError
from ..base import REPLICA_FILE_LIMIT, Backend
from .database import Database
from .schema import has_replica_files

_LIST = "SELECT replica FROM replica_files"
_READ = "SELECT CASE WHEN length(data) <= :limit THEN data END FROM replica_files WHERE replica = :replica"
_WRITE = """
INSERT INTO replica_files VALUES (:replica, :data) ON CONFLICT DO UPDATE SET data = excluded.data
"""


class ReplicaFileRows(Backend):
    """The part of the SQLite backend that keeps replica files."""

    _database: Database

    def replica_files(self) -> Collection[str]:
        return [replica for (replica,) in self._read(_LIST, {}) if isinstance(replica, str)]

    def read_replica_file(self, replica: str) -> bytes | None:
        found = self._read(_READ, {"replica": replica, "limit": REPLICA_FILE_LIMIT})
        if not found:
            return None
        ((data,),) = found
        if not isinstance(data, bytes):
            raise CorruptionError("the row is no replica file", f"{self._database.path}:replica_files/{replica}")
        return data

    def write_replica_file(self, replica: str, data: bytes) -> None:
        self.prepare()
        with self._database.writing("write a replica file in") as connection:
            connection.execute(_WRITE, {"replica": replica, "data": data})

    def _read(self, statement: str, parameters: dict[str, object]) -> list[tuple[object, ...]]:
        def read(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
            return connection.execute(statement, parameters).fetchall() if has_replica_files(connection) else []

        return self._database.read(read) if self._database.exists() else []
