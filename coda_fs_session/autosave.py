"""Saving what callers forgot to save: at intervals, and when the interpreter ends."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable

from .session import Session

_logger = logging.getLogger("coda_fs_session")


class Autosave:
    """Holds sessions that may have unsaved changes, and saves them.

    A session is held strongly from the first change until it was found saved with nobody else holding it:
    a conversation must not vanish because its variable went out of scope before the timer came round.

    Args:
        interval: seconds; 0 turns everything off.
        save: saves one session.
    """

    def __init__(self, interval: float, save: Callable[[Session], None]) -> None:
        self._interval = interval
        self._save = save
        self._sessions: dict[int, Session] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        _all.add(self)

    def touched(self, session: Session) -> None:
        """Hold a session that may have changed."""
        if self._interval and id(session) not in self._sessions:
            self._sessions[id(session)] = session
            _pending.add(self)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="coda_fs_session autosave", daemon=True)
                self._thread.start()

    def forget(self, session: Session) -> None:
        """Stop holding a session, saved or not."""
        self._sessions.pop(id(session), None)

    def held(self) -> list[Session]:
        return list(self._sessions.values())

    def stop(self) -> None:
        """Stop the timer and hold nothing any more."""
        self._sessions.clear()
        _pending.discard(self)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._wake.set()
            if thread is not threading.current_thread():
                thread.join()
            self._wake = threading.Event()

    def save_all(self) -> None:
        """Save every held session that has changes; failures are logged, and tried again next time."""
        for identity in list(self._sessions):
            session = self._sessions.get(identity)
            if session is None:
                continue
            try:
                if session.has_unsaved_changes:
                    self._save(session)
            except Exception:
                _logger.exception("autosave of session %r failed; it is kept in memory and tried again", session.name)
                continue
            # Held by the dict, by the variable here and by the call: by nobody who could still change it.
            if not session._copy.is_live or sys.getrefcount(session) <= 3:
                self._sessions.pop(identity, None)
        if not self._sessions:
            _pending.discard(self)

    def _run(self) -> None:
        wake = self._wake
        while not wake.wait(self._interval):
            self.save_all()

    def _after_fork(self) -> None:
        # What was unsaved at the fork is the parent's to save; saving it here as well would store it twice.
        self._sessions.clear()
        self._thread = None
        self._wake = threading.Event()


_all: weakref.WeakSet[Autosave] = weakref.WeakSet()
_pending: set[Autosave] = set()
"""Keeps what still has to be saved alive until the interpreter ends."""


def _at_exit() -> None:
    for autosave in list(_pending):
        autosave.save_all()


def _after_fork_in_child() -> None:
    _pending.clear()
    for autosave in list(_all):
        autosave._after_fork()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork_in_child)
