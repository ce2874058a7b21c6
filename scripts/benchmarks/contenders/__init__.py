"""Ways to keep the same sessions, with one interface: plain files, SQLite, and this library over either."""

from pathlib import Path
from typing import Any, Protocol

Message = dict[str, Any]
NAMES = ("raw", "sqlite", "ours", "ours on sqlite")


class Contender(Protocol):
    """Keep sessions in a folder; `durable=False` builds what is only read without waiting for the disk."""

    def fill(self, session: str, messages: list[Message]) -> None:
        """Make a session, or make it longer, while nobody looks at the clock."""

    def open(self, session: str) -> object:
        """Open a session for saves to come."""

    def save(self, session: str, message: Message) -> None:
        """Add one message to a session, durably, with everything open that a running program keeps open."""

    def bulk(self, session: str, messages: list[Message]) -> None:
        """Make a session of these messages in one durable save."""

    def last(self, session: str, limit: int) -> object:
        """Open everything anew and return the last messages, with what must be kept open for them."""

    def load(self, session: str) -> object:
        """Open everything anew and return all messages, with what must be kept open for them."""

    def count(self, session: str) -> int:
        """Return how many messages a session has by what is stored."""

    def stored_bytes(self) -> int:
        """Return the sum of the sizes of all files."""


def open_contender(name: str, folder: Path, *, durable: bool = True) -> Contender:
    """Open a contender; a process that asks for one imports nothing of the others."""
    match name:
        case "raw":
            from .raw import Raw

            return Raw(folder, durable=durable)
        case "sqlite":
            from .sqlite import Sqlite

            return Sqlite(folder, durable=durable)
        case "ours":
            from .ours import Ours

            return Ours(folder, durable=durable)
        case "ours on sqlite":
            from .ours import OursOnSqlite

            return OursOnSqlite(folder, durable=durable)
    raise ValueError(f"no contender is called {name!r}; there are {', '.join(NAMES)}")


def bytes_in(folder: Path) -> int:
    """Return the sum of the sizes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
