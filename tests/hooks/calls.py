"""Hooks for the tests of hooks, and a look at what came of them."""

from __future__ import annotations

import copy
from typing import Any

from test_custom_storage import manage

from coda_fs_session import PendingSave, Session, SessionHook, SessionManager


class Refused(Exception):
    """What the hooks of these tests raise."""


class Calls(SessionHook):
    """Notes what it is called with, and raises when told to."""

    def __init__(self, label: str = "", log: list[Any] | None = None) -> None:
        self.label = label
        self.log: list[Any] = [] if log is None else log
        self.refuse = ""

    def message_added(self, session: Session, message: dict[str, Any]) -> None:
        self._note("added", session.name, copy.deepcopy(message))
        message["seen"] = self.label
        self._fail("added")

    def before_save(self, session: Session, pending: PendingSave) -> None:
        self._note("save", session.name, copy.deepcopy(pending.messages))
        self._fail("save")

    def after_load(self, session: Session) -> None:
        self._note("load", session.name, len(session))
        self._fail("load")

    def _note(self, verb: str, name: str, value: object) -> None:
        self.log.append((self.label + verb, name, value))

    def _fail(self, verb: str) -> None:
        if self.refuse == verb:
            raise Refused(verb)


class Stamp:
    """A hook without the base class that adds to every message and to the metadata."""

    def __init__(self, key: str = "stamp") -> None:
        self.key = key

    def message_added(self, session: Session, message: dict[str, Any]) -> dict[str, Any]:
        return {**message, self.key: session.name}

    def before_save(self, session: Session, pending: PendingSave) -> None:
        for each in pending.messages:
            each["saved"] = True
        pending.metadata["saves"] = pending.metadata.get("saves", 0) + 1


def twin(manager: SessionManager) -> SessionManager:
    """Return another manager, without hooks, over what the first one stored."""
    return manage(manager._storage)


def stored(manager: SessionManager, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what the storage has, whatever is in memory."""
    session = manager._storage.load(name)
    assert session is not None
    return session.get_messages(), dict(session.metadata)
