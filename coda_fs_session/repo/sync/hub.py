"""A store in a bucket as one side of a sync: what is known of it without asking, as every look is a request.

It has no machine of its own. What the last sync left in the state folder tells what its refs were then. Refs are never
taken away, so where one is gone that was there it is another store, and nothing is believed of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace

from ...backends.base import Backend, MachineState, Place, Sign, Snapshot
from ...backends.wrapper import WrapperBackend
from ...errors import StoreError, UnsupportedError, warn
from ...process.parallel import in_parallel
from ..content.state import State
from ..repository import Repository, Settings
from ..reverts.marker import Look
from ..storage import RepoStorage
from .memory import Memory, short
from .replica_files import hashes
from .side import AT_ONCE, Found, Side

_NOBODY = "nobody-00000000"
_LOOK_SECONDS = 86400
_logger = logging.getLogger("coda_fs_session")


class HubState(MachineState):
    """That of no machine: it keeps nothing, and nothing is put back."""

    def replica(self, known: Iterable[str]) -> str | None:
        return None

    def choose_replica(self) -> str:
        return _NOBODY

    def lock(self, *keys: str) -> AbstractContextManager[object]:
        return nullcontext()

    def set_aside(self, key: str, data: bytes) -> None:
        return


class LocalFirst(WrapperBackend):
    """Reads of objects what is here, and only what is not from there.

    Args:
        inner: what is there; here: what is here.
        files: the replica files there that are news.
    """

    def __init__(self, inner: Backend, here: Backend, files: Sequence[str]) -> None:
        super().__init__(inner)
        self._here = here
        self._files = files
        self._read: dict[str, bytes | None] = {}

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        with suppress(StoreError):
            return self._here.get_object(identity, size=size, limit=limit)
        return self.inner.get_object(identity, size=size, limit=limit)

    def replica_files(self) -> Sequence[str]:
        return self._files

    def read_replica_file(self, replica: str) -> bytes | None:
        if replica not in self._read:
            self._read[replica] = self.inner.read_replica_file(replica)
        return self._read[replica]


def storage_of(backend: Backend) -> RepoStorage:
    """Return the engine over a backend that no machine owns."""
    return RepoStorage(Repository(backend, HubState(), Settings(read_only=True)), seen=Look(None, []))


def place_of(side: Side) -> Place:
    """Return where a store is; of one that is costly to ask without asking."""
    return Place(side.backend.address(), Sign((0,))) if side.costly else side.backend.place()


def begin(ours: Side, theirs: Side, memory: Memory, *, look: bool) -> Memory:
    """Go by what is remembered of the store there, as far as it still is that.

    Args:
        look: list the objects there where that was not done for a day.
    """
    gone = [path for path in memory.there if path not in theirs.refs]
    if gone:
        _logger.warning(
            "%s of %s sessions that were in %s are gone from there: everything is looked at again",
            *(len(gone), len(memory.there), theirs.backend.address()),
        )
        memory = Memory()
    theirs.ready, theirs.looked = memory.ready and bool(memory.there), memory.looked
    if look and theirs.receives and not 0 <= time.time() - memory.looked < _LOOK_SECONDS:
        memory = _look(ours, theirs, memory)
    if not memory.ready and not memory.there:
        # It may be a store of another version.
        theirs.backend.place()
    here = hashes(ours)
    theirs.known = {
        replica
        for replica, sign in theirs.files.items()
        if sign is not None and memory.said.get(replica) == [list(sign), here.get(replica)]
    }
    files = sorted(theirs.files.keys() - theirs.known)
    theirs.repo.objects.backend = LocalFirst(theirs.backend, ours.backend, files)
    return memory


def _look(ours: Side, theirs: Side, memory: Memory) -> Memory:
    """List the objects there; where one is gone that was there, forget which refs need no look.

    Somebody may have taken it away by hand, or by a rule of the bucket.
    """
    theirs.looked = int(time.time())
    theirs.there = {identity for identity, _ in theirs.backend.objects()}
    listed = {identity[:2] + short(identity) for identity in theirs.there | ours.purged()}
    missing = sum(group + each not in listed for group in memory.verified for each in memory.verified_in(group))
    if not missing:
        return memory
    _logger.warning(
        "%s files of messages that were in %s are gone from there: those that are here are put there again",
        *(missing, theirs.backend.address()),
    )
    return replace(memory, refs={}, verified={})


def read(theirs: Side, left: Mapping[str, Found | None], memory: Memory) -> tuple[dict[str, Found | None], set[str]]:
    """Return refs there beside those that are here.

    Returns:
        Those too that need no reading, as what is here begins with them; and the paths of these.
    """
    fronts: dict[str, Found | None] = {}
    for path, mine in left.items():
        token = theirs.refs[path]
        size = memory.front_of(path, token, mine.data) if mine is not None and mine.head is not None else None
        if mine is not None and mine.head is not None and size is not None:
            head: State = replace(mine.head, torn=b"", token=token, size=size)
            fronts[path] = Found(path, Snapshot(mine.data[:size], token), head)
            theirs.seen[path] = token
    return {**theirs.read_many([path for path in left if path not in fronts]), **fronts}, set(fronts)


def discard(theirs: Side, identities: Iterable[str]) -> None:
    """Remove there what this machine has purged, as far as it may; what stands for it is there."""

    def remove(identity: str) -> None:
        try:
            theirs.backend.discard_object(identity)
        except UnsupportedError:
            return
        except StoreError as error:
            theirs.note_problem(error)

    if gone := sorted(identities):
        in_parallel(remove, gone, threads=AT_ONCE)
        warn(
            f"{theirs.backend.address()}: what was purged is taken out there too; where the bucket keeps old versions, "
            "those hold it until they expire"
        )
