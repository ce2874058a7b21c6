"""Databases of other programs, made for tests."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

Tables = dict[str, list[dict[str, Any]]]


def database(tables: Tables, path: Path | None = None) -> bytes:
    """Return a database with some rows, whose values of other types than SQLite's are JSON; or write it to a path."""
    connection = sqlite3.connect(":memory:" if path is None else path)
    insert(connection, tables)
    data = connection.serialize() if path is None else b""
    connection.close()
    return data


def insert(connection: sqlite3.Connection, tables: Tables) -> None:
    for table, rows in tables.items():
        columns = dict.fromkeys(key for row in rows for key in row)
        named = ", ".join(f'"{column}"' for column in columns)
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({named or 'id'})")
        for row in rows:
            values = [json.dumps(value) if isinstance(value, (dict, list)) else value for value in row.values()]
            keys = ", ".join(f'"{column}"' for column in row)
            connection.execute(f"INSERT INTO {table} ({keys}) VALUES ({', '.join('?' * len(values))})", values)
    connection.commit()
