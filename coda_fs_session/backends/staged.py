"""A backend that holds new refs and objects back in memory, and writes them together: for many sessions in a row.

What it writes, it writes as any other backend does: objects first, all durable, then the refs that name them. So there
is no moment at which a crash leaves more of it than some of the objects, and after them some of the refs.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import count

from ..errors import CorruptionError, StoreError, tell
from ..process import forks
from ..process.interrupts import give_up
from .base import (
    END_BYTES,
    Backend,
    Marker,
    NewObject,
    RefChangedError,
    RefEnd,
    RefFolders,
    RefKey,
    RefRefusedError,
    RefTakenError,
    Snapshot,
    Token,
    folder_of,
    mismatch,
)
from .wrapper import WRITING, T, WrapperBackend

MOST_REFS = 1024
MOST_BYTES = 16 * 1024 * 1024
"""What is held back at most, or little more; then it is written."""

_FLUSHING = WRITING | {"objects", "object_groups", "object_ids", "stored_objects", "refs", "hold", "together"}
"""Verbs before which everything is written, unless the thread that holds back has its own way with them."""

Written = Sequence[tuple[RefKey, Token, Snapshot]]
"""Refs that were written: key, the token that they had here, and what they are now."""

Apart = Sequence[tuple[RefKey, RefKey]]
"""Of refs whose key somebody else has taken: that key, and the one that they are written under."""


class StagedBackend(WrapperBackend):
    """Holds back what one thread makes, until `finish`; other threads see it, and it is written before they write.

    Refs that were there before are written at once, and so is the first one of a replica: the store knows it by that.

    Args:
        inner: where everything goes in the end.
        is_recorded: tells whether this machine has a record of a ref, which then may be more than a new one.
        places: returns the key under which a ref goes where somebody else has taken its key meanwhile, from 2 on, and
            further ones that must be free for it; from 1 on, with the key itself for 1.
        written: is told of refs that were written, of those that are under another key, and how many new refs are
            durable in all. It may raise: they are durable by then.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        is_recorded: Callable[[RefKey], bool],
        places: Callable[[RefKey, int], Sequence[RefKey]],
        written: Callable[[Written, Apart, int], None],
    ) -> None:
        super().__init__(inner)
        self._is_recorded = is_recorded
        self._places = places
        self._written = written
        # Not by the number of the thread, which another one has once this one has ended.
        self._mine = threading.local()
        self._mine.stages = True
        self._has_ended = False
        self._serial = count(1)
        self._made = 0
        self._met: set[str] = set()
        self._became: dict[RefKey, tuple[Token, Token]] = {}  # of what was written: the last token here, the one there
        self._lock = threading.RLock()
        self._forget()
        _unfinished.add(self)
        forks.write_first(self)
        forks.renew(self, forks.Floor.BACKEND)

    def _forget(self) -> None:
        self._objects: dict[str, NewObject] = {}
        self._refs: dict[RefKey, Snapshot] = {}
        self._bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held back."""
        return not (self._objects or self._refs)

    def finish(self) -> None:
        """Hold nothing back any more: write it, durably; where that fails it is tried again by what writes next."""
        self._has_ended = True
        self.flush()

    def flush(self) -> None:
        """Write what is held back; all of it is durable on return. May be interrupted and called again."""
        if getattr(self._mine, "holds", 0):
            # Another thread may be writing this, and wait for what this one holds. And what is written in a block of
            # `inner` may be undone with it. Whatever the block rests on was written before it began.
            return
        written: list[tuple[RefKey, Token, Snapshot]] = []
        apart: list[tuple[RefKey, RefKey]] = []
        with self._lock:
            self._put_objects()
            if self._refs:
                staged = list(self._refs.items())
                # The store may have gone since they were made.
                self.inner.prepare()
                free = [(key, snapshot.data) for key, snapshot in staged if not self._is_elsewhere(key)]
                tokens = dict(zip((key for key, _ in free), self.inner.create_refs(free), strict=True))
                for key, snapshot in staged:
                    token = tokens.get(key)
                    where, new = (key, token) if token is not None else self._write_taken(key, snapshot.data)
                    if where == key:
                        self._became[key] = (snapshot.token, new)
                        written.append((key, snapshot.token, snapshot._replace(token=new)))
                    else:
                        apart.append((key, where))
                self._refs = {}
                self._made += len(staged)
            # Not empty where this is another thread: the one that holds back goes on meanwhile.
            self._bytes = sum(len(new.data) for new in list(self._objects.values()))
            if self._has_ended and self.is_empty:
                _unfinished.discard(self)
        self._written(written, apart, self._made)

    def _put_objects(self) -> None:
        """Write the objects; without the lock, which one who holds a ref of `inner` must not wait for."""
        staged = list(self._objects.values())
        if staged:
            self.inner.prepare()
            self.inner.put_objects(staged)
            for new in staged:
                self._objects.pop(new.id, None)

    def _write_taken(self, key: RefKey, data: bytes) -> tuple[RefKey, Token]:
        """Write a ref whose key is not free, there or beside; return under which key it is now."""
        for number in count(1):
            each, *others = self._places(key, number)
            if any(map(self._is_there, others)):
                continue
            with suppress(RefTakenError, RefChangedError):
                return each, self.inner.create_ref(each, data)
            with suppress(KeyError, StoreError):
                there = self.inner.read_ref(each)
                if there.data.startswith(data) or data.startswith(there.data):
                    # Of an interrupted attempt, which others may have gone on from: it need not be durable.
                    with suppress(RefChangedError):
                        return each, self.inner.replace_ref(each, there.token, max(there.data, data, key=len))
        raise AssertionError("keys do not end")

    def _is_elsewhere(self, key: RefKey) -> bool:
        """Tell whether somebody else has made a ref of the same key in another folder."""
        return any(map(self._is_there, self._places(key, 1)[1:]))

    def call(self, verb: str, act: Callable[[], T]) -> T:
        if verb in _FLUSHING:
            self.flush()
        return act()

    @property
    def stages(self) -> bool:
        return not self._has_ended and getattr(self._mine, "stages", False)

    def prepare(self) -> None:
        self.inner.prepare()

    # Objects

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        staged = self._objects.get(identity)
        if staged is None:
            return super().get_object(identity, size=size, limit=limit)
        if wrong := mismatch(identity, staged.data, size=size, limit=limit):
            expected, actual = wrong
            raise CorruptionError("an object in memory is damaged", expected=expected, actual=actual)
        return staged.data

    def object_pieces(self, identity: str) -> Iterator[bytes]:
        staged = self._objects.get(identity)
        return super().object_pieces(identity) if staged is None else iter((staged.data,))

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        if not self.stages:
            super().put_objects(objects)
            return
        for new in objects:
            self._objects[new.id] = new
            self._bytes += len(new.data)
            if self._bytes > MOST_BYTES:
                self._put_objects()
                self._bytes = sum(len(snapshot.data) for snapshot in self._refs.values())

    # Refs: what is staged comes first in all of these. What is not there any more is in `inner` by then.
    refs_of, refs_below, read_as = Backend.refs_of, Backend.refs_below, Backend.read_as

    def ref_tokens(self) -> dict[str, Token]:
        staged = {key.path: snapshot.token for key, snapshot in self._refs.copy().items()}
        return super().ref_tokens() | staged

    def ref_token(self, key: RefKey) -> Token | None:
        staged = self._refs.get(key)
        return staged.token if staged is not None else super().ref_token(key)

    def ref_tokens_in(self, folders: Collection[str]) -> dict[str, Token]:
        staged = {key.path: snapshot.token for key, snapshot in self._refs.copy().items()}
        found = super().ref_tokens_in(folders)
        return found | {path: token for path, token in staged.items() if folder_of(path) in folders}

    def ref_folders(self, known: Mapping[str, object], *, but: str | None = None) -> RefFolders:
        refs = self._refs.copy()
        found = super().ref_folders(known, but=but)
        if but is not None and not found.contents:
            return found
        staged = RefFolders.listed({key.path: snapshot.token.identity for key, snapshot in refs.items()}, None)
        # What is staged is known to whoever staged it, and is no reason to list what is not.
        for folder, identities in staged.contents.items():
            if folder in found.contents:
                found.contents[folder] |= identities
            elif folder not in found.states and but is None:
                # It is made when they are written.
                found.states[folder], found.contents[folder] = None, identities
        return found

    def read_ref(self, key: RefKey) -> Snapshot:
        staged = self._refs.get(key)
        return staged if staged is not None else super().read_ref(key)

    def ref_end(self, key: RefKey) -> RefEnd:
        staged = self._refs.get(key)
        if staged is None:
            return super().ref_end(key)
        return RefEnd(len(staged.data), staged.data[-END_BYTES:])

    def begins_with(self, key: RefKey, front: bytes | bytearray) -> bool:
        return key in self._refs or super().begins_with(key, front)

    def ref_after(self, key: RefKey, known: Token, front: bytes | bytearray) -> Snapshot | None:
        if key in self._refs:
            return Backend.ref_after(self, key, known, front)
        return super().ref_after(key, known, front)

    def has_refs(self, replica: str) -> bool:
        return any(key.replica == replica for key in self._refs.copy()) or super().has_refs(replica)

    def replica_marker(
        self, replica: str, known: Marker | None = None, *, only: Collection[str] | None = None
    ) -> Marker | None:
        found = super().replica_marker(replica, known, only=only)
        return {} if found is None and self.has_refs(replica) else found

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        if not self.stages:
            return super().create_ref(key, data)
        self._make_room(1)
        if key in self._refs:
            raise RefTakenError(key)
        # Not waited for: who writes now may wait for a ref that this thread holds.
        elsewhere = self._is_first(key.replica) or self._is_recorded(key) or not self._lock.acquire(blocking=False)
        if elsewhere:
            self._put_objects()
            token, self._made = self.inner.create_ref(key, data), self._made + 1
            return token
        try:
            if self._is_there(key):
                raise RefTakenError(key)
            return self._stage(key, data, -next(self._serial))
        finally:
            self._lock.release()

    def _is_there(self, key: RefKey) -> bool:
        # Not by its token: many a backend lists all for one.
        try:
            self.inner.ref_end(key)
        except KeyError:
            return False
        except CorruptionError:
            return True
        return True

    def _is_first(self, replica: str) -> bool:
        if replica not in self._met and not self.inner.has_refs(replica):
            return True
        self._met.add(replica)
        return False

    def _stage(self, key: RefKey, data: bytes, identity: int) -> Token:
        token = Token(identity, len(data), next(self._serial))
        before = self._refs.get(key)
        self._bytes += len(data) - (len(before.data) if before is not None else 0)
        self._refs[key] = Snapshot(data, token)
        return token

    def _make_room(self, refs: int = 0) -> None:
        if self._bytes > MOST_BYTES or len(self._refs) + refs > MOST_REFS:
            self.flush()

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        if not self.stages:
            self.flush()
            return self.inner.append_ref(key, self._now(key, expected), data)
        self._make_room()
        if key in self._refs:
            with self._lock:
                staged = self._staged(key, expected)
                if staged is not None:
                    return self._stage(key, staged.data + data, expected.identity)
        return self.inner.append_ref(key, self._now(key, expected), data)

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        if not self.stages:
            self.flush()
            return self.inner.replace_ref(key, self._now(key, expected), data)
        self._make_room()
        if key in self._refs:
            with self._lock:
                if self._staged(key, expected) is not None:
                    return self._stage(key, data, -next(self._serial))
        self._put_objects()
        return self.inner.replace_ref(key, self._now(key, expected), data)

    def _staged(self, key: RefKey, expected: Token) -> Snapshot | None:
        """Return what is staged of a ref; None where another thread has just written it.

        Raises:
            RefRefusedError: it is not as expected.
        """
        staged = self._refs.get(key)
        if staged is not None and staged.token != expected:
            raise RefRefusedError(key)
        return staged

    def _now(self, key: RefKey, expected: Token) -> Token:
        before, after = self._became.get(key, (None, expected))
        return after if expected == before else expected

    def hold(self, key: RefKey) -> AbstractContextManager[None]:
        if not self.stages:
            return self._holding(super().hold(key))
        return nullcontext() if key in self._refs else self._holding(self.inner.hold(key))

    def together(self) -> AbstractContextManager[None]:
        return nullcontext() if self.stages else self._holding(super().together())

    @contextmanager
    def _holding(self, block: AbstractContextManager[None]) -> Iterator[None]:
        """Write nothing that is held back in a block in which this thread keeps others waiting."""
        with block:
            self._mine.holds = getattr(self._mine, "holds", 0) + 1
            try:
                yield
            finally:
                self._mine.holds -= 1

    def recover(self) -> None:
        give_up(self._lock)
        self._mine.holds = 0
        super().recover()

    def close(self) -> None:
        self.finish()
        super().close()

    def before_fork(self) -> None:
        # The parent is told when it tries again.
        with suppress(StoreError, RefChangedError):
            self.flush()

    def after_fork(self) -> None:
        """In a child of os.fork: what could not be written before is the parent's to write."""
        self._lock = threading.RLock()
        self._has_ended = True
        self._forget()
        _unfinished.discard(self)


_unfinished: set[StagedBackend] = set()
"""What is held back outlives the manager that was let go of without an end."""


def _at_exit() -> None:
    for staged in list(_unfinished):
        try:
            # Others that save at the end do so after this.
            staged.finish()
        except Exception as error:
            tell(f"what was saved in bulk() could not be written when the program ended: {error}")


atexit.register(_at_exit)
