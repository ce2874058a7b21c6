"""SQLite databases as readers get them: rows, and never a change of what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol

from ..errors import ExportError
from .parsing import parsed

if TYPE_CHECKING:
    import sqlite3

MAGIC = b"SQLite format 3\0"
MOST_IN_MEMORY = 1024**3
"""Bytes of a database that is no file of its own: it is read as a whole."""

Connect = Callable[[], AbstractContextManager[tuple["sqlite3.Connection", Callable[[], None]]]]
"""Opens a database, and gives with it what raises an ExportError once it was changed behind its back."""

Row = dict[str, Any]


class Given(Protocol):
    """What is known of a file that is a database; see `SourceFile`."""

    @property
    def place(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def stream(self) -> Callable[[], IO[bytes]]: ...
    @property
    def connect(self) -> Connect | None: ...


class Database:
    """A database that is open."""

    def __init__(self, connection: sqlite3.Connection, check: Callable[[], None], place: str) -> None:
        self._connection, self._check, self._place = connection, check, place

    def rows(self, query: str, *values: Any) -> list[Row]:
        """Return the rows that a query finds, by the names of their columns.

        Raises:
            ExportError: the database is damaged, or was changed meanwhile.
        """
        import sqlite3

        try:
            found = self._connection.execute(query, values)
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found]
        except (sqlite3.Error, MemoryError) as error:
            # Where it was changed, that is why.
            self._check()
            raise unreadable(self._place, error) from error
        self._check()
        return rows

    @property
    def tables(self) -> frozenset[str]:
        return frozenset(row["name"] for row in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'"))


@contextmanager
def opened(file: Given) -> Iterator[Database]:
    """Open a file as a database.

    Raises:
        ExportError: it is none that can be read.
    """
    import sqlite3

    try:
        with (file.connect or _in_memory(file))() as (connection, check):
            connection.text_factory = _text
            # All rows are of one moment.
            connection.execute("BEGIN")
            yield Database(connection, check, file.place)
    except sqlite3.Error as error:
        raise unreadable(file.place, error) from error


def json_of(text: Any) -> Any:
    """Return the value that a column has as JSON; None where it is none."""
    try:
        return parsed(text.encode(errors="surrogatepass")) if isinstance(text, str) else None
    except ValueError:
        return None


def unreadable(place: str, error: Exception) -> ExportError:
    """Return the error for a database that cannot be read."""
    return ExportError(f"cannot be read as a database, open it once with its own program: {error}", place)


def _in_memory(file: Given) -> Connect:
    @contextmanager
    def connect() -> Iterator[tuple[sqlite3.Connection, Callable[[], None]]]:
        import sqlite3

        if file.size > MOST_IN_MEMORY:
            raise ExportError("has a database of more than 1 GiB: unpack it, and import that", file.place)
        with file.stream() as stream:
            data = bytearray(stream.read())
        if data[18:20] == b"\2\2":
            # Databases with a log cannot be opened in memory; one that has none beside it is whole without.
            data[18:20] = b"\1\1"
        connection = sqlite3.connect(":memory:", isolation_level=None)
        try:
            connection.deserialize(bytes(data))
            yield connection, lambda: None
        finally:
            connection.close()

    return connect


def _text(data: bytes) -> str:
    # What is no UTF-8 is noted as lone surrogates are.
    return data.decode(errors="surrogateescape")
