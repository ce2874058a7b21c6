"""The trash: objects that gc has deleted, kept in the state folder for a while, one file each."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection

from ...errors import StoreError
from ..disk.descriptors import names_in
from ..disk.files import Files, discard, make_folders, read_file, store_errors
from ..disk.new_files import write_file
from ..disk.paths import is_hidden, object_of

_LIMIT = 2**31


class Trash:
    """What was deleted from one store, by the id of the object.

    Args:
        folder: returns the state folder.
    """

    def __init__(self, folder: Callable[[], str]) -> None:
        self._folder = folder
        # Unlike all else in the state folder it must last: it may be the only copy.
        self._files = Files()
        self._made = False

    def keep(self, identity: str, data: bytes) -> str:
        """Keep an object, durably, and return where."""
        path = self._path(identity)
        with store_errors("keep what is deleted in", path):
            self._make(os.path.dirname(path))
            write_file(self._files, path, data, replace=True)
        return path

    def _make(self, folder: str) -> None:
        if not self._made:
            make_folders(self._files, folder)
            # One process at a time keeps house: these are of one that was killed.
            for name in list(names_in(folder)):
                if is_hidden(name):
                    discard(self._files, f"{folder}/{name}")
            self._made = True

    def ids(self) -> Collection[str]:
        """Return the ids of what is kept."""
        try:
            names = list(names_in(f"{self._folder()}/trash"))
        except (OSError, StoreError):
            return ()
        return [name for name in names if object_of(name) == name]

    def read(self, identity: str) -> bytes | None:
        """Return what is kept of an object; None where that is nothing, or something else."""
        try:
            data = read_file(self._path(identity), _LIMIT)
        except (OSError, StoreError):
            return None
        return data if hashlib.sha256(data).hexdigest() == identity else None

    def drop(self, identity: str) -> None:
        """Keep an object no longer."""
        discard(self._files, self._path(identity))

    def _path(self, identity: str) -> str:
        return f"{self._folder()}/trash/{identity}"
