"""What the engine asks of a place that keeps bytes: two small interfaces and their keys.

Objects are write-once and named by the sha256 of their bytes; refs are the only mutable thing and change
by compare-and-append and compare-and-replace. A backend is dumb: which bytes, and in which order, is the
engine's business; making them durable before a verb returns is the backend's.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from ..errors import CorruptionError
from ..process.uncopied import Uncopied
from .keys import END_BYTES as END_BYTES
from .keys import NO_TOKEN as NO_TOKEN
from .keys import RefEnd as RefEnd
from .keys import RefKey as RefKey
from .keys import Sign as Sign
from .keys import Token as Token
from .record import Record as Record
from .record import replica_of as replica_of

OBJECT_LIMIT = 2**31
"""Bytes that no object passes."""


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
    """

    persistent: bool
    shared: bool
    whole: bool = False


class RefChangedError(Exception):
    """The ref is no longer what the caller last saw: read it again, decide again, try again."""


class RecordAheadError(RefChangedError):
    """This machine has a record that differs from the ref, or is of refs that are gone: see `repo.put_back` before
    writing.
    """


class RefTakenError(Exception):
    """A ref is already kept under this key."""


class Backend(Uncopied, ABC):
    """Bytes under keys.

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

    def object_pieces(self, identity: str) -> Iterator[bytes]:
        """Yield the bytes of an object of any size, some at a time; they are verified once the last was yielded.

        The default reads it whole; override it where large ones can be read with less memory than they have bytes.

        Raises:
            ObjectNotYetHereError: it is not there.
            CorruptionError: what is there is something else, as also what was yielded before.
        """
        yield self.get_object(identity, size=None, limit=OBJECT_LIMIT)

    def put_large_object(self, identity: str, size: int, pieces: Iterable[bytes], *, compress: bool) -> None:
        """Keep one object, durable on return, in place of what may be there; nothing where `pieces` are another one.

        The default holds it whole; override it where that takes less memory than the object has bytes.

        Raises:
            CorruptionError: `pieces` are not the object of this id; or what they raise.
        """
        data = b"".join(pieces)
        if wrong := mismatch(identity, data, size=size, limit=size):
            expected, actual = wrong
            raise CorruptionError(f"object {identity} changed while it was copied", expected=expected, actual=actual)
        self.put_objects([NewObject(identity, data, compress)])

    @abstractmethod
    def put_objects(self, objects: Iterable[NewObject]) -> None:
        """Keep objects; all are durable on return. One that is there already is verified, and mended if bad."""

    @abstractmethod
    def objects(self) -> Iterator[tuple[str, int]]:
        """Yield each object's id and the bytes it takes up as stored."""

    def object_groups(self) -> Iterator[tuple[str, Sign]]:
        """Yield the first two digits of the ids that there are, with what changes when one comes or goes.

        The default lists every object; override it where that can be told without.
        """
        groups: dict[str, list[str]] = {}
        for identity, _ in self.objects():
            groups.setdefault(identity[:2], []).append(identity)
        for group, found in groups.items():
            digest = hashlib.sha256("".join(sorted(found)).encode()).digest()
            yield group, Sign((len(found), int.from_bytes(digest[:7])))

    def object_ids(self, group: str) -> Iterator[str]:
        """Yield the id of each object that begins with these two digits."""
        for identity, _ in self.objects():
            if identity.startswith(group):
                yield identity

    @abstractmethod
    def ref_tokens(self) -> dict[str, Token]:
        """Return the token of every ref by its path, without reading any."""

    def ref_token(self, key: RefKey) -> Token | None:
        """Return the token of one ref, without reading it; None where there is none."""
        return self.ref_tokens().get(key.path)

    def refs(self) -> Iterator[tuple[RefKey, Token]]:
        """Yield every ref with its token, in no particular order, without reading any."""
        for path, token in self.ref_tokens().items():
            yield RefKey(path), token

    @abstractmethod
    def ref_identities(self, marker: object, *, but: str | None = None) -> tuple[object, dict[str, int] | None]:
        """Return the identity of every ref by path; see `Token.identity`.

        Args:
            marker: what the last call, perhaps of another process, returned with its identities; None at first.
            but: a replica. The markers of such calls need not tell what this backend does to its refs, nor what
                programs that are not of this package do.

        Returns:
            A marker for the next call, which can be kept as JSON, and the identities; None in their place where no
            ref was created, replaced or removed since `marker` was made. A ref that was replaced twice may have its
            first identity again.
        """

    @abstractmethod
    def ref_sizes(self) -> Iterator[int]:
        """Yield the bytes that each ref takes up as stored."""

    @abstractmethod
    def read_ref(self, key: RefKey) -> Snapshot:
        """Return a ref; of very many zeros at its end not all.

        Raises:
            KeyError: there is none under this key.
        """

    def ref_end(self, key: RefKey) -> RefEnd:
        """Return how a ref ends.

        Raises:
            KeyError: there is none under this key.
        """
        data = self.read_ref(key).data
        return RefEnd(len(data), data[-END_BYTES:])

    def replica_marker(self, replica: str, known: list[int] | None = None) -> list[int] | None:
        """Return numbers that change when one of a replica's refs comes, goes or is replaced, or all files are.

        None where the store holds no ref of this replica; empty where the backend cannot tell, or not yet.

        Args:
            known: what it was once, when there were refs: where nothing changed, it takes less to find that out.
        """
        return [] if any(key.replica == replica for key, _ in self.refs()) else None

    @abstractmethod
    def create_ref(self, key: RefKey, data: bytes) -> Token:
        """Keep a ref under a free key, atomically and durably.

        Raises:
            RefTakenError: the key is not free.
        """

    def create_refs(self, refs: Sequence[tuple[RefKey, bytes]]) -> list[Token | None]:
        """Keep many refs, each as `create_ref` does; None stands for a key that was not free.

        Where it raises, some may have been kept. The default keeps one after the other; override it where many
        can be made durable together.
        """
        tokens: list[Token | None] = []
        for key, data in refs:
            try:
                tokens.append(self.create_ref(key, data))
            except RefTakenError:
                tokens.append(None)
        return tokens

    @abstractmethod
    def append_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        """Add bytes at the end of a ref, durably, if it is still what `expected` came with.

        Raises:
            RefChangedError: it is not; whether `data` got into the ref is then told only by reading it.
        """

    @abstractmethod
    def replace_ref(self, key: RefKey, expected: Token, data: bytes) -> Token:
        """Put other bytes in a ref's place, atomically and durably, if it is still what `expected` came with.

        Raises:
            RefChangedError: it is not; nothing was changed.
        """

    def hold(self, key: RefKey) -> AbstractContextManager[None]:
        """Keep other writers of this ref waiting, if the backend can, until the block or an append in it ends.

        Only an aid to fairness: it makes `RefChangedError` rare between reading and writing. Correctness
        rests on the tokens alone, so the default does nothing.
        """
        return nullcontext()

    def together(self) -> AbstractContextManager[None]:
        """Let objects put in the block become durable with the first ref that is written in it, where the backend can.

        Others who write may have to wait until then, so the block does nothing else. The default does nothing.
        """
        return nullcontext()

    def watched_folder(self) -> str | None:
        """Return the folder whose file-system events tell that something changed; None where only looking tells."""
        return None

    def recover(self) -> None:
        """Give back whatever this thread still holds, such as a lock: a verb was interrupted where it could not."""

    def close(self) -> None:
        """Release what is held open; the backend may be used again afterwards."""


class MachineState(Uncopied, ABC):
    """What belongs to this machine and is never synced: the replica's id, name locks, the index, the record.

    Losing any of it loses no message.
    """

    record: Record = Record()

    @abstractmethod
    def replica(self, known: Iterable[str]) -> str | None:
        """Return this replica's id, or None where none was chosen that the store knows.

        Args:
            known: ids of the replicas that have refs in the store. A store that does not know our id is
                another store, which has come to stand at the same place.
        """

    @abstractmethod
    def choose_replica(self) -> str:
        """Choose an id that no other replica has, and keep it."""

    @abstractmethod
    def lock(self, key: str) -> AbstractContextManager[object]:
        """Exclude other threads and processes of this machine from creating or replacing under a file key."""

    def recover(self) -> None:
        """Give back whatever this thread still holds, as `Backend.recover`."""

    @abstractmethod
    def load_index(self) -> bytes | None:
        """Return the index as last kept, or None."""

    @abstractmethod
    def keep_index(self, data: bytes) -> None:
        """Keep the index for the next process; failing to is not an error."""

    @abstractmethod
    def set_aside(self, key: str, data: bytes) -> None:
        """Keep the bytes of a torn write for a person to look at; failing to is not an error."""

    def recall(self, topic: str) -> bytes | None:
        """Return what `remember` was last given for a topic, or None; the default forgets everything."""
        return None

    def remember(self, topic: str, data: bytes) -> None:
        """Keep something that saves work next time, and that costs nothing to lose; failing to is not an error."""
