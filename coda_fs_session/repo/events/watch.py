"""Telling what happens to the sessions of a store, whoever does it.

Events of the file system are hints that something happened. What happened is found by listing the sessions
and comparing with what was told last, so a hint too many costs a listing, and one too few only time: the
store is also listed now and then, the more seldom the more processor time that takes.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Self

from ...backends.base import RefKey
from ...errors import SessionError, StoreGoneError, UnsupportedError
from ...process import forks
from ...process.uncopied import Uncopied
from ...process.weakly import Weakly
from ...session.info import SessionInfo
from ...storage import SessionStorage
from ..storage import engine_of
from .changes import Listing, SessionEvent, changes_between, concerns, label_of, listing_near, listing_of
from .hints import JOIN, Hints, Observer

_logger = logging.getLogger("coda_fs_session")

_QUIET = 0.05
_LOOK = 0.5
_LIST = 5.0
_SHARE, _BUSY_SHARE = 200, 20
"""Seconds of waiting for one of looking without a hint: so an idle watch takes half a per cent of a core; and where
something happens, five."""
_FAR = 10.0
"""Seconds between two looks at a store over a network, of which each is a request and has a price."""
_LONGEST = 60.0
"""Seconds that it waits at most: there are disks that tell nothing of what other machines write."""


class Watch(Uncopied):
    """What happens to sessions, as it happens: an iterator, or a thread that calls you.

    Made by `SessionManager.watch`. Use it in a ``with`` statement, or call `stop`. As an iterator it compares when
    it is asked, so what happened to a session since the last event comes as one; nothing piles up meanwhile.
    Threads may share it. In a child of `os.fork` it is stopped.

    Args:
        storage: what to watch.
        callback: is called with each event by a thread of its own; an error in it is logged, and the watch goes on.
        name: only events of this session.
        listing: seconds after which to list even without a hint, if listing is quick.
    """

    def __init__(
        self,
        storage: SessionStorage,
        callback: Callable[[SessionEvent], object] | None = None,
        name: str | None = None,
        *,
        listing: float = _LIST,
    ) -> None:
        self._storage = storage
        engine = engine_of(storage)
        self._backend = engine.repo.backend if engine is not None else None
        self._name = name
        far = self._backend is not None and self._backend.capabilities.costly
        self._least = _FAR if far else _LOOK
        self._listing = max(listing, self._least) if far else listing
        self._mutex = threading.Lock()
        self._hints = Hints(self._backend.refs_at if self._backend is not None else lambda path: None)
        self._wake = self._hints.wake
        self._stopped = threading.Event()
        self._pending: deque[SessionEvent] = deque()
        self._observer = Observer(self._hints)
        # Nobody needs to stop an iterator that was let go of.
        weakref.finalize(self, self._observer.stop)
        # Before the first look: what happens after it must leave a hint.
        self._arm()
        began = time.thread_time()
        self._tokens = None if self._observer.active else self._refs()
        self._cost = time.thread_time() - began  # of a look at the tokens, in seconds of processor time
        self._listed: dict[str, SessionInfo] = {}
        self._derived: set[str] = set()
        self._keep(listing_of(storage) if self._is_there() else {})
        self._list_cost = time.thread_time() - began
        self._due = time.monotonic() + _pause(listing, self._list_cost)
        self._thread: threading.Thread | None = None
        _all.add(self)
        forks.renew(self, forks.Floor.FRONT)
        if callback is not None:
            self._thread = threading.Thread(
                target=self._call, args=(callback,), name="coda_fs_session watch", daemon=True
            )
            self._start(self._thread)

    def _start(self, thread: threading.Thread) -> None:
        try:
            thread.start()
        except RuntimeError as error:
            self._thread = None
            self.stop()
            raise UnsupportedError(
                f"a watch with a callback needs a thread, and none can be started ({error}): watch without a callback, "
                "and iterate over the events"
            ) from error

    def next(self, timeout: float | None = None) -> SessionEvent | None:
        """Wait for the next event and return it; None once the watch is stopped or `timeout` seconds have passed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._mutex.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            return None
        try:
            while not self._stopped.is_set():
                if self._pending:
                    return self._pending.popleft()
                self._await_hint(deadline)
                # Also when the time is over: with a short timeout there would never be a look else.
                self._look()
                if not self._pending and deadline is not None and time.monotonic() >= deadline:
                    return None
        finally:
            self._mutex.release()
        return None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> SessionEvent:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def stop(self) -> None:
        """End the watch: iterators end, and a callback that is running is waited for, for some seconds."""
        self._stopped.set()
        self._wake.set()
        self._observer.stop()
        _all.discard(self)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(JOIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._stopped.is_set() else "running"
        return f"<Watch: {'all sessions' if self._name is None else repr(self._name)}, {state}>"

    def _call(self, callback: Callable[[SessionEvent], object]) -> None:
        for event in self:
            try:
                callback(event)
            except Exception:
                _logger.exception("the callback of a watch failed on %s", event)

    def _await_hint(self, deadline: float | None) -> None:
        """Wait until there may be something to see, and for the moment of quiet after the first hint."""
        pause = _LOOK if self._observer.active else _pause(self._least, self._cost)
        if deadline is not None:
            pause = min(pause, max(deadline - time.monotonic(), 0))
        if self._wake.wait(pause):
            self._stopped.wait(_QUIET if deadline is None else min(_QUIET, max(deadline - time.monotonic(), 0)))

    def _look(self) -> None:
        """Compare what is listed now with what was told last, if there is reason to."""
        if self._stopped.is_set():
            return
        armed = self._arm()
        hinted = self._wake.is_set() or armed
        # Before the listing: what happens during it is a hint for the next.
        refs = self._hints.take()
        now, began = time.monotonic(), time.thread_time()
        overdue = now >= self._due
        # Where nothing hints, as in memory, the tokens of the refs do. For less than a listing they also tell of a hint
        # that was lost; but not that what was missing for a session has come.
        tokens = self._refs() if overdue or not self._observer.active else None
        self._cost = time.thread_time() - began
        as_before = tokens is None or (tokens == self._tokens and not (overdue and self._hints.careful))
        if as_before and not hinted:
            if overdue:
                self._due = now + _pause(self._listing, self._cost)
            return
        if refs is not None and not armed and not overdue and self._look_at(refs):
            self._tokens = None
            self._due = min(self._due, now + max(self._listing, _BUSY_SHARE * self._list_cost))
            return
        # Tried again before long where it fails.
        self._due = min(self._due, now + self._listing)
        if not self._is_there():
            # A disk that was unplugged, a folder that is being replaced: an absence is not a deletion.
            return
        try:
            listing = listing_of(self._storage)
            events = changes_between(self._listed, listing, self._storage)
        except StoreGoneError:
            return
        except Exception:
            # Not only ours: a storage of somebody's own may raise anything, and be there again in a moment.
            _logger.exception("cannot list the sessions that are watched; this is tried again")
            return
        self._list_cost = time.thread_time() - began
        if self._backend is None:
            self._cost = self._list_cost
        # A hint may come before what it hints at can be seen: SQLite writes its log, syncs it, and only then shows it.
        pause = min(_LOOK, self._listing) if hinted else _pause(self._listing, self._list_cost)
        self._tokens, self._due = tokens, now + pause
        self._keep(listing)
        self._tell(events)

    def _look_at(self, refs: set[RefKey]) -> bool:
        """Tell what happened to sessions of these refs; False where only a look at all of them tells."""
        try:
            near = listing_near(self._storage, refs)
            if near is None:
                return False
            names, after = near
            names |= {name for name in self._derived if label_of(self._listed[name]) in names}
            before = {name: self._listed[name] for name in names & self._listed.keys()}
            events = changes_between(before, after, self._storage)
        except Exception:
            # As well found out, and told, by the look at all.
            return False
        for name in before.keys() - after.keys():
            del self._listed[name]
        self._listed.update(after)
        self._derived = (self._derived - before.keys()) | _derived(after)
        self._hints.careful = self._hints.careful or _is_in_doubt(after)
        self._tell(events)
        return True

    def _keep(self, listing: Listing) -> None:
        self._listed, self._derived = dict(listing), _derived(listing)
        # What is missing for a session, and comes, is no ref.
        self._hints.careful = _is_in_doubt(listing)

    def _tell(self, events: list[SessionEvent]) -> None:
        self._pending += [event for event in events if self._name is None or concerns(event, self._name)]

    def _arm(self) -> bool:
        """Listen to the folder that stands at the store's path now; True if that is another one than before."""
        folder = self._backend.watched_folder() if self._backend is not None else None
        return folder is not None and self._observer.follow(folder)

    def _is_there(self) -> bool:
        folder = self._backend.watched_folder() if self._backend is not None else None
        return folder is None or os.path.isdir(folder)

    def _refs(self) -> object:
        if self._backend is None:
            # A storage of somebody's own has nothing cheaper than the listing.
            return object()
        try:
            return self._backend.ref_tokens()
        except SessionError:
            return object()

    def after_fork(self) -> None:
        """In a child of os.fork: it is stopped."""
        self._mutex = threading.Lock()
        self._hints = Hints(lambda path: None)
        self._wake, self._stopped = self._hints.wake, threading.Event()
        self._stopped.set()
        self._thread = None
        self._observer.forget()


def _derived(listing: Listing) -> set[str]:
    """Return the names that are not those in the refs."""
    return {name for name, info in listing.items() if label_of(info) != name}


def _is_in_doubt(listing: Listing) -> bool:
    return any(info.error is not None or getattr(info, "undecided", False) for info in listing.values())


_all: Weakly[Watch] = Weakly()


def _at_exit() -> None:
    for watch in _all:
        watch.stop()


atexit.register(_at_exit)


def _pause(least: float, cost: float) -> float:
    """Return how long to wait until the next look, in seconds, where one takes `cost` seconds of the processor."""
    return max(least, min(_SHARE * cost, _LONGEST))
