"""The plan of a transaction: what is about to be written into several refs, in one file of the state folder.

It is there before the first of them is written and is gone after the last one, so a crash in between leaves it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from threading import get_ident

from ...errors import CorruptionError, StoreError
from ..disk.descriptors import names_in
from ..disk.files import Files, make_folders, read_file, store_errors, translate
from .kept import checked, keep

_NAME, _ASIDE = "plan", "plan."


class PlanFile:
    """The plan that one state folder holds, if it does.

    Args:
        state: returns the state folder; "" for none.
        files: the system calls to use.
    """

    def __init__(self, state: Callable[[], str], files: Files) -> None:
        self._state = state
        self._files = files
        self._worker = 0
        self._is_lasting = False

    def use(self, files: Files) -> None:
        """Write through other system calls: those of the store, which are durable if that is."""
        self._files = files

    def is_left(self) -> bool:
        """Tell whether somebody else's transaction is under way or was left unfinished."""
        if self._worker == get_ident():
            return False
        try:
            return bool(self._state()) and os.path.lexists(self._path())
        except (OSError, StoreError):
            # No place for state at all: then nothing can have been written down.
            return False

    def is_mine(self, *, begins: bool) -> None:
        """Note that this thread begins, or ends, to write what is planned: only others are to wait for that."""
        self._worker = get_ident() if begins else 0

    def recover(self) -> None:
        """Note that what this thread was writing was interrupted."""
        if self._worker == get_ident():
            self._worker = 0

    def keep(self, data: bytes) -> None:
        """Keep a plan, durably.

        Raises:
            StoreError: that is not possible.
        """
        if not self._state():
            raise StoreError("there is no state folder to write a transaction down in")
        path = self._path()
        with store_errors("write down a transaction in", path):
            make_folders(self._files, self._state())
            if not self._is_lasting:
                # Others make these without a sync: losing the rest of them loses nothing.
                above = os.path.dirname(self._state())
                for folder in (above, os.path.dirname(above)):
                    self._files.sync_folder(folder)
                self._is_lasting = True
            keep(self._files, path, data)

    def read(self) -> bytes | None:
        """Return what is planned; None where nothing is.

        Raises:
            CorruptionError: it is damaged.
            StoreError: it cannot be read now.
        """
        path = self._path()
        try:
            # However large it is: a part of it would pass for damaged.
            content = read_file(path, sys.maxsize)
        except FileNotFoundError:
            return None
        except OSError as error:
            # With too many open files, say: that is no reason to go on without it.
            raise translate(error, "read", path, reading=True) from error
        data = checked(content)
        if data is None:
            raise CorruptionError("what was written down of a transaction is damaged", path)
        return data

    def drop(self) -> None:
        """Plan nothing any more, durably.

        Raises:
            StoreError: that is not possible.
        """
        path = self._path()
        with store_errors("remove", path):
            if os.path.lexists(path):
                self._files.unlink(path)
            self._files.sync_folder(os.path.dirname(path))

    def set_aside(self) -> str:
        """Keep the plan under another name, under which nobody carries it out, and return that path."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        path, aside = self._path(), f"{self._state()}/{_ASIDE}{moment}"
        with store_errors("keep aside", path):
            self._files.rename(path, aside)
            self._files.sync_folder(os.path.dirname(path))
        return aside

    def paths(self) -> list[str]:
        """Return every file that holds words of messages for the sake of a transaction."""
        try:
            names = names_in(self._state()) if self._state() else []
        except (OSError, StoreError):
            return []
        return [f"{self._state()}/{name}" for name in sorted(names) if name == _NAME or name.startswith(_ASIDE)]

    def _path(self) -> str:
        return f"{self._state()}/{_NAME}"
