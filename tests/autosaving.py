"""Waiting for autosave, and looking at what it saved."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from storekit import open_store

from coda_fs_session import SessionManager

SHORT = 0.02
LIMIT = 20.0


class Watched:
    """Lets a test wait until autosave has gone round, instead of sleeping."""

    def __init__(self, manager: SessionManager, monkeypatch: pytest.MonkeyPatch) -> None:
        self._rounds = threading.Semaphore(0)
        real = manager._autosave.save_all

        def save_all() -> None:
            real()
            self._rounds.release()

        monkeypatch.setattr(manager._autosave, "save_all", save_all)

    def wait(self, rounds: int = 2) -> None:
        """Wait for whole rounds: of two that end from now on, the second also began from now on."""
        while self._rounds.acquire(blocking=False):
            pass
        for _ in range(rounds):
            assert self._rounds.acquire(timeout=LIMIT), "autosave did not go round"


def stored(store: Path, name: str = "chat") -> list[dict[str, Any]]:
    return open_store(store).load_session(name).get_messages()
