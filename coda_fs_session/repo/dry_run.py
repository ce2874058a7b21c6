"""A store as it is, in which what is written stays in memory: what a sync or a merge would do, before it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from ..backends.base import (
    Backend,
    MachineState,
    NewObject,
    Place,
    RefKey,
    RefTakenError,
    Sign,
    Token,
)
from ..backends.written_refs import WrittenRefs
from .repository import Repository
from .reverts.marker import Look
from .storage import RepoStorage

_NOBODY = "nobody-00000000"
"""The replica of refs where this machine has none yet."""


def dry(storage: RepoStorage, source: RepoStorage | None = None) -> RepoStorage:
    """Return a storage that begins as another one is; whatever is done in it, nothing of that is in the store.

    Args:
        source: where all objects come from that are written; of these no more is kept than that they were.
    """
    repo = storage.repo
    backend = DryBackend(repo.backend, None if source is None else source.repo.backend)
    settings = repo.settings._replace(read_only=True)
    return RepoStorage(Repository(backend, DryState(repo.machine), settings), seen=Look(None, []))


class DryBackend(WrittenRefs):
    """Passes on what reads, and keeps in memory what is written.

    It has the verbs and few of the hints: a sync lists everything in any case.

    Args:
        source: the backend that has all objects that are written here, if there is one.
    """

    def __init__(self, inner: Backend, source: Backend | None) -> None:
        super().__init__(inner)
        self._source = source
        self._sizes: dict[str, int] = {}
        self._objects: dict[str, bytes] = {}
        self._listed: dict[str, Token] = {}

    def prepare(self) -> None:
        return

    def place(self) -> Place:
        return self.inner.place()

    def address(self) -> str:
        return self.inner.address()

    def locate(self, key: RefKey | str) -> str:
        return self.inner.locate(key)

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        written = self._objects.get(identity)
        return self._holder(identity).get_object(identity, size=size, limit=limit) if written is None else written

    def object_pieces(self, identity: str) -> Iterator[bytes]:
        written = self._objects.get(identity)
        return self._holder(identity).object_pieces(identity) if written is None else iter((written,))

    def _holder(self, identity: str) -> Backend:
        return self._source if self._source is not None and identity in self._sizes else self.inner

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        for new in objects:
            self._sizes[new.id] = len(new.data)
            if self._source is None:
                self._objects[new.id] = new.data

    def put_large_object(self, identity: str, size: int, pieces: Iterable[bytes], *, compress: bool) -> None:
        if self._source is None:
            super().put_large_object(identity, size, pieces, compress=compress)
        else:
            # They are verified once the last was read.
            self._sizes[identity] = sum(map(len, pieces))

    def objects(self) -> Iterator[tuple[str, int]]:
        yield from {**dict(self.inner.objects()), **self._sizes}.items()

    def object_groups(self) -> Iterator[tuple[str, Sign]]:
        groups = dict(self.inner.object_groups())
        for identity in self._sizes:
            groups[identity[:2]] = Sign((-next(self._serial),))
        yield from groups.items()

    def object_ids(self, group: str) -> Iterator[str]:
        yield from {*self.inner.object_ids(group), *(each for each in self._sizes if each.startswith(group))}

    def ref_tokens(self) -> dict[str, Token]:
        return self.inner.ref_tokens() | {key.path: written.token for key, written in self._refs.items()}

    def look(self) -> tuple[dict[str, Token], dict[str, Sign | None]]:
        self._listed, files = self.inner.look()
        written = {key.path: each.token for key, each in self._refs.items()}
        return self._listed | written, files | dict.fromkeys(self._replica_files)

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        # Where a look is a request, one tells of all refs.
        known = key.path in self._listed if self.capabilities.costly else self.ref_token(key) is not None
        if known or key in self._refs:
            raise RefTakenError(key)
        return self._keep(key, data)


class DryState(MachineState):
    """Passes on what was kept, keeps nothing itself, and has no record: nothing is to be put back."""

    def __init__(self, inner: MachineState) -> None:
        self._inner = inner

    def replica(self, known: Iterable[str]) -> str | None:
        return self._inner.replica(known)

    def choose_replica(self) -> str:
        return _NOBODY

    def lock(self, *keys: str) -> AbstractContextManager[object]:
        return nullcontext()

    def set_aside(self, key: str, data: bytes) -> None:
        return

    def recall(self, topic: str) -> bytes | None:
        # The sync's own memory is of use; that of the index would be of refs that are not written.
        return self._inner.recall(topic) if topic.startswith("sync-") else None
