"""Events of the file system: hints that something happened, and to which refs."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ...backends.base import RefKey

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

_logger = logging.getLogger("coda_fs_session")

KINDS = frozenset(["created", "modified", "moved", "deleted", "closed"])
JOIN = 5.0
_RACE = "called when the thread is inactive"
_MOST = 1000
"""Refs that are looked at one by one."""


class Hints:
    """What was hinted at since it was last asked for.

    Args:
        refs_at: tells which refs a file, by its path below what is watched, may be; None for any.

    Attributes:
        wake: is set when there is something.
        careful: any event is to count as one that may concern every ref.
    """

    def __init__(self, refs_at: Callable[[str], Collection[RefKey] | None]) -> None:
        self.wake = threading.Event()
        self.careful = False
        self._refs_at = refs_at
        self._mutex = threading.Lock()
        self._refs: set[RefKey] = set()
        self._any = False

    def note(self, path: str, kind: str, is_folder: bool) -> None:
        """Take an event."""
        refs = None if self.careful else self._refs_at(path)
        # What comes to be in a folder, or goes, has an event of its own.
        if refs is not None and (not refs or (is_folder and kind == "modified")):
            return
        with self._mutex:
            if refs is None or is_folder or len(self._refs) > _MOST:
                self._any = True
            else:
                self._refs.update(refs)
        self.wake.set()

    def take(self) -> set[RefKey] | None:
        """Return the refs that may have changed, and begin anew; None where it may be any."""
        # First: what is noted from here on is a hint for the next time.
        self.wake.clear()
        with self._mutex:
            refs, any_ref = self._refs, self._any
            self._refs, self._any = set(), False
        return refs if refs and not any_ref else None


class Observer:
    """Listens to a folder, also when another one takes its place.

    Attributes:
        active: hints can be expected; else one has to look.
    """

    def __init__(self, hints: Hints) -> None:
        self.active = False
        self._hints = hints
        self._observer: BaseObserver | None = None
        self._folder: tuple[int, int] | None = None
        self._mutex = threading.Lock()
        self._closed = False

    def follow(self, folder: str) -> bool:
        """Listen to the folder that is at this path now; True if it was not the one already listened to."""
        try:
            status = os.stat(folder)
        except OSError:
            identity = None
        else:
            identity = (status.st_dev, status.st_ino)
        with self._mutex:
            if self._closed or identity == self._folder:
                return False
            self._folder = identity
            self._end()
            if identity is not None:
                self._begin(folder)
        return True

    def _begin(self, folder: str) -> None:
        # Imported late: it is only needed here.
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer as FileSystemObserver

        # Stopping an observer races with its own thread, which then logs an error that is none.
        logging.getLogger("watchdog.observers.inotify").addFilter(_is_no_race)
        hints = self._hints

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                # Reading, as we do to list, is an event too.
                if event.event_type in KINDS:
                    for path in filter(None, (event.src_path, getattr(event, "dest_path", None))):
                        below = os.fsdecode(path).removeprefix(f"{folder}/")
                        hints.note(below, event.event_type, event.is_directory)

        try:
            self._observer = FileSystemObserver()
            self._observer.schedule(Handler(), folder, recursive=True)
            self._observer.start()
        except Exception as error:
            # Systems limit how many folders a user may listen to.
            _logger.warning("no file-system events from %s (%s): looking now and then instead", folder, error)
            self._end()
        else:
            self.active = True

    def _end(self) -> None:
        observer, self._observer, self.active = self._observer, None, False
        if observer is not None:
            # One that never started cannot be joined.
            with contextlib.suppress(Exception):
                observer.stop()
                observer.join(JOIN)

    def stop(self) -> None:
        with self._mutex:
            self._closed = True
            self._end()

    def forget(self) -> None:
        """In a child of os.fork: the threads are the parent's."""
        self._mutex = threading.Lock()
        self._observer, self.active, self._closed = None, False, True


def _is_no_race(record: logging.LogRecord) -> bool:
    return _RACE not in record.getMessage()
