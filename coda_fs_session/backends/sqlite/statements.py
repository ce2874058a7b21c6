"""Running statements of SQLAlchemy Core on a connection of sqlite3.

Each is compiled once in a process. An engine of SQLAlchemy would compile them all again for every manager, and takes
longer over each statement than SQLite does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Select, UpdateBase
from sqlalchemy.dialects.sqlite import dialect

Statement = Select[Any] | UpdateBase


def run(
    connection: sqlite3.Connection, statement: Statement, parameters: Mapping[str, object] | None = None
) -> sqlite3.Cursor:
    return connection.execute(_text_of(statement), parameters or {})


@cache
def _text_of(statement: Statement) -> str:
    return str(statement.compile(dialect=dialect(paramstyle="named")))
