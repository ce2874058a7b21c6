"""What a place that keeps bytes must do: a dozen verbs on objects and refs.

Objects are write-once and named by the sha256 of their bytes; refs are the only mutable thing and change
by compare-and-append and compare-and-replace.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..process.uncopied import Uncopied
from .keys import RefKey, Sign, Token

OBJECT_LIMIT = 2**31
"""Bytes that no object passes."""

REPLICA_FILE_LIMIT = 64 * 1024 * 1024
"""Bytes that no replica file passes: it has 67 for each list, and so names a million of them."""


class Snapshot(NamedTuple):
    """A ref's bytes, and the token that belongs to exactly these bytes."""

    data: bytes
    token: Token


class NewObject(NamedTuple):
    """Bytes to keep under their sha256.

    Attributes:
        compress: a hint that the bytes hold a large message; a backend may keep them compressed.
    """

    id: str
    data: bytes
    compress: bool = False


def mismatch(identity: str, data: bytes, *, size: int | None, limit: int) -> tuple[str, str] | None:
    """Return what was expected of an object and what was found instead, None where it is what it should be.

    Args:
        size, limit: see `Backend.get_object`.
    """
    if len(data) > limit or (size is not None and len(data) != size):
        return f"{limit if size is None else size} bytes", f"{len(data)} bytes"
    actual = hashlib.sha256(data).hexdigest()
    return None if actual == identity else (f"sha256 {identity}", actual)


class StoredObject(NamedTuple):
    """What is kept of an object at one place; whether it is good, only reading it tells.

    Attributes:
        path: where, for people to read; bytes: what it takes up there.
        plain: True as it is, False compressed, None where that is not known.
        name: the path of its file below the store; empty where objects are no files.
    """

    id: str
    path: str
    bytes: int
    plain: bool | None = None
    name: str = ""


class Unfinished(NamedTuple):
    """A file that somebody began to write under a temporary name: a crash leaves it.

    Attributes:
        path: where; bytes: what it takes up.
    """

    path: str
    bytes: int


class Oddity(NamedTuple):
    """Something about how a store is kept, rather than what is in its refs and objects.

    Attributes:
        rule: what is not as it should be: a name of `repo.maintenance.findings.RULES`.
        path: where; what: what is wrong there.
    """

    rule: str
    path: str
    what: str


class Place(NamedTuple):
    """Where a store is, and a sign of which one it is.

    Attributes:
        path: names the place on this machine, with slashes between what is within what.
        store: another store that comes to stand at the same place has another one; None while there is none.
    """

    path: str
    store: Sign | None


class Capabilities(NamedTuple):
    """What tests and the engine may expect of a backend.

    Attributes:
        persistent: what was written is there when the store is opened again.
        shared: several processes may use one store at once.
        whole: no ref can be put back to an older state without all that was written later, in any ref, going too.
        together: `Backend.write_refs` writes all or none.
        costly: every verb is a request over a network: worth making several at a time, and none for nothing.
        content_tokens: a ref that has the same bytes again has the same token again.
        names_by_prefix: refs are found by the beginning of their paths without a look at all, and by nothing else.
        forks: a child of os.fork can use it; where not, it raises UnsupportedError there.
    """

    persistent: bool
    shared: bool
    whole: bool = False
    together: bool = False
    costly: bool = False
    content_tokens: bool = False
    names_by_prefix: bool = False
    forks: bool = True


class RefWrite(NamedTuple):
    """One ref as `Backend.write_refs` is to write it.

    Attributes:
        expected: the token that it has; None for a new one.
        data: all that it is to hold.
        kept: how many of the first bytes it holds already; 0 where it is written anew.
    """

    key: RefKey
    expected: Token | None
    data: bytes
    kept: int = 0


class RefChangedError(Exception):
    """The ref is no longer what the caller last saw: read it again, decide again, try again."""


class RefRefusedError(RefChangedError):
    """The ref was something else before anything was written, so what was to be written is not in it."""


class RecordAheadError(RefRefusedError):
    """This machine has a record that differs from the ref, or is of refs that are gone: see
    `repo.reverts.put_back` before writing.
    """


class PlannedError(RecordAheadError):
    """A transaction of this machine is under way, or was left unfinished: see `repo.reverts.plans` before writing."""


class RefTakenError(Exception):
    """A ref is already kept under this key."""


class Verbs(Uncopied, ABC):
    """Bytes under keys: what every backend must do itself, and all that it must.

    Every verb may raise `StoreError` (or a kind of it) for what goes wrong below it. Threads may share a
    backend as long as each ref key is written by one thread at a time.
    """

    capabilities: Capabilities

    @abstractmethod
    def prepare(self) -> None:
        """Make the store if there is none yet; called before the first write."""

    @abstractmethod
    def place(self) -> Place:
        """Return where the store is, without making it."""

    @abstractmethod
    def locate(self, key: RefKey | str) -> str:
        """Return where a ref, or the object of this id, is kept, for people to read in errors."""

    @abstractmethod
    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        """Return an object, verified against its id.

        Args:
            identity: 64 lower-case hexadecimal digits.
            size: how many bytes it must have; None where only `limit` is known.
            limit: how many it may have, in bytes; nothing larger is read into memory.

        Raises:
            ObjectNotYetHereError: it is not there.
            CorruptionError: what is there is something else.
        """

    @abstractmethod
    def put_objects(self, objects: Iterable[NewObject]) -> None:
        """Keep objects; all are durable on return. One that is there already is verified, and mended if bad."""

    @abstractmethod
    def objects(self) -> Iterator[tuple[str, int]]:
        """Yield each object's id and the bytes it takes up as stored."""

    @abstractmethod
    def ref_tokens(self) -> dict[str, Token]:
        """Return the token of every ref by its path, without reading any."""

    @abstractmethod
    def read_ref(self, key: RefKey) -> Snapshot:
        """Return a ref; of very many zeros at its end not all.

        Raises:
            KeyError: there is none under this key.
        """

    @abstractmethod
    def create_ref(self, key: RefKey, data: bytes) -> Token:
        """Keep a ref under a free key, atomically and durably.

        Raises:
            RefTakenError: the key is not free.
        """

    @abstractmethod
    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        """Add bytes at the end of a ref, durably, if it is still what `expected` came with.

        Raises:
            RefChangedError: it is not; whether `data` got into the ref is then told only by reading it, but by
                `RefRefusedError` that it did not.
        """

    @abstractmethod
    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        """Put other bytes in a ref's place, atomically and durably, if it is still what `expected` came with.

        Raises:
            RefChangedError: it is not; nothing was changed.
        """
