"""A backend around a backend."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from .base import (
    Backend,
    Capabilities,
    Marker,
    NewObject,
    Oddity,
    Place,
    RefEnd,
    RefFolders,
    RefKey,
    RefWrite,
    Sign,
    Snapshot,
    StoredObject,
    Token,
    Unfinished,
)

T = TypeVar("T")

WRITING = frozenset(
    [
        *("prepare", "put_objects", "put_large_object", "create_ref", "create_refs", "append_ref", "replace_ref"),
        *("write_refs", "renew_token", "write_replica_file", "condemn_objects", "remove_object", "discard_object"),
        *("scrub", "remove_unfinished", "remove_file"),
    ]
)
"""The verbs that change a store."""


class WrapperBackend(Backend):
    """Passes every verb on to another backend; override `call` to do something before or after.

    Attributes:
        inner: what is wrapped.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.capabilities: Capabilities = inner.capabilities

    def call(self, verb: str, act: Callable[[], T]) -> T:
        """Do what a verb does, by its name; `act` passes it on."""
        return act()

    def prepare(self) -> None:
        self.call("prepare", self.inner.prepare)

    def place(self) -> Place:
        return self.call("place", self.inner.place)

    def locate(self, key: RefKey | str) -> str:
        return self.call("locate", lambda: self.inner.locate(key))

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        return self.call("get_object", lambda: self.inner.get_object(identity, size=size, limit=limit))

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        self.call("put_objects", lambda: self.inner.put_objects(objects))

    def object_pieces(self, identity: str) -> Iterator[bytes]:
        return self.call("object_pieces", lambda: self.inner.object_pieces(identity))

    def put_large_object(self, identity: str, size: int, pieces: Iterable[bytes], *, compress: bool) -> None:
        self.call("put_large_object", lambda: self.inner.put_large_object(identity, size, pieces, compress=compress))

    def objects(self) -> Iterator[tuple[str, int]]:
        return self.call("objects", self.inner.objects)

    def object_groups(self) -> Iterator[tuple[str, Sign]]:
        return self.call("object_groups", self.inner.object_groups)

    def object_ids(self, group: str) -> Iterator[str]:
        return self.call("object_ids", lambda: self.inner.object_ids(group))

    def stored_objects(self) -> Iterator[StoredObject]:
        return self.call("stored_objects", self.inner.stored_objects)

    def avoid(self, names: Callable[[], Container[str]]) -> None:
        self.inner.avoid(names)

    def around_refs(self, naming: Callable[[Sequence[tuple[RefKey, bytes]]], AbstractContextManager[object]]) -> None:
        self.inner.around_refs(naming)

    def condemn_objects(self, identities: Iterable[str]) -> None:
        self.call("condemn_objects", lambda: self.inner.condemn_objects(identities))

    def remove_object(self, stored: StoredObject) -> bool:
        return self.call("remove_object", lambda: self.inner.remove_object(stored))

    def spare_copies(self, places: Sequence[StoredObject]) -> Sequence[StoredObject]:
        return self.call("spare_copies", lambda: self.inner.spare_copies(places))

    def read_file(self, path: str) -> bytes:
        return self.call("read_file", lambda: self.inner.read_file(path))

    def remove_file(self, path: str, data: bytes) -> None:
        self.call("remove_file", lambda: self.inner.remove_file(path, data))

    def unfinished(self) -> Iterator[Unfinished]:
        return self.call("unfinished", self.inner.unfinished)

    def remove_unfinished(self, path: str) -> None:
        self.call("remove_unfinished", lambda: self.inner.remove_unfinished(path))

    def oddities(self, *, full: bool) -> Iterator[Oddity]:
        return self.call("oddities", lambda: self.inner.oddities(full=full))

    def misplaced_objects(self, wanted: Container[str]) -> Iterator[tuple[str, str, bytes]]:
        return self.call("misplaced_objects", lambda: self.inner.misplaced_objects(wanted))

    def discard_object(self, identity: str) -> None:
        self.call("discard_object", lambda: self.inner.discard_object(identity))

    def scrub(self, holds: Callable[[bytes], bool]) -> list[str]:
        return self.call("scrub", lambda: self.inner.scrub(holds))

    def replica_files(self) -> Collection[str]:
        return self.call("replica_files", self.inner.replica_files)

    def read_replica_file(self, replica: str) -> bytes | None:
        return self.call("read_replica_file", lambda: self.inner.read_replica_file(replica))

    def write_replica_file(self, replica: str, data: bytes) -> None:
        self.call("write_replica_file", lambda: self.inner.write_replica_file(replica, data))

    def address(self) -> str:
        return self.inner.address()

    def look(self) -> tuple[dict[str, Token], dict[str, Sign | None]]:
        return self.call("look", self.inner.look)

    def ref_tokens(self) -> dict[str, Token]:
        return self.call("ref_tokens", self.inner.ref_tokens)

    def refs(self) -> Iterator[tuple[RefKey, Token]]:
        return self.call("refs", self.inner.refs)

    def ref_folders(self, known: Mapping[str, object], *, but: str | None = None) -> RefFolders:
        return self.call("ref_folders", lambda: self.inner.ref_folders(known, but=but))

    def ref_tokens_in(self, folders: Collection[str]) -> dict[str, Token]:
        return self.call("ref_tokens_in", lambda: self.inner.ref_tokens_in(folders))

    def ref_token(self, key: RefKey) -> Token | None:
        return self.call("ref_token", lambda: self.inner.ref_token(key))

    def read_ref(self, key: RefKey) -> Snapshot:
        return self.call("read_ref", lambda: self.inner.read_ref(key))

    def refs_of(self, replica: str, key: str) -> dict[str, Token]:
        return self.call("refs_of", lambda: self.inner.refs_of(replica, key))

    def refs_below(self, start: str) -> dict[str, Token]:
        return self.call("refs_below", lambda: self.inner.refs_below(start))

    def ref_replicas(self) -> Collection[str]:
        return self.call("ref_replicas", self.inner.ref_replicas)

    def read_as(self, key: RefKey, token: Token) -> Snapshot:
        return self.call("read_as", lambda: self.inner.read_as(key, token))

    def ahead(self, keys: Iterable[RefKey]) -> Iterator[RefKey]:
        return self.call("ahead", lambda: self.inner.ahead(keys))

    def ref_end(self, key: RefKey) -> RefEnd:
        return self.call("ref_end", lambda: self.inner.ref_end(key))

    def begins_with(self, key: RefKey, front: bytes | bytearray) -> bool:
        return self.call("begins_with", lambda: self.inner.begins_with(key, front))

    def ref_after(self, key: RefKey, known: Token, front: bytes | bytearray) -> Snapshot | None:
        return self.call("ref_after", lambda: self.inner.ref_after(key, known, front))

    def key_folders(self, folders: Sequence[str]) -> Sequence[str]:
        return self.call("key_folders", lambda: self.inner.key_folders(folders))

    def has_refs(self, replica: str) -> bool:
        return self.call("has_refs", lambda: self.inner.has_refs(replica))

    def replica_marker(
        self, replica: str, known: Marker | None = None, *, only: Collection[str] | None = None
    ) -> Marker | None:
        return self.call("replica_marker", lambda: self.inner.replica_marker(replica, known, only=only))

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        return self.call("create_ref", lambda: self.inner.create_ref(key, data))

    def create_refs(self, refs: Sequence[tuple[RefKey, bytes]]) -> list[Token | None]:
        return self.call("create_refs", lambda: self.inner.create_refs(refs))

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        return self.call("append_ref", lambda: self.inner.append_ref(key, expected, data))

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        return self.call("replace_ref", lambda: self.inner.replace_ref(key, expected, data))

    def write_refs(self, writes: Sequence[RefWrite]) -> list[Token]:
        return self.call("write_refs", lambda: self.inner.write_refs(writes))

    def renew_token(self, key: RefKey, expected: Token) -> Token:
        return self.call("renew_token", lambda: self.inner.renew_token(key, expected))

    def hold(self, key: RefKey) -> AbstractContextManager[None]:
        return self.call("hold", lambda: self.inner.hold(key))

    def together(self) -> AbstractContextManager[None]:
        return self.call("together", self.inner.together)

    def watched_folder(self) -> str | None:
        return self.call("watched_folder", self.inner.watched_folder)

    def refs_at(self, path: str) -> Collection[RefKey] | None:
        return self.call("refs_at", lambda: self.inner.refs_at(path))

    def recover(self) -> None:
        self.inner.recover()

    def close(self) -> None:
        self.inner.close()
