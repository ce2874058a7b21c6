"""What every part of the engine works on: a backend, the machine's state, the objects and the index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from ..backends.base import Backend, MachineState, PlannedError, RecordAheadError, RefKey, Snapshot, Token
from ..errors import StoreError
from ..format.chunks import STANDARD, Sizes
from ..format.purge_records import Change, PurgedSession
from ..format.records import encode_time, horizon, next_stamp
from ..format.refs import line_end, parse_ref, parse_saves
from ..process import forks
from ..process.uncopied import Uncopied
from .content.objects import Objects
from .content.state import Cursor, State
from .index.index import Index
from .index.keyed import KeyedIndex
from .listed import ListedNames
from .naming import Naming
from .notes import encode_note

TRANSACTION = ".transaction"
"""The key whose lock a transaction holds from its first look at the store to its end, beside those of its names."""

NO_LIMIT = 2**62
"""Bytes: more than any session has."""


class Settings(NamedTuple):
    """Options of the engine; see `coda_fs_session.config` for what they mean to users."""

    on_conflict: str = "append"
    diverged: str = "shared"
    purge_from: str | Sequence[str] = "any"
    message_cache_size: int = 1000
    compress_threshold_bytes: int = 8192
    max_session_bytes: int = NO_LIMIT
    read_only: bool = False
    sizes: Sizes = STANDARD
    clock: Callable[[], datetime] = partial(datetime.now, UTC)


class Repository(Uncopied):
    """One opened store."""

    def __init__(self, backend: Backend, machine: MachineState, settings: Settings) -> None:
        self.backend = backend
        self.machine = machine
        self.settings = settings
        self.sizes = settings.sizes
        self.objects = Objects(
            backend,
            cached_messages=settings.message_cache_size,
            compress_threshold=settings.compress_threshold_bytes,
            most_bytes=settings.max_session_bytes,
        )
        by_key = backend.capabilities.names_by_prefix and machine.shares_replica
        self.index = (KeyedIndex if by_key else Index)(backend, machine, self.read, self.horizon)
        self.index.last_purge.then = self.objects.forget
        self.listed = ListedNames(backend)
        backend.avoid(self.listed)
        if not machine.shares_replica:
            # Where several machines are one replica, nothing is let go.
            self.objects.listed = self.listed.now
        self.naming = Naming(backend, machine, self.objects, self.listed)
        backend.around_refs(self.naming.of_refs)
        self._replica: str | None = None
        forks.renew(self, forks.Floor.ENGINE)

    @property
    def replica(self) -> str | None:
        """This replica's id, None as long as this machine has written nothing into the store."""
        if self._replica is None:
            known = () if self.machine.shares_replica else self.index.replicas()
            self._replica = self.machine.replica(known)
            if self._replica is not None:
                self.machine.record.adopt(self._replica)
        return self._replica

    @contextmanager
    def lock(self, *keys: str) -> Iterator[None]:
        """Exclude others of this machine from creating or replacing under some file keys: see `MachineState.lock`.

        Raises:
            PlannedError: a transaction is under way, or was left unfinished; see `repo.reverts.plans`.
        """
        with self.machine.lock(*keys):
            if self.machine.record.is_planned():
                raise PlannedError(keys)
            yield

    @contextmanager
    def writing(self) -> Iterator[str]:
        """Give this replica's id to a block that writes a ref.

        Choosing an id excludes other processes until the first ref is written, or a replica file: the store knows a
        replica only by these.

        Raises:
            RecordAheadError: there is a record of refs whose replica has none here; see `repo.reverts.put_back`.
        """
        replica = self.replica
        self.backend.prepare()
        if replica is not None and self.machine.shares_replica:
            yield replica
            return
        if replica is not None and (self.backend.has_refs(replica) or replica in self.backend.replica_files()):
            yield replica
            return
        with self.machine.choosing():
            known, record = self.index.replicas(), self.machine.record
            for each in record.replicas():
                if each not in known and not record.is_empty(each):
                    raise RecordAheadError(each)
            there = {*known, *self.backend.replica_files()}
            self._replica = replica = self.machine.replica(there) or self.machine.choose_replica()
            record.adopt(replica)
            self.note_store(replica)
            yield replica

    def purged_lines(self) -> Mapping[str, Change]:
        """Return what purges have changed in lines, by their hashes, as far as all replicas have told."""
        self.objects.purged.look(self.backend)
        return self.objects.purged.lines

    def purged_sessions(self) -> Collection[PurgedSession]:
        """Return what was taken out whole, as far as all replicas have told."""
        self.objects.purged.look(self.backend)
        return self.objects.purged.sessions.values()

    def use(self, backend: Backend) -> None:
        """Go on with a backend around the present one, or with what is within that."""
        self.backend = self.objects.backend = backend
        self.index.use(backend)

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        self.index.recover()
        self.objects.recover()
        self.backend.recover()
        self.machine.recover()

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self.objects.after_fork()
        self.index.after_fork()

    def find_replica(self) -> str | None:
        """Find out anew which replica we are, be it one whose refs are all gone; None for one yet to be chosen.

        What is recorded must be of the store that is at the place.
        """
        self._replica = None
        if self.replica is None:
            self._replica = self.machine.replica(self.machine.record.replicas())
            if self._replica is not None:
                self.machine.record.adopt(self._replica)
        return self._replica

    def note_store(self, replica: str) -> None:
        """Keep with the records of a replica what tells this store from another one: see `repo.reverts.which_store`."""
        note = encode_note([self.backend.place().store, sorted(self.index.replicas(look=False))])
        if note != self.machine.record.noted(replica):
            self.machine.record.note(replica, note)

    def leave_replica(self) -> tuple[str, bool]:
        """Take another id, since somebody else writes under ours too; False with the same one where it is fixed."""
        before, self._replica = self._replica, self.machine.choose_replica()
        self.machine.record.adopt(self._replica)
        return self._replica, self._replica != before

    def now(self, *, after: str = "") -> str:
        """Return the time as it is written into records; a later one where it must come after another time.

        Raises:
            StoreError: the clock tells a time that cannot be written down.
        """
        try:
            now = encode_time(self.settings.clock())
            return now if now > after else next_stamp(after)
        except ValueError as error:
            raise StoreError(f"the clock of this machine is wrong: {error}. Set it, and save again") from error

    def looked_ahead(self, name: str) -> AbstractContextManager[None]:
        """Return a block in which this thread looks at a name; what is a request is made before, without any lock."""
        return self.index.looked_ahead(name) if isinstance(self.index, KeyedIndex) else nullcontext()

    def horizon(self) -> str:
        """Return from when on metadata stamps are not believed; see `format.records.horizon`."""
        return horizon(self.settings.clock())

    def read(self, key: RefKey, token: Token | None = None) -> State:
        """Read and fold a ref; look at its `damage` before trusting that it is complete.

        Args:
            token: one that was told of it just now: it will do as it was then.

        Raises:
            KeyError: it is gone.
            StoreError: its header is damaged or of a newer version, or it cannot be read.
        """
        return self.fold(key, self.backend.read_ref(key) if token is None else self.backend.read_as(key, token))

    def fold(self, key: RefKey, snapshot: Snapshot) -> State:
        """Parse and fold a ref's bytes; raises as `read`."""
        path = self.backend.locate(key)
        return State.of(key, snapshot.token, parse_ref(snapshot.data, path), self.objects, self.sizes)

    def has(self, head: State) -> bool:
        """Tell whether a ref is in the store as it was read."""
        try:
            return head.ends_as(self.backend.ref_end(head.key))
        except (KeyError, StoreError):
            return False

    def compare(self, cursor: Cursor) -> None:
        """Before a ref is read again: see to it that it begins with what it said, or forget that."""
        if cursor.shared is not None and not self.backend.begins_with(cursor.state.key, cursor.shared[1]):
            cursor.shared = None

    def reread(self, cursor: Cursor) -> State:
        """Return the newest state of the ref that a session stands on; that of the cursor if nothing happened to it.

        With its writers kept waiting, only what was appended is read, if `compare` was called right before.

        Raises:
            KeyError: the ref is gone.
        """
        state = cursor.state
        newer = self._read_on(cursor)
        if newer is None:
            # Read whole: the id at the old end would vouch for the lines before it as they were, not as they are.
            # It does tell an older copy in place, with its inode, size and time, from what we saw.
            snapshot = self.backend.read_ref(state.key)
            if snapshot.token != state.token or not snapshot.data.endswith(line_end(state.last_id), 0, state.size):
                newer = self.fold(state.key, snapshot)
                cursor.shared = (newer, bytearray(snapshot.data)) if newer.size == len(snapshot.data) else None
                return newer
            newer = state
        if newer is state:
            # Nobody else writes to it any more.
            cursor.shared = None
        return newer

    def _read_on(self, cursor: Cursor) -> State | None:
        """Fold what was appended since the ref was read or written; None where more than that may have happened."""
        if cursor.shared is None:
            return None
        shared, front = cursor.shared
        found = self.backend.ref_after(shared.key, shared.token, front) if len(front) == shared.size else None
        if found is None or (not found.data and found.token != shared.token):
            return None
        if not found.data:
            return shared
        path, size = shared.key.path, shared.size + len(found.data)
        number = shared.save_count + 2
        saves, ids, rest = parse_saves(found.data, shared.last_id, path, offset=shared.size, first_line=number)
        try:
            newer = None if rest.rest else shared.after(saves, ids[-1], size, found.token)
        except ValueError:
            return None
        if newer is not None:
            front += found.data
            cursor.shared = (newer, front)
        return newer
