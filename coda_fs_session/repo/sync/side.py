"""One of the two stores of a sync: what is read from it, and how something is written into it."""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Container, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from ...backends.base import RefChangedError, RefKey, RefTakenError, Sign, Snapshot, Token
from ...errors import CorruptionError, StoreError, StoreFormatError, UnsupportedError
from ...format.names import ascii_key, ref_paths, session_key
from ...format.refs import parse_ref
from ...format.replica_file import ReplicaFile
from ...process.parallel import in_parallel
from .. import replica_files
from ..content.purged import Purged
from ..content.state import State
from ..events.changes import Listing, changes_between, listing_of
from ..storage import RepoStorage
from ..writing.refs import create_free
from .report import SyncTransfer, transfer_of
from .telling import Notes

AT_ONCE = 16
"""Requests that are under way at a time."""

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

    def is_purged(self) -> bool:
        """Tell whether nothing is in it that was purged, as far as its side knows."""
        if self.head is None:
            return True
        head, purged = self.head, self.head.messages.objects.purged
        lines = [*head.messages.lines, *(line for save in head.saves for line in save.messages)]
        stamped = (head.metadata, head.header.base.metadata, *(save.metadata for save in head.saves))
        lines += [item.value for each in stamped for item in each.values() if item.value is not None]
        return purged.masked(lines) == lines


class Side:
    """One of the two stores.

    Args:
        receives: whether anything is to be written here.
        notes: is told of what was left alone, and of what was written.

    Attributes:
        costly: looking here takes a request over a network; see `Capabilities.costly`.
        refs: tokens by path, as listed; seen: as last read or written.
        files: what changes when a replica file does, by replica.
        there: objects that are there, as far as they were listed or written; looked: when they were last listed.
        known: of replica files there, those that are as they were when all of them was known on the other side.
        refs_in, ref_bytes, objects_in, object_bytes: what was written here.
    """

    def __init__(self, storage: RepoStorage, *, receives: bool, notes: Notes) -> None:
        self.repo = storage.repo
        self.backend = storage.repo.backend
        self.costly = self.backend.capabilities.costly
        self.receives = receives
        self.refs: dict[str, Token] = {}
        self.seen: dict[str, Token] = {}
        self.files: dict[str, Sign | None] = {}
        self.known: Collection[str] = ()
        self.there: set[str] = set()
        self.looked = 0
        self.ready = False
        self.refs_in = self.ref_bytes = self.objects_in = self.object_bytes = 0
        self._storage = storage
        self._notes = notes
        self._problem = notes.note_problem
        self._families: dict[str, set[str]] | None = None
        self._before: Listing | None = None
        # By name, whether it was none here before; and whether it is deleted now.
        self._touched: dict[str, bool] = {}
        self._deleted: dict[str, bool] = {}
        self._said: dict[str, ReplicaFile] | None = None

    def prepare(self) -> None:
        """Make the store if there is none, once."""
        if not self.ready:
            self.backend.prepare()
            self.ready = True

    def purges(self) -> Purged:
        """Return what was purged, as far as this side has been told."""
        purged = self.repo.objects.purged
        purged.look(self.repo.objects.backend)
        return purged

    def purged(self) -> set[str]:
        """Return the objects that are gone for good, as far as this side has been told."""
        return set(self.purges().objects)

    def look(self) -> None:
        """Find out what refs and replica files there are."""
        if self.costly:
            refs, self.files = self.backend.look()
            self.refs = _within(refs.items())
        else:
            self.refs = self.list_refs()

    def list_refs(self) -> dict[str, Token]:
        return _within((key.path, token) for key, token in self.backend.refs())

    def said(self) -> dict[str, ReplicaFile]:
        """Return what replicas say of themselves here, as far as it is not known."""
        if self._said is None:
            if self.costly:
                found = replica_files.read_some(self.repo, sorted(self.files.keys() - self.known))
            else:
                found = replica_files.read_all(self.repo)
            for error in found.unread.values():
                self._problem(error)
            self._said = found.said
        return self._said

    def read(self, path: str) -> Found | None:
        """Return a ref with every line verified, None where it is gone or cannot be read."""
        return self.read_many([path])[path]

    def read_many(self, paths: Sequence[str]) -> dict[str, Found | None]:
        """Return refs as `read` does, several at a time where that is quicker."""
        snapshots: dict[str, Snapshot | StoreError | None] = {}

        def read(path: str) -> None:
            try:
                snapshots[path] = self.backend.read_ref(RefKey(path))
            except KeyError:
                snapshots[path] = None
            except StoreError as error:
                if self.costly and not self._is_about_one_file(error):
                    raise
                snapshots[path] = error

        in_parallel(read, paths, threads=AT_ONCE if self.costly else 1)
        return {path: self._parsed(path, snapshots[path]) for path in paths}

    def _parsed(self, path: str, snapshot: Snapshot | StoreError | None) -> Found | None:
        if isinstance(snapshot, StoreError):
            self._problem(snapshot)
        if not isinstance(snapshot, Snapshot):
            return None
        key = RefKey(path)
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
            if not self._is_about_one_file(error):
                raise
        taken = set()
        for each in found:
            try:
                taken |= self._create([each])
            except StoreError as error:
                if not self._is_about_one_file(error):
                    raise
                self._problem(error)
        return taken

    def _create(self, found: Sequence[Found]) -> set[str]:
        if self.costly:
            return self._write_at_once([(None, each) for each in found])
        tokens = self.backend.create_refs([(RefKey(each.path), each.data) for each in found])
        for each, token in zip(found, tokens, strict=True):
            if token is not None:
                self._wrote(each, each.path, token, len(each.data))
        return {each.path for each, token in zip(found, tokens, strict=True) if token is None}

    def advance_all(self, pairs: Sequence[tuple[Found, Found]]) -> set[str]:
        """Bring refs forward as `advance` does, several at a time; return the paths of those that were changed."""
        if pairs:
            self._begin()
        return self._write_at_once(pairs)

    def _write_at_once(self, pairs: Sequence[tuple[Found | None, Found]]) -> set[str]:
        """Write refs anew, several at a time; return the paths at which something else is."""
        tokens: dict[str, Token] = {}
        other: set[str] = set()

        def write(pair: tuple[Found | None, Found]) -> None:
            old, new = pair
            try:
                if old is None:
                    tokens[new.path] = self.backend.create_ref(RefKey(new.path), new.data)
                else:
                    tokens[new.path] = self.backend.replace_ref(RefKey(old.path), old.token, new.data)
            except (RefTakenError, RefChangedError):
                other.add(new.path)
            except StoreError as error:
                if not self._is_about_one_file(error):
                    raise
                self._problem(error)

        try:
            in_parallel(write, pairs, threads=AT_ONCE)
        finally:
            for _, new in pairs:
                if new.path in tokens:
                    self._wrote(new, new.path, tokens[new.path], len(new.data))
        return other

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
                # It may be tags that are new, which name commits.
                with self.repo.naming.of_refs([(key, data)]):
                    token = self.backend.append_ref(key, old.token, written)
            else:
                if old.head.torn:
                    self.repo.machine.set_aside(ascii_key(session_key(old.head.name)), old.head.torn)
                written = data
                token = self.backend.replace_ref(key, old.token, data)
        self._touch(old.head, new=False)
        self._wrote(new, old.path, token, len(written))

    def _lock(self, head: State) -> AbstractContextManager[object]:
        """Take the name's lock as this replica's own writers do; nobody else here writes other replicas' refs."""
        own = head.key.replica == self.repo.replica
        return self.repo.machine.lock(session_key(head.name)) if own else nullcontext()

    def _begin(self) -> None:
        self.prepare()
        if self._before is None:
            self._before = {} if self.costly else listing_of(self._storage)

    def _wrote(self, found: Found, path: str, token: Token, size: int) -> None:
        head = found.head
        assert head is not None
        self._touch(head, new=path not in self.refs)
        self.refs[path] = self.seen[path] = token
        if self._families is not None:
            self._families.setdefault(_stem(path), set()).add(path)
        if not self.costly:
            self.repo.index.note(replace(head, key=RefKey(path), token=token))
        self.refs_in += 1
        self._count(size)

    def _touch(self, head: State, *, new: bool) -> None:
        for name in (head.name, *head.header.former_names):
            self._touched[name] = self._touched.get(name, new)
        self._deleted[head.name] = head.deleted

    def _count(self, size: int) -> None:
        self.ref_bytes += size
        self._notes.moved["refs"] += size

    def write_replica_file(self, replica: str, data: bytes) -> bool:
        """Write a replica file; False where none are kept, so that nothing is condemned or purged there."""
        try:
            self.backend.write_replica_file(replica, data)
        except UnsupportedError:
            return False
        self._count(len(data))
        return True

    def _is_about_one_file(self, error: StoreError) -> bool:
        """Tell whether only this file cannot be kept: for its name, or for what is in its way."""
        cause = error.__cause__
        known = isinstance(cause, OSError) and cause.errno in _BAD_NAME
        # Where every verb is a request, what names a file is about that, and what does not about the way there.
        return known or isinstance(error, CorruptionError) or (self.costly and error.path is not None)

    def note_problem(self, error: StoreError) -> None:
        self._problem(error)

    def _transfer_of_names(self) -> SyncTransfer:
        """Tell of each session what was written of it: what others make of that here is not looked at."""
        deleted = sorted(name for name, gone in self._deleted.items() if gone)
        live = sorted(self._deleted.keys() - set(deleted))
        return SyncTransfer(
            new=tuple(name for name in live if self._touched[name]),
            advanced=tuple(name for name in live if not self._touched[name]),
            deleted=tuple(deleted),
            refs=self.refs_in,
            objects=self.objects_in,
            bytes=self.ref_bytes + self.object_bytes,
        )

    def transfer(self) -> SyncTransfer:
        """Sum up what was written here."""
        events = []
        if self.costly:
            return self._transfer_of_names()
        if self._before is not None:
            events = changes_between(self._before, listing_of(self._storage), self._storage)
        size = self.ref_bytes + self.object_bytes
        return transfer_of(events, set(self._touched), refs=self.refs_in, objects=self.objects_in, size=size)


def _within(refs: Iterable[tuple[str, Token]]) -> dict[str, Token]:
    """Leave out what a backend is not asked for: a path that leads out of its store, whoever made it up."""
    return {path: token for path, token in refs if path[0] not in "./" and "/." not in path}


def _stem(path: str) -> str:
    return _ENDING.sub("", path)
