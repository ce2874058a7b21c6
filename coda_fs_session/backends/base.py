"""What the engine asks of a place that keeps bytes: verbs that it must have, and hints that make them faster.

A backend is dumb: which bytes, and in which order, is the engine's business; making them durable before a verb returns
is the backend's. To write one, subclass `Backend` and write the dozen `Verbs`; `coda_fs_session.testing` has the tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from ..errors import CorruptionError, UnsupportedError
from .keys import END_BYTES as END_BYTES
from .keys import NO_TOKEN as NO_TOKEN
from .keys import Marker as Marker
from .keys import RefEnd as RefEnd
from .keys import RefFolders as RefFolders
from .keys import RefKey as RefKey
from .keys import Sign as Sign
from .keys import Token as Token
from .keys import folder_of as folder_of
from .lookups import Lookups
from .machine_state import MachineState as MachineState
from .record import Record as Record
from .record import replica_of as replica_of
from .verbs import OBJECT_LIMIT as OBJECT_LIMIT
from .verbs import REPLICA_FILE_LIMIT as REPLICA_FILE_LIMIT
from .verbs import Capabilities as Capabilities
from .verbs import NewObject as NewObject
from .verbs import Oddity as Oddity
from .verbs import Place as Place
from .verbs import PlannedError as PlannedError
from .verbs import RecordAheadError as RecordAheadError
from .verbs import RefChangedError as RefChangedError
from .verbs import RefRefusedError as RefRefusedError
from .verbs import RefTakenError as RefTakenError
from .verbs import RefWrite as RefWrite
from .verbs import Snapshot as Snapshot
from .verbs import StoredObject as StoredObject
from .verbs import Unfinished as Unfinished
from .verbs import Verbs as Verbs
from .verbs import mismatch as mismatch


class Backend(Lookups):
    """The verbs, and hints: what it says here is true of any backend that has the verbs, and slow for many refs."""

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

    def stored_objects(self) -> Iterator[StoredObject]:
        """Yield each place at which something of an object is kept, so some objects twice; none is read.

        The default knows one place of each.
        """
        for identity, size in self.objects():
            yield StoredObject(identity, self.locate(identity), size)

    def avoid(self, names: Callable[[], Container[str]]) -> None:
        """Let objects be in no file of these names from now on: what is kept gets another name.

        The default does nothing, for backends whose objects are no files that a tool may carry.

        Args:
            names: returns the paths below the store, as they are at that moment; it may raise StoreError.
        """

    def around_refs(self, naming: Callable[[Sequence[tuple[RefKey, bytes]]], AbstractContextManager[object]]) -> None:
        """Write whole refs within a block of `naming`, which gets them, as `avoid` needs it. The default does not."""

    def condemn_objects(self, identities: Iterable[str]) -> None:
        """Note of objects that they are to be removed; they are read as before, and `put_objects` takes the note away.

        Raises:
            UnsupportedError: this backend removes nothing, or goes by lists of files; see `avoid`.
        """
        raise UnsupportedError(f"{type(self).__name__} condemns no objects")

    def remove_object(self, stored: StoredObject) -> bool:
        """Remove what is kept of an object at one place, durably; False where nothing was removed.

        A backend that has `condemn_objects` removes only what is condemned.

        Raises:
            UnsupportedError: this backend removes nothing.
        """
        raise UnsupportedError(f"{type(self).__name__} removes no objects")

    def spare_copies(self, places: Sequence[StoredObject]) -> Sequence[StoredObject]:
        """Return which places of an object can go, since another one of them is good; they are read to tell.

        Args:
            places: of one object, as `stored_objects` yields them. The default knows one of each.
        """
        return ()

    def read_file(self, path: str) -> bytes:
        """Return what a file holds, by where it is, whatever it is: a ref, an object, or one that no store has.

        Raises:
            CorruptionError: it is no regular file.
            StoreError: there is none, or it is larger than an object may be.
            UnsupportedError: this backend keeps no files.
        """
        raise UnsupportedError(f"{type(self).__name__} keeps no files that could be read one by one")

    def remove_file(self, path: str, data: bytes) -> None:
        """Remove such a file durably, if it holds these bytes.

        Raises:
            StoreError: it holds others by now, and stays.
            UnsupportedError: this backend keeps no files.
        """
        raise UnsupportedError(f"{type(self).__name__} keeps no files that could be removed one by one")

    def unfinished(self) -> Iterator[Unfinished]:
        """Yield the files in the store that are written right now, or were when a program was killed.

        The default knows of none.
        """
        yield from ()

    def remove_unfinished(self, path: str) -> None:
        """Remove such a file; nothing where there is none. The default does nothing."""

    def oddities(self, *, full: bool) -> Iterator[Oddity]:
        """Yield what is wrong with how the store is kept, beside its refs and objects; nothing is changed.

        The default knows of nothing.

        Args:
            full: look also at what takes reading it.
        """
        yield from ()

    def misplaced_objects(self, wanted: Container[str]) -> Iterator[tuple[str, str, bytes]]:
        """Yield some objects that stand whole where no reader looks: id, place and bytes. The default knows none."""
        yield from ()

    def replica_files(self) -> Collection[str]:
        """Return the replicas that have a replica file, in which each says of itself what others must know.

        The default keeps no such files: in its stores nothing can be condemned, retired or purged.
        """
        return ()

    def read_replica_file(self, replica: str) -> bytes | None:
        """Return a replica file, or None where there is none.

        Raises:
            CorruptionError: what is there is no file that can be one.
        """
        return None

    def write_replica_file(self, replica: str, data: bytes) -> None:
        """Let a replica file be these bytes, atomically and durably.

        Raises:
            UnsupportedError: this backend keeps none.
        """
        raise UnsupportedError(f"{type(self).__name__} keeps no replica files")

    def address(self) -> str:
        """Return the path of `place`, where that takes no look at the store."""
        return self.place().path

    def look(self) -> tuple[dict[str, Token], dict[str, Sign | None]]:
        """Return the token of every ref by its path, and of every replica file what changes when it does.

        The default looks twice, and cannot tell whether a replica file was changed; override it where one look does.
        """
        return {key.path: token for key, token in self.refs()}, dict.fromkeys(self.replica_files())

    def discard_object(self, identity: str) -> None:
        """Remove an object for good, at every place where it is kept; nothing where it is not. Durable on return.

        Raises:
            UnsupportedError: this backend keeps no replica files, so no reader could be told.
        """
        raise UnsupportedError(f"{type(self).__name__} removes no objects")

    def scrub(self, holds: Callable[[bytes], bool]) -> list[str]:
        """Leave nothing behind of what was removed or written over, and return what is left that holds something.

        The default has nothing behind its refs and objects.

        Args:
            holds: tells whether bytes hold what must not stay.

        Returns:
            For people to read: where it is, and why it stays.
        """
        return []

    def ref_token(self, key: RefKey) -> Token | None:
        """Return the token of one ref, without reading it; None where there is none."""
        return self.ref_tokens().get(key.path)

    def refs(self) -> Iterator[tuple[RefKey, Token]]:
        """Yield every ref with its token, in no particular order, without reading any."""
        for path, token in self.ref_tokens().items():
            yield RefKey(path), token

    def ref_folders(self, known: Mapping[str, object], *, but: str | None = None) -> RefFolders:
        """Return which folders refs are in, and the identity of every ref in those that changed; see `Token.identity`.

        The default never knows that nothing was changed.

        Args:
            known: the states that the last call, perhaps of another process, returned; none at first. A folder may
                have None for its state there: what is in it is returned again.
            but: a replica. The states of such calls need not tell what this backend does to its refs, nor what
                programs that are not of this package do.

        Returns:
            In the folders that it tells no contents of, no ref was created, replaced or removed since `known` was
            returned, and folders that it tells no state of are gone. A ref that was replaced twice may have its first
            identity again.
        """
        return RefFolders.listed({path: token.identity for path, token in self.ref_tokens().items()}, None)

    def ref_tokens_in(self, folders: Collection[str]) -> dict[str, Token]:
        """Return the token of every ref right in one of these folders, by its path, without reading any."""
        return {path: token for path, token in self.ref_tokens().items() if folder_of(path) in folders}

    def ref_end(self, key: RefKey) -> RefEnd:
        """Return how a ref ends.

        Raises:
            KeyError: there is none under this key.
        """
        data = self.read_ref(key).data
        return RefEnd(len(data), data[-END_BYTES:])

    def begins_with(self, key: RefKey, front: bytes | bytearray) -> bool:
        """Tell whether a ref still begins with what `ref_after` is to be asked with, before others are kept waiting.

        The default leaves that to `ref_after`.
        """
        return True

    def ref_after(self, key: RefKey, known: Token, front: bytes | bytearray) -> Snapshot | None:
        """Return what was appended to a ref since it had a token, and was `front`; with the token that it has now.

        None where more than that may have happened to it. The default reads it all; where what was appended can be read
        alone, override it and `begins_with`, which was asked right before.
        """
        try:
            data, token = self.read_ref(key)
        except KeyError:
            return None
        return Snapshot(data[known.size :], token) if len(front) == known.size and data.startswith(front) else None

    def key_folders(self, folders: Sequence[str]) -> Sequence[str]:
        """Return in which folders, of those given, this backend keeps refs of a replica; a new one goes into the first.

        The default keeps all in one.

        Args:
            folders: those below the refs in which the refs of one key may be, outermost first.
        """
        return folders[:1]

    def has_refs(self, replica: str) -> bool:
        """Tell whether the store holds a ref of this replica."""
        return any(key.replica == replica for key, _ in self.refs())

    def replica_marker(
        self, replica: str, known: Marker | None = None, *, only: Collection[str] | None = None
    ) -> Marker | None:
        """Return numbers that change when one of a replica's refs comes, goes or is replaced, or all files are.

        None where the store holds no ref of this replica; empty where the backend cannot tell, or not yet. Of a folder
        of which it cannot tell yet, there are no numbers.

        Args:
            known: what it was once, when there were refs: where nothing changed, it takes less to find that out.
            only: folders of which it is asked now; of others the numbers may be those of `known`.
        """
        return {} if self.has_refs(replica) else None

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

    def write_refs(self, writes: Sequence[RefWrite]) -> list[Token]:
        """Create, append to and replace refs, each durably, and return their tokens.

        The default writes one after the other, so some may have been written where it raises; override it where the
        medium can write all or none, and say so in `Capabilities.together`.

        Raises:
            RefChangedError: one is not as expected, or its key is not free.
        """
        tokens: list[Token] = []
        for write in writes:
            if write.expected is None:
                try:
                    tokens.append(self.create_ref(write.key, write.data))
                except RefTakenError as error:
                    raise RefRefusedError(write.key) from error
            elif write.kept:
                tokens.append(self.append_ref(write.key, write.expected, write.data[write.kept :]))
            else:
                tokens.append(self.replace_ref(write.key, write.expected, write.data))
        return tokens

    def renew_token(self, key: RefKey, expected: Token) -> Token:
        """Give a ref another token and return it, so that others read the ref again before they write to it.

        The default does nothing, for backends that write all or none.

        Raises:
            RefChangedError: it is not as expected.
        """
        return expected

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

    def refs_at(self, path: str) -> Collection[RefKey] | None:
        """Return the refs that may be others after an event at a path below the watched folder; None for any."""
        return None

    def recover(self) -> None:
        """Give back whatever this thread still holds, such as a lock: a verb was interrupted where it could not."""

    def close(self) -> None:
        """Release what is held open; it may be used again afterwards."""
