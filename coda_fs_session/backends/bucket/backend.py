"""The backend over a bucket: refs are values that change under a condition, objects are put once."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar

from ...errors import CorruptionError, ObjectNotYetHereError, StoreError, StoreFormatError, UnsupportedError
from ...format.names import ref_paths
from ..base import (
    Backend,
    Capabilities,
    NewObject,
    Place,
    RefChangedError,
    RefKey,
    RefRefusedError,
    RefTakenError,
    Sign,
    Snapshot,
    StoredObject,
    Token,
    mismatch,
)
from ..disk import zstd
from ..disk.parallel import in_parallel
from ..disk.paths import COMPRESSED, FORMAT_FILE, is_hidden, object_of
from .client import ChangedError, Client, Listed
from .kept import Kept

REPLICA_FILE = "replica.json"
_PROBE = ".probe"
_LARGE = 64 * 1024
"""An object of so many bytes is looked for in its compressed form first."""
_MOST_SEEN = 256
_AHEAD = 64
_AT_ONCE = 16
_AT_A_LOOK = 2
"""Refs of a name that are asked for at once: nearly all have one, and that there is no second one takes asking too."""
_UNKNOWN = 0
"""Identity of a state that no value has any more: who has it reads the ref before writing to it."""

_T = TypeVar("_T")


class BucketBackend(Backend):
    """A store below a prefix of a bucket. Its keys are the paths of a store in a folder, and its values the files.

    Args:
        url, options: see `Client`.
        compress: keep objects with large messages compressed.
        keep_bytes: how many bytes of objects to keep in memory.
    """

    capabilities = Capabilities(
        persistent=True, shared=True, content_tokens=True, names_by_prefix=True, forks=False, costly=True
    )

    def __init__(
        self, url: str, options: Mapping[str, Any] | None = None, *, compress: bool = True, keep_bytes: int = 0
    ) -> None:
        self.client = Client(url, options)
        self._compress = compress
        self._kept = Kept(keep_bytes)
        self._prepared = False
        self._store: Sign | None = None
        # What refs were when they were last read or written, so that an open session is saved with one request.
        self._seen: OrderedDict[str, tuple[Snapshot, str]] = OrderedDict()
        self._forms: dict[str, str] = {}
        # What the last look at all refs has told.
        self._tags: dict[str, tuple[Token, str]] = {}

    def prepare(self) -> None:
        if self._prepared:
            return
        new = self.place().store is None
        if new:
            self._refuse_others()
        # Also where there is a store: a tool may have carried it to a storage that passes conditions over.
        self._probe()
        if new:
            try:
                self.client.create("FORMAT", FORMAT_FILE)
            except ChangedError:
                # Another machine was faster, and may be of a newer version.
                self.place()
        self._prepared = True

    def place(self) -> Place:
        if self._store is None:
            try:
                found = self.client.get("FORMAT")
            except KeyError:
                pass
            else:
                if found.data != FORMAT_FILE:
                    raise StoreFormatError(
                        f"{self.client.url} is a store of another version of coda_fs_session: update the package"
                    )
                self._store = Sign((int(found.modified),))
        return Place(self.client.url, self._store)

    def address(self) -> str:
        return self.client.url

    def locate(self, key: RefKey | str) -> str:
        return self.client.locate(_ref(key) if isinstance(key, RefKey) else _object(key))

    # Objects

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        data = self._kept.get(identity)
        if data is None or mismatch(identity, data, size=size, limit=limit):
            data = self._get_object(identity, size=size, limit=limit)
            self._kept.keep(identity, data)
        return data

    def _get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        plain = _object(identity)
        forms = [plain, plain + COMPRESSED]
        if self._forms.get(identity, COMPRESSED if (size or 0) >= _LARGE else "") == COMPRESSED:
            forms.reverse()
        problem: CorruptionError | None = None
        for form in forms:
            try:
                return self._verified(identity, form, size=size, limit=limit)
            except KeyError:
                continue
            except CorruptionError as error:
                problem = problem or error
        raise problem or ObjectNotYetHereError(identity, self.client.locate(plain))

    def _verified(self, identity: str, form: str, *, size: int | None, limit: int) -> bytes:
        data, where = self.client.get(form).data, self.client.locate(form)
        if form.endswith(COMPRESSED):
            try:
                data = zstd.decompress(data, size=size, limit=limit)
            except ValueError as error:
                raise CorruptionError(f"{where} is damaged: {error}", where) from error
        if wrong := mismatch(identity, data, size=size, limit=limit):
            expected, actual = wrong
            raise CorruptionError(f"{where} is damaged", where, expected=expected, actual=actual)
        self._forms[identity] = COMPRESSED if form.endswith(COMPRESSED) else ""
        return data

    def put_objects(self, objects: Iterable[NewObject]) -> None:
        # Without a look at what is there: the same bytes once more do no harm, and a damaged object is healed.
        in_parallel(self._put_object, list(objects))

    def _put_object(self, new: NewObject) -> None:
        packed = self._compress and new.compress
        key = _object(new.id) + (COMPRESSED if packed else "")
        self.client.put(key, zstd.compress(new.data) if packed else new.data)
        self._forms[new.id] = COMPRESSED if packed else ""
        self._kept.keep(new.id, new.data)

    def objects(self) -> Iterator[tuple[str, int]]:
        for stored in self.stored_objects():
            yield stored.id, stored.bytes

    def object_ids(self, group: str) -> Iterator[str]:
        for stored in self._stored(f"objects/{group}"):
            yield stored.id

    def stored_objects(self) -> Iterator[StoredObject]:
        return self._stored("objects")

    def _stored(self, folder: str) -> Iterator[StoredObject]:
        for found in self.client.keys_below(folder):
            name = found.key.rpartition("/")[2]
            identity = object_of(name)
            if identity is not None and not is_hidden(name):
                plain = not name.endswith(COMPRESSED)
                yield StoredObject(identity, self.client.locate(found.key), found.size, plain, found.key)

    def discard_object(self, identity: str) -> None:
        self._kept.forget(identity)
        self.client.delete([_object(identity), _object(identity) + COMPRESSED])

    def remove_object(self, stored: StoredObject) -> bool:
        self.client.delete([stored.name])
        return True

    def scrub(self, holds: Callable[[bytes], bool]) -> list[str]:
        self._seen.clear()
        return []

    # Refs

    def refs(self) -> Iterator[tuple[RefKey, Token]]:
        for found in self._listed():
            yield RefKey(found.key.removeprefix("refs/")), _token(found.tag, found.size)

    def look(self) -> tuple[dict[str, Token], dict[str, Sign | None]]:
        refs: dict[str, Token] = {}
        files: dict[str, Sign | None] = {}
        self._tags.clear()
        for found in self.client.keys_below("refs"):
            parts = found.key.split("/")
            token = _token(found.tag, found.size)
            if len(parts) == 3 and parts[2] == REPLICA_FILE:
                files[parts[1]] = Sign((token.identity,))
            elif _is_ref(parts):
                path = found.key.removeprefix("refs/")
                refs[path], self._tags[path] = token, (token, found.tag)
        return refs, files

    def ref_tokens(self) -> dict[str, Token]:
        return {key.path: token for key, token in self.refs()}

    def ref_token(self, key: RefKey) -> Token | None:
        try:
            return self.read_ref(key).token
        except KeyError:
            return None

    def read_ref(self, key: RefKey) -> Snapshot:
        return self._read(key)[0]

    def create_ref(self, key: RefKey, data: bytes) -> Token:
        try:
            return self._saw(key, data, self.client.create(_ref(key), data))
        except ChangedError:
            # The answer to it may be lost, and another process have gone on with the ref before it was repeated.
            if self._begins(key, data):
                return Token(_UNKNOWN, len(data))
            raise RefTakenError(key) from None

    def _begins(self, key: RefKey, data: bytes) -> bool:
        try:
            return bool(data) and self.read_ref(key).data.startswith(data)
        except KeyError:
            return False

    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        before, tag = self._expected(key, expected)
        return self._write(key, before.data + data, tag)

    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        token, tag = self._tags.get(key.path, (None, ""))
        return self._write(key, data, tag if token == expected else self._expected(key, expected)[1])

    def has_refs(self, replica: str) -> bool:
        return any(not found.key.endswith(f"/{REPLICA_FILE}") for found in self.client.keys_below(f"refs/{replica}"))

    def _write(self, key: RefKey, data: bytes, tag: str) -> Token:
        try:
            return self._saw(key, data, self.client.replace(_ref(key), data, tag))
        except ChangedError:
            self._seen.pop(key.path, None)
            # The storage may have taken the bytes, and an answer was lost while another process added to them. So only
            # the ref itself tells whether they are in it.
            raise RefChangedError(key) from None

    def _expected(self, key: RefKey, expected: Token) -> tuple[Snapshot, str]:
        """Return a ref that has this token, as it was seen last or as it is."""
        seen = self._seen.get(key.path)
        if seen is None or seen[0].token != expected:
            try:
                seen = self._read(key)
            except KeyError:
                raise RefRefusedError(key) from None
            if seen[0].token != expected:
                raise RefRefusedError(key)
        return seen

    def _read(self, key: RefKey) -> tuple[Snapshot, str]:
        found = self.client.get(_ref(key))
        self._saw(key, found.data, found.tag)
        return Snapshot(found.data, _token(found.tag, len(found.data))), found.tag

    def _saw(self, key: RefKey, data: bytes, tag: str) -> Token:
        token = _token(tag, len(data))
        self._seen.pop(key.path, None)
        self._seen[key.path] = Snapshot(data, token), tag
        while len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        return token

    # Refs by their paths

    def refs_of(self, replica: str, key: str) -> dict[str, Token]:
        # Each is asked for by its own name: a listing costs twelve times as much as a read, and brings nothing else.
        found: dict[str, Token] = {}
        numbers = ref_paths([replica], key)
        while True:
            paths = [path for paths in islice(numbers, _AT_A_LOOK) for path in paths]
            seen = self._look_up(paths)
            found |= seen
            if len(seen) < len(paths):
                return found

    def _look_up(self, paths: Sequence[str]) -> dict[str, Token]:
        found: dict[str, Token] = {}

        def look(path: str) -> None:
            with suppress(KeyError):
                found[path] = self.read_ref(RefKey(path)).token

        in_parallel(look, paths, worth=2)
        return found

    def refs_below(self, start: str) -> dict[str, Token]:
        folder = start.rpartition("/")[0]
        found: dict[str, Token] = {}
        # A listing is of whole folders; it can begin in the middle of one.
        for each in self.client.keys_below(f"refs/{folder}".rstrip("/"), after=f"refs/{start}"):
            path = each.key.removeprefix("refs/")
            if not path.startswith(start):
                break
            if _is_ref(each.key.split("/")):
                found[path] = _token(each.tag, each.size)
        return found

    def ref_replicas(self) -> Collection[str]:
        return self.client.folders_of("refs")

    def read_as(self, key: RefKey, token: Token) -> Snapshot:
        seen = self._seen.get(key.path)
        return seen[0] if seen is not None and seen[0].token == token else self.read_ref(key)

    def ahead(self, keys: Iterable[RefKey]) -> Iterator[RefKey]:
        left = iter(keys)
        while batch := list(islice(left, _AHEAD)):

            def read(key: RefKey) -> None:
                # What is wrong with it tells whoever reads it next.
                with suppress(KeyError, StoreError):
                    self.read_ref(key)

            in_parallel(read, batch, threads=_AT_ONCE)
            yield from batch

    # What replicas say

    def replica_files(self) -> Collection[str]:
        # By a listing that tells no refs: those may be many.
        found = {replica: self.read_replica_file(replica) for replica in self.client.folders_of("refs")}
        return [replica for replica, data in found.items() if data is not None]

    def read_replica_file(self, replica: str) -> bytes | None:
        try:
            return self.client.get(f"refs/{replica}/{REPLICA_FILE}").data
        except KeyError:
            return None

    def write_replica_file(self, replica: str, data: bytes) -> None:
        self.client.put(f"refs/{replica}/{REPLICA_FILE}", data)

    def _listed(self) -> Iterator[Listed]:
        for found in self.client.keys_below("refs"):
            if _is_ref(found.key.split("/")):
                yield found

    # Which place this is

    def _refuse_others(self) -> None:
        for found in self.client.keys_below():
            name = found.key.partition("/")[0]
            if name not in ("refs", "objects", "FORMAT", "README.txt") and not is_hidden(name):
                raise StoreFormatError(f"{self.client.url} holds something else ({name}...): name another prefix")
            return

    def _probe(self) -> None:
        """Make sure that a value is written under a condition where one is given: some servers pass that over."""
        for _ in range(2):
            try:
                self.client.create(_PROBE, os.urandom(8).hex().encode())
            except ChangedError:
                return
        raise UnsupportedError(
            f"{self.client.url}: the storage passes over the conditions of writes, so two machines "
            "would overwrite each other's: take another storage"
        )


def _is_ref(parts: Sequence[str]) -> bool:
    return len(parts) > 2 and parts[-1] != REPLICA_FILE and not any(is_hidden(part) for part in parts)


def _ref(key: RefKey) -> str:
    return f"refs/{key.path}"


def _object(identity: str) -> str:
    return f"objects/{identity[:2]}/{identity}.jsonl"


def _token(tag: str, size: int) -> Token:
    return Token(int.from_bytes(hashlib.sha256(tag.encode()).digest()[:7]), size)
