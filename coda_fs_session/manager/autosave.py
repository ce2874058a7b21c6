"""Saving what callers forgot to save: at intervals, and when the interpreter ends."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterable

from ..errors import tell, warn
from ..process import forks
from ..process.interrupts import give_up
from ..process.uncopied import Uncopied
from ..session.holders import is_held, is_held_inside
from ..session.session import Session


class Autosave(Uncopied):
    """Holds sessions that may have unsaved changes, and saves them.

    A session is held strongly from the first change until it was found saved with nobody else holding it or anything
    in it: a conversation must not vanish because its variable went out of scope before the timer came round, nor an
    edit of a message that was taken out of it.

    Args:
        interval: seconds; 0 is never, and nothing is held either but in a block; see `hold_in_block`.
        save: saves one session, or leaves it unsaved where that must be.
        timed: save at intervals; False where nothing can be saved, so that only the end tells what was not.
    """

    def __init__(self, interval: float, save: Callable[[Session], None], *, timed: bool = True) -> None:
        self._interval = min(interval, threading.TIMEOUT_MAX)
        self._save = save
        self._timed = timed
        self._in_block = False
        self._sessions: dict[int, Session] = {}
        self._crowded = _CROWD
        self._mutex = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        # When to try next to start the timer, in monotonic seconds; 0 as long as no attempt has failed.
        self._next_start = 0.0
        forks.renew(self, forks.Floor.FRONT)

    def touched(self, session: Session) -> None:
        """Hold a session that may have changed."""
        if not (self._interval or self._in_block):
            return
        with self._mutex:
            if id(session) not in self._sessions and len(self._sessions) >= self._crowded:
                self._let_go()
            self._sessions[id(session)] = session
            if not self._interval:
                return
            _pending.add(self)
            problem = None if self._thread is not None or not self._timed else self._start()
        if problem is not None:
            self._warn_of_no_timer(problem)

    def _start(self) -> RuntimeError | None:
        """Start the timer; if that is not possible, return why, the first time."""
        now = time.monotonic()
        if now < self._next_start:
            return None
        thread = threading.Thread(target=self._run, name="coda_fs_session autosave", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # A system at its limit of threads, or a program that has come to its end, which saves in a moment.
            is_first, self._next_start = not self._next_start, now + self._interval
            return error if is_first and threading.main_thread().is_alive() else None
        self._thread, self._next_start = thread, 0.0
        return None

    def _warn_of_no_timer(self, problem: RuntimeError) -> None:
        text = (
            f"autosave cannot start its thread ({problem}): what you do not save is only saved by close() and when "
            "the program ends"
        )
        try:
            warn(text)
        except Warning:
            # Warnings are errors here; but the session has changed, and its caller must not take it for unchanged.
            tell(text)

    def hold_in_block(self) -> None:
        """Hold sessions without a timer too: the end of a ``with`` block saves also those that nobody holds by then."""
        self._in_block = True

    def forget(self, session: Session) -> None:
        """Stop holding a session, saved or not."""
        with self._mutex:
            self._sessions.pop(id(session), None)

    def held(self) -> list[Session]:
        return list(self._sessions.values())

    def stop(self, unsaved: Iterable[Session] = ()) -> None:
        """Stop the timer, and hold nothing any more but these sessions, which are tried again at the end."""
        with self._mutex:
            self._in_block = False
            self._sessions = {id(session): session for session in unsaved}
            if not (self._sessions and self._interval):
                _pending.discard(self)
            thread, self._thread = self._thread, None
        if thread is not None:
            self._wake.set()
            # One that is just being started ends by itself: a signal handler may have come in between.
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join()
            self._wake = threading.Event()

    def save_all(self, *, at_exit: bool = False) -> None:
        """Save every held session that has changes; what fails is logged, and tried again next time.

        Args:
            at_exit: there is no next time, so what fails is told on stderr too.
        """
        for identity in list(self._sessions):
            self._save_one(identity, at_exit=at_exit)
            with self._mutex:
                self._let_go_if_idle(identity)
        with self._mutex:
            if not self._sessions:
                _pending.discard(self)

    def _let_go(self) -> None:
        """Stop holding sessions that are saved and that nobody else holds, without waiting for the timer.

        A program that goes through every session must not have all of them in memory until then.
        """
        for identity in list(self._sessions):
            self._let_go_if_idle(identity)
        # Not again before as many have come as could not go: each is looked at a few times at most.
        self._crowded = max(_CROWD, 2 * len(self._sessions))

    def _save_one(self, identity: int, *, at_exit: bool) -> None:
        session = self._sessions.get(identity)
        if session is None:
            return
        try:
            if session.has_unsaved_changes:
                self._save(session)
        except Exception as error:
            _log_failure(session.name)
            if at_exit:
                unsaved = session._state.unsaved()
                tell(f"session {session.name!r} was not saved when the program ended ({unsaved}): {error}")

    def _let_go_if_idle(self, identity: int) -> None:
        """Stop holding a session that is saved and that can change no more, since nobody holds anything of it."""
        if identity not in self._sessions or is_held(self._sessions, identity):
            return
        session = self._sessions[identity]
        # Not waited for: another thread may have got hold of the session just now, and wait for ours.
        if not session._lock.acquire(blocking=False):
            return
        try:
            # In this order. What nobody holds is not changed any more once it is found saved.
            idle = not _is_held_in(session) and not session.has_unsaved_changes
        finally:
            session._lock.release()
        if idle:
            del self._sessions[identity]

    def _run(self) -> None:
        wake = self._wake
        while not wake.wait(self._interval):
            self.save_all()
            with self._mutex:
                # With nothing left to save, a manager that nobody closed must be free to go.
                if not self._sessions and self._thread is threading.current_thread():
                    self._thread = None
                    return

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        give_up(self._mutex)

    def after_fork(self) -> None:
        """In a child of os.fork: the threads are the parent's."""
        self._mutex = threading.RLock()
        self._thread = None
        self._wake = threading.Event()


def _is_held_in(session: Session) -> bool:
    """Tell whether anybody holds what of a session can be changed without its knowing."""
    live, metadata = vars(session._state.copy), vars(session._state.metadata)
    return (
        is_held(metadata, "live")
        or (live["_live"] is not None and is_held(live, "_live"))
        or is_held_inside(metadata["live"], live["_live"] or ())
    )


def _log_failure(name: str) -> None:
    """Log the exception that is being handled to ``coda_fs_session``, which is silent until somebody listens."""
    try:
        # Imported late: it takes longer to load than a session, and hardly any program comes here.
        import logging
    except OSError:
        # Without a descriptor left, nothing can be imported. The timer goes on.
        return
    logger = logging.getLogger("coda_fs_session")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.exception("autosave of session %r failed; it is kept in memory and tried again", name)


_CROWD = 16
"""Sessions held before it is worth looking for some that need not be."""

_pending: set[Autosave] = set()
"""Keeps what still has to be saved alive until the interpreter ends."""


def _at_exit() -> None:
    for autosave in list(_pending):
        autosave.save_all(at_exit=True)


atexit.register(_at_exit)
