"""A plugin of pytest that puts `CodaSession` in the place of the SDK's `SQLiteSession`, for the SDK's own tests."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import Any

import agents
import agents.memory

from coda_fs_session import SessionManager
from coda_fs_session.integrations.openai_agents import CodaSession

_managers: dict[str, SessionManager] = {}


def _manager(db_path: str | Path) -> SessionManager:
    if str(db_path) == ":memory:":
        return SessionManager({"session": {"backend": "memory"}})
    store = f"{db_path}.store"
    if store not in _managers:
        options = {"storage_path": store, "state_path": f"{store}.state", "autosave_interval": 0, "durability": "none"}
        _managers[store] = SessionManager({"session": options})
        atexit.register(_managers[store].close)
    return _managers[store]


class SQLiteSession(CodaSession):
    """A `CodaSession` that is made, and called, as the SDK's own."""

    def __init__(
        self,
        session_id: str,
        db_path: str | Path = ":memory:",
        sessions_table: str = "agent_sessions",
        messages_table: str = "agent_messages",
        session_settings: Any = None,
    ) -> None:
        prefix = f"{sessions_table}/{messages_table}/"
        super().__init__(session_id, _manager(db_path), session_settings=session_settings, prefix=prefix)


agents.SQLiteSession = agents.memory.SQLiteSession = SQLiteSession  # type: ignore[assignment,misc]
