"""Processes that keep their sessions in one bucket, and what each of their verbs asks of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from coda_fs_session import Session, SessionManager

from .proxy import Proxy
from .servers import Server


class Fleet:
    """Managers of one store in a bucket, each as a process on a machine of its own has it."""

    def __init__(self, url: str, server: Server) -> None:
        self.url = url
        self.server = server

    def pod(self, **options: Any) -> SessionManager:
        return SessionManager(
            {"session": {"storage_path": self.url, "autosave_interval": 0, "bucket": self.server.options, **options}}
        )

    def read(self, name: str) -> list[str]:
        """Return what a session says to a process that has just begun."""
        return said(self.pod().load_session(name))


def say(manager: SessionManager, session: Session, *texts: str) -> None:
    for text in texts:
        session.add_message({"role": "user", "content": text})
    manager.save_session(session)


def said(session: Session) -> list[str]:
    return [message["content"] for message in session.get_messages()]


@contextmanager
def asking(proxy: Proxy) -> Iterator[Counter[str]]:
    """Count the requests of a block, by their kinds."""
    before = proxy.verbs.copy()
    counted: Counter[str] = Counter()
    yield counted
    counted.update(proxy.verbs - before)


@pytest.fixture
def fleet(url: str, server: Server) -> Fleet:
    return Fleet(url, server)
