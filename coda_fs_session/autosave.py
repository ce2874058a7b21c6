"""Saving what callers forgot to save: at intervals, and when the interpreter ends."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from .session import Session


class Autosave:
    """Holds sessions that may have unsaved changes, and saves them.

    A session is held strongly from the first change until it was found saved with nobody else holding it,
    its list of messages or its metadata: a conversation must not vanish because its variable went out of
    scope before the timer came round.

    Args:
        interval: seconds; 0 turns everything off.
        save: saves one session.
    """

    def __init__(self, interval: float, save: Callable[[Session], None]) -> None:
        self._interval = min(interval, threading.TIMEOUT_MAX)
        self._save = save
        self._sessions: dict[int, Session] = {}
        self._crowded = _CROWD
        self._mutex = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        _all.add(self)

    def touched(self, session: Session) -> None:
        """Hold a session that may have changed."""
        if not self._interval:
            return
        with self._mutex:
            if id(session) not in self._sessions and len(self._sessions) >= self._crowded:
                self._let_go()
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

    def stop(self, unsaved: Iterable[Session] = ()) -> None:
        """Stop the timer, and hold nothing any more but these sessions, which are tried again at the end."""
        with self._mutex:
            self._sessions = {id(session): session for session in unsaved}
            if not (self._sessions and self._interval):
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
            if self._save_one(identity):
                with self._mutex:
                    if self._is_alone(identity):
                        del self._sessions[identity]
        with self._mutex:
            if not self._sessions:
                _pending.discard(self)

    def _let_go(self) -> None:
        """Stop holding sessions that are saved and that nobody else holds, without waiting for the timer.

        A program that goes through every session must not have all of them in memory until then.
        """
        for identity in list(self._sessions):
            if self._is_alone(identity) and not self._sessions[identity].has_unsaved_changes:
                del self._sessions[identity]
        # Not again before as many have come as could not go: each is looked at a few times at most.
        self._crowded = max(_CROWD, 2 * len(self._sessions))

    def _save_one(self, identity: int) -> bool:
        session = self._sessions.get(identity)
        if session is None:
            return False
        try:
            if session.has_unsaved_changes:
                self._save(session)
        except Exception:
            _log_failure(session.name)
            return False
        return True

    def _is_alone(self, identity: int) -> bool:
        """Tell whether nobody else holds a session, or what of it can be changed without its knowing."""
        if identity not in self._sessions or _references(self._sessions, identity) > _ALONE:
            return False
        fields = vars(self._sessions[identity])
        live, metadata = vars(fields["_copy"]), vars(fields["_metadata"])
        return _references(metadata, "live") <= _ALONE and (
            live["_live"] is None or _references(live, "_live") <= _ALONE
        )

    def _run(self) -> None:
        wake = self._wake
        while not wake.wait(self._interval):
            self.save_all()
            with self._mutex:
                # With nothing left to save, a manager that nobody closed must be free to go.
                if not self._sessions and self._thread is threading.current_thread():
                    self._thread = None
                    return

    def _after_fork(self) -> None:
        # What was unsaved at the fork is the parent's to save; saving it here as well would store it twice.
        self._sessions.clear()
        self._mutex = threading.Lock()
        self._thread = None
        self._wake = threading.Event()


def _references(holder: dict[Any, Any], key: object) -> int:
    return sys.getrefcount(holder[key])


def _log_failure(name: str) -> None:
    """Log the exception that is being handled to ``coda_fs_session``, which is silent until somebody listens."""
    # Imported late: it takes longer to load than a session, and hardly any program comes here.
    import logging

    logger = logging.getLogger("coda_fs_session")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.exception("autosave of session %r failed; it is kept in memory and tried again", name)


_CROWD = 16
"""Sessions held before it is worth looking for some that need not be."""

_ALONE = _references({0: object()}, 0)
"""What that counts for an object that only its dict holds; the interpreter's own share differs between versions."""

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
