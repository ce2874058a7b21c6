"""What the tests of `diverged = "own"` share."""

from __future__ import annotations

from typing import Any

from coda_fs_session import Session, SessionManager

from .machines import said

OWN: dict[str, Any] = {"diverged": "own"}


def names(manager: SessionManager) -> set[str]:
    return {info.name for info in manager.list_sessions()}


def say(manager: SessionManager, session: Session, text: object) -> None:
    session.add_message(said(text)[0])
    manager.save_session(session)
