"""Which files of objects are on lists: they are deleted, or about to be, and what is to stay has other names.

For ever: a tool takes a file with the same bytes for the one that it has a deletion of.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ..backends.base import Backend
from ..errors import StoreError
from ..format.lists import LIST_LIMIT, decode_list, id_of
from ..format.replica_file import parse_replica_file


class ListedNames:
    """The names on all lists that some replica names, as far as they are here.

    Attributes:
        ids: of the objects whose files they are, as of the last call.
    """

    def __init__(self, backend: Backend) -> None:
        self.ids: frozenset[str] = frozenset()
        self._backend = backend
        self._lists: dict[str, frozenset[str]] = {}
        self._files: dict[str, bytes] = {}
        self._names: frozenset[str] = frozenset()

    def __call__(self) -> frozenset[str]:
        """Return the paths below the store, as they are now; lists that were read once are not read again.

        Raises:
            StoreError: the replica files cannot be listed.
        """
        backend = self._backend
        files: dict[str, bytes] = {}
        for replica in backend.replica_files():
            # What cannot be read says nothing; what it said before is not forgotten.
            with suppress(StoreError):
                files[replica] = backend.read_replica_file(replica) or b""
        if files != self._files:
            wanted = {identity for replica, data in files.items() for identity in _lists_of(replica, data)}
            is_all = True
            for identity in wanted - self._lists.keys():
                try:
                    self._lists[identity] = decode_list(backend.get_object(identity, size=None, limit=LIST_LIMIT))
                except (StoreError, ValueError):
                    is_all = False
            self._names = frozenset().union(*self._lists.values())
            self.ids = frozenset(map(id_of, self._names))
            # One that is still on its way is looked for again.
            self._files = files if is_all else {}
        return self._names

    def now(self) -> frozenset[str]:
        """Return `ids` as they are now; raises as a call does."""
        self()
        return self.ids


def _lists_of(replica: str, data: bytes) -> Sequence[str]:
    with suppress(StoreError):
        return parse_replica_file(data, replica, replica).lists
    return ()
