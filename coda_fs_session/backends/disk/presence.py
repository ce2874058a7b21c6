"""Whether the store that was opened is still the one at its path."""

from __future__ import annotations

import os

from ...errors import StoreGoneError
from .descriptors import names_in
from .files import store_errors
from .paths import StorePaths, is_hidden


class Presence:
    """Knows a store by the folders of its replicas, and by its FORMAT file.

    A disk that was pulled leaves an empty folder, or another disk may be mounted there: to write into that would
    acknowledge what nobody finds again. A restored copy is the same store, though all its files are others.
    """

    def __init__(self, paths: StorePaths) -> None:
        self._paths = paths
        self._replicas: dict[str, None] = {}
        self._format: int | None = None
        self._seen = False

    def note(self) -> None:
        """Take what is at the path now, if it is a store, for the one that is to stay there."""
        self._format = _changed(self._paths.format)
        if _exists(self._paths.refs):
            self._replicas |= {name: None for name in names_in(self._paths.refs) if not is_hidden(name)}
        self._seen = self._is_store()

    def met(self, replica: str) -> None:
        """Note a replica that has a ref in the store now."""
        self._replicas[replica] = None

    @property
    def is_sure(self) -> bool:
        """Whether the same store is there for certain; where it is not, `check` tells."""
        return any(os.path.exists(self._paths.ref(replica)) for replica in self._replicas)

    def check(self) -> None:
        """Make sure that the store that was seen is there.

        Raises:
            StoreGoneError: it is not.
            StoreError: it cannot be told.
        """
        if not self._seen or self.is_sure:
            return
        root = self._paths.root
        with store_errors("look for", root, reading=True):
            if not self._is_store():
                raise StoreGoneError(f"the store at {root} is gone", root)
            known = any(_exists(self._paths.ref(replica)) for replica in self._replicas)
            # All refs may have been removed, and FORMAT is the file that it was.
            if self._replicas and not known and _changed(self._paths.format) != self._format:
                raise StoreGoneError(f"another store has come to stand at {root}, in the place of the one opened", root)

    def _is_store(self) -> bool:
        return any(map(_exists, (self._paths.format, self._paths.refs, self._paths.objects)))


def _exists(path: str) -> bool:
    """Tell whether something is at a path, where `os.path.exists` takes a disk that does not answer for an absence."""
    return _changed(path) is not None


def _changed(path: str) -> int | None:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None
