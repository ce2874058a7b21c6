"""One of the two stores of a sync: what is read from it, and how something is written into it."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from ...backends.base import RefKey, Snapshot, Token
from ...errors import CorruptionError, StoreError, StoreFormatError, UnsupportedError
from ...format.names import ascii_key, ref_paths, session_key
from ...format.refs import parse_ref
from ..content.state import State
from ..events.changes import Listing, changes_between, listing_of
from ..storage import RepoStorage
from ..writing.refs import create_free
from .report import SyncTransfer, transfer_of

_BAD_NAME = frozenset([errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG])
_ENDING = re.compile(r"(?:\.[0-9]+)?(?:\.jsonl)?\Z")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A ref as it was read; `head` is None where it is damaged, or nothing that this version can read."""

    path: str
    snapshot: Snapshot
    head: State | None

    @property
    def token(self) -> Token:
        return self.snapshot.token

    @property
    def data(self) -> bytes:
        """The good lines: without a torn write, which may be one that is going on."""
        return self.snapshot.data if self.head is None else self.snapshot.data[: self.head.size]


class Side:
    """One of the two stores.

    Args:
        receives: whether anything is to be written here.
        problem: is told what was left alone.

    Attributes:
        refs: tokens by path, as listed; seen: as last read or written.
        refs_in, ref_bytes, objects_in, object_bytes: what was written here.
    """

    def __init__(
        self,
        storage: RepoStorage,
        *,
        receives: bool,
        problem: Callable[[StoreError], None],
    ) -> None:
        self.repo = storage.repo
        self.backend = storage.repo.backend
        self.receives = receives
        self.refs: dict[str, Token] = {}
        self.seen: dict[str, Token] = {}
        self.refs_in = self.ref_bytes = self.objects_in = self.object_bytes = 0
        self._storage = storage
        self._problem = problem
        self._families: dict[str, set[str]] | None = None
        self._before: Listing | None = None
        self._touched: set[str] = set()

    def purged(self) -> set[str]:
        """Return the objects that are gone for good, as far as this side has been told."""
        purged = self.repo.objects.purged
        purged.look(self.backend)
        return set(purged.objects)

    def list_refs(self) -> dict[str, Token]:
        # A backend is not asked for a path that leads out of its store, whoever made it up.
        return {
            key.path: token for key, token in self.backend.refs() if key.path[0] not in "./" and "/." not in key.path
        }

    def read(self, path: str) -> Found | None:
        """Return a ref with every line verified, None where it is gone or cannot be read."""
        key = RefKey(path)
        try:
            snapshot = self.backend.read_ref(key)
        except KeyError:
            return None
        except StoreError as error:
            self._problem(error)
            return None
        self.seen[path] = snapshot.token
        where = self.backend.locate(key)
        try:
            head = State.of(key, snapshot.token, parse_ref(snapshot.data, where), self.repo.objects, self.repo.sizes)
        except StoreError as error:
            # What is no ref by its name either lies there for reasons of its own.
            if path.endswith(".jsonl") or isinstance(error, StoreFormatError):
                self._problem(error)
            return Found(path, snapshot, None)
        if head.damage is not None:
            self._problem(head.damage if head.damage.path else StoreError(f"{where}: {head.damage}", where))
            return Found(path, snapshot, None)
        return Found(path, snapshot, head)

    def family(self, path: str) -> list[str]:
        """Return the refs here that a ref of this path may have been kept beside: of its folder and its key."""
        if self._families is None:
            self._families = {}
            for each in self.refs:
                self._families.setdefault(_stem(each), set()).add(each)
        return sorted(self._families.get(_stem(path), ()))

    def create(self, found: Sequence[Found]) -> set[str]:
        """Write refs that this side does not have; return the paths that turned out to be taken."""
        self._begin()
        try:
            return self._create(found)
        except StoreError as error:
            if not _is_about_one_file(error):
                raise
        taken = set()
        for each in found:
            try:
                taken |= self._create([each])
            except StoreError as error:
                if not _is_about_one_file(error):
                    raise
                self._problem(error)
        return taken

    def _create(self, found: Sequence[Found]) -> set[str]:
        tokens = self.backend.create_refs([(RefKey(each.path), each.data) for each in found])
        for each, token in zip(found, tokens, strict=True):
            if token is not None:
                self._wrote(each, each.path, token, len(each.data))
        return {each.path for each, token in zip(found, tokens, strict=True) if token is None}

    def create_beside(self, found: Found, taken: Container[str]) -> None:
        """Write a ref under a free path of its family that is none of `taken`."""
        self._begin()
        folder, _, key = _stem(found.path).partition("/")
        paths = (each for each in ref_paths([folder], key, 2) if each[0] not in taken)
        written, token = create_free(self.repo, paths, found.data)
        self._wrote(found, written.path, token, len(found.data))

    def advance(self, old: Found, new: Found) -> None:
        """Bring a ref forward to a state that contains the one it has.

        Raises:
            RefChangedError: it is not as it was read any more; nothing was changed.
        """
        assert old.head is not None
        self._begin()
        key, data = RefKey(old.path), new.data
        with self._lock(old.head):
            if not old.head.torn and data.startswith(old.data):
                written = data[len(old.data) :]
                token = self.backend.append_ref(key, old.token, written)
            else:
                if old.head.torn:
                    self.repo.machine.set_aside(ascii_key(session_key(old.head.name)), old.head.torn)
                written = data
                token = self.backend.replace_ref(key, old.token, data)
        self._touched.update((old.head.name, *old.head.header.former_names))
        self._wrote(new, old.path, token, len(written))

    def _lock(self, head: State) -> AbstractContextManager[object]:
        """Take the name's lock as this replica's own writers do; nobody else here writes other replicas' refs."""
        own = head.key.replica == self.repo.replica
        return self.repo.machine.lock(session_key(head.name)) if own else nullcontext()

    def _begin(self) -> None:
        if self._before is None:
            self.backend.prepare()
            self._before = listing_of(self._storage)

    def _wrote(self, found: Found, path: str, token: Token, size: int) -> None:
        head = found.head
        assert head is not None
        self._touched.update((head.name, *head.header.former_names))
        self.refs[path] = self.seen[path] = token
        if self._families is not None:
            self._families.setdefault(_stem(path), set()).add(path)
        self.repo.index.note(replace(head, key=RefKey(path), token=token))
        self.refs_in += 1
        self.ref_bytes += size

    def write_replica_file(self, replica: str, data: bytes) -> None:
        try:
            self.backend.write_replica_file(replica, data)
        except UnsupportedError:
            # Nothing is condemned or purged there.
            return
        self.ref_bytes += len(data)

    def note_problem(self, error: StoreError) -> None:
        self._problem(error)

    def transfer(self) -> SyncTransfer:
        """Sum up what was written here."""
        events = []
        if self._before is not None:
            events = changes_between(self._before, listing_of(self._storage), self._storage)
        size = self.ref_bytes + self.object_bytes
        return transfer_of(events, self._touched, refs=self.refs_in, objects=self.objects_in, size=size)


def _is_about_one_file(error: StoreError) -> bool:
    """Tell whether only this file cannot be kept: for its name, or for what is in its way."""
    cause = error.__cause__
    return isinstance(error, CorruptionError) or (isinstance(cause, OSError) and cause.errno in _BAD_NAME)


def _stem(path: str) -> str:
    return _ENDING.sub("", path)
