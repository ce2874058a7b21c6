"""Where the bytes of a lost object may be found once more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate

from ...backends.base import OBJECT_LIMIT, Backend, NewObject, StoredObject
from ...backends.wrapper import WrapperBackend
from ...errors import StoreError
from ...format.chunks import join
from ...format.ids import ObjectId, object_id
from ...format.refs import Ref, parse_ref
from ..content.objects import Objects
from ..repository import Repository


class Regained(WrapperBackend):
    """A store with the objects that a repair has found, be they written to it or not.

    Attributes:
        found: each object with what it was found in.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.found: dict[str, str] = {}
        self._elsewhere: dict[str, Backend] = {}
        self._kept: dict[str, bytes] = {}

    def add(self, identity: str, what: str, data: bytes | Backend) -> None:
        """Take an object in; of one in another store only that it is there."""
        self.found[identity] = what
        if isinstance(data, bytes):
            self._kept[identity] = data
        else:
            self._elsewhere[identity] = data

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        if identity in self._elsewhere:
            return self._elsewhere[identity].get_object(identity, size=size, limit=limit)
        if identity in self._kept:
            return self._kept[identity]
        return super().get_object(identity, size=size, limit=limit)

    def stored_objects(self) -> Iterator[StoredObject]:
        for place in super().stored_objects():
            if place.id not in self.found:
                yield place
        for identity in self.found:
            yield StoredObject(identity, self.locate(identity), 0)

    def write(self, objects: Objects) -> None:
        """Write all that was found into the store, durably, one object in memory at a time."""
        self.inner.prepare()
        for identity in self.found:
            data = self.get_object(identity, size=None, limit=OBJECT_LIMIT)
            new = objects.copied(identity, data)
            self.inner.put_objects([NewObject(new.id, new.data, new.compress)])


def in_store(other: Backend, wanted: Iterable[str]) -> Iterator[str]:
    """Yield which objects another store has, whole."""
    for identity in wanted:
        with suppress(StoreError):
            other.get_object(identity, size=None, limit=OBJECT_LIMIT)
            yield identity


def runs_of_refs(repo: Repository, refs: Iterable[tuple[Ref, str]]) -> Iterator[tuple[list[bytes], str]]:
    """Yield the messages that stand in refs, in the store and in what this machine recorded, with where that is."""
    for ref, path in refs:
        yield from _runs(repo, ref, path)
    record = repo.machine.record
    for replica in record.replicas():
        for key in record.tokens(replica):
            with suppress(StoreError):
                data = record.read(key)
                if data is not None:
                    yield from _runs(repo, parse_ref(data, key.path), f"this machine's record of {key.path}")


def _runs(repo: Repository, ref: Ref, path: str) -> Iterator[tuple[list[bytes], str]]:
    lines = [line for save in ref.saves for line in save.messages]
    if lines:
        tail = ref.header.base.tail
        before: list[bytes] = []
        if tail is not None:
            with suppress(StoreError):
                before = repo.objects.tail(tail)
        yield before + lines, path


def runs_of_objects(backend: Backend, identities: Iterable[str]) -> Iterator[tuple[list[bytes], str]]:
    """Yield the messages of objects, with where these are."""
    for identity in identities:
        with suppress(StoreError):
            lines = backend.get_object(identity, size=None, limit=OBJECT_LIMIT).split(b"\n")
            if not lines.pop():
                yield lines, backend.locate(identity)


def among(
    runs: Iterable[tuple[Sequence[bytes], str]], wanted: dict[ObjectId, int]
) -> Iterator[tuple[ObjectId, bytes, str]]:
    """Yield the objects that some messages in a row are, with their bytes and where they were found.

    Args:
        wanted: the size of each; what was found is taken out.
    """
    for lines, where in runs:
        if not wanted:
            return
        ends = list(accumulate((len(line) + 1 for line in lines), initial=0))
        places = {end: place for place, end in enumerate(ends)}
        for size in {size for size in wanted.values() if size <= ends[-1]}:
            for start, begin in enumerate(ends):
                stop = places.get(begin + size)
                if stop is None or stop == start:
                    continue
                data = join(lines[start:stop])
                identity = object_id(data)
                if wanted.pop(identity, None) is not None:
                    yield identity, data, where
