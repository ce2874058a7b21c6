"""This library, through its public interface only."""

from functools import cached_property
from pathlib import Path
from typing import Any

from coda_fs_session import Session, SessionInfo, SessionManager

from . import Message, bytes_in


class Ours:
    def __init__(self, folder: Path, *, durable: bool = True, **options: Any) -> None:
        self.store = folder / "store"
        self.state = folder / "state"
        self.config = {
            "session": {
                "storage_path": str(self.store),
                "state_path": str(self.state),
                "autosave_interval": 0,
                "max_session_size": 0,
                "durability": "full" if durable else "none",
                **options,
            }
        }
        self._live: dict[str, Session] = {}

    @cached_property
    def manager(self) -> SessionManager:
        return SessionManager(self.config)

    def keep_index(self) -> None:
        """Leave the index as a program leaves it that has listed the sessions and ended."""
        with SessionManager(self.config) as manager:
            manager.list_sessions()

    def open(self, session: str) -> Session:
        """Return the session as a running program holds it: loaded once, then kept."""
        if session not in self._live:
            self._live[session] = self.manager.load_session(session)
        return self._live[session]

    def fill(self, session: str, messages: list[Message]) -> None:
        live = self.manager.create_session(session)
        for message in messages:
            live.add_message(message)
        self.manager.save_session(live)

    def save(self, session: str, message: Message) -> None:
        live = self.open(session)
        live.add_message(message)
        self.manager.save_session(live)

    def bulk(self, session: str, messages: list[Message]) -> None:
        live = self.manager.create_session(session)
        live.messages = messages
        self.manager.save_session(live)

    def last(self, session: str, limit: int) -> object:
        live = SessionManager(self.config).load_session(session)
        return live, live.get_messages(limit=limit)

    def load(self, session: str) -> object:
        live = SessionManager(self.config).load_session(session)
        return live, live.get_messages()

    def load_live(self, session: str) -> object:
        live = SessionManager(self.config).load_session(session)
        return live, live.messages

    def list_sessions(self) -> tuple[SessionManager, list[SessionInfo]]:
        manager = SessionManager(self.config)
        return manager, manager.list_sessions()

    def count(self, session: str) -> int:
        return len(SessionManager(self.config).load_session(session))

    def stored_bytes(self) -> int:
        return bytes_in(self.store)


class OursOnSqlite(Ours):
    """The same over the SQLite backend."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        super().__init__(folder / "on-sqlite", durable=durable, backend="sqlite")
