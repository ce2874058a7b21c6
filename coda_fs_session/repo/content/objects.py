"""Objects as the engine knows them: chunks, list nodes, tails and commits, over a backend's plain bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress

from ...backends.base import OBJECT_LIMIT, Backend, NewObject
from ...errors import CorruptionError, ObjectNotYetHereError, StoreError, StoreFormatError
from ...format.chunks import LARGEST_RUN, join, size_of
from ...format.commits import Commit, decode_commit, encode_commit, skip_link
from ...format.ids import ObjectId, object_id
from ...format.records import CommitLink, Tail
from ...format.tree import Entry, decode_node, matches
from ...process.interrupts import Section
from .purged import Purged

_NODE_LIMIT = 64 * 1024
_COMMIT_BYTES = 16 * 1024 * 1024
"""What a commit may have besides what a session may."""
_CACHED_NODES = 512
_BYTES_A_MESSAGE = 16 * 1024
"""What a cached message may take up on average: so the option bounds the memory whatever the messages are."""


class Objects:
    """Reads and writes objects, and keeps recently read ones.

    Args:
        cached_messages: how many messages the cache of chunks may hold, over all sessions; and of large ones fewer,
            so that it never holds more than 16 KiB for each.
        compress_threshold: a chunk with a message line of this many bytes or more is marked as worth compressing.
        most_bytes: what a session may have; nothing that is much larger is read where nobody asked for it.

    Attributes:
        purged: what is known to be gone, and what stands for it.
        listed: tells of which objects files were ever let go, by their ids; see `heed_lists`.
    """

    def __init__(
        self, backend: Backend, *, cached_messages: int, compress_threshold: int, most_bytes: int = 2**62
    ) -> None:
        self.backend = backend
        self.purged = Purged()
        self.listed: Callable[[], frozenset[str]] = frozenset
        self._cached_messages = cached_messages
        self._compress_threshold = compress_threshold
        self._most_bytes = most_bytes
        self._chunks: OrderedDict[ObjectId, list[bytes]] = OrderedDict()
        self._chunk_messages = 0
        self._chunk_bytes = 0
        self._nodes: OrderedDict[ObjectId, list[Entry]] = OrderedDict()
        self._section = Section(self._clear)
        self._heeded = 0
        self._let_go: frozenset[str] = frozenset()

    def get(self, identity: ObjectId, *, size: int | None, limit: int) -> bytes:
        """Return the bytes of an object, or of what stands for it since something in it was purged.

        Raises: as `Backend.get_object`.
        """
        self.purged.look_once(self.backend)
        try:
            return self.backend.get_object(identity, size=size, limit=limit)
        except ObjectNotYetHereError as error:
            missing = error
        for read_again in (False, True):
            # What stands for it may be gone in turn, since another process has purged something else meanwhile.
            if read_again:
                self.purged.look(self.backend)
            # The nearest that is here: what came after it went with a session that did not know who needs it.
            for stand_in in self.purged.stand_ins(identity):
                with suppress(ObjectNotYetHereError):
                    return self.backend.get_object(stand_in, size=size, limit=limit)
        raise missing

    def chunk(self, entry: Entry) -> list[bytes]:
        """Return the message lines of a chunk, without newlines."""
        with self._section:
            if entry.id in self._chunks:
                self._chunks.move_to_end(entry.id)
                return self._chunks[entry.id]
        if entry.messages > 1:
            self._check_run(entry.id, entry.bytes)
        lines = self._lines(entry.id, entry.bytes)
        if len(lines) != entry.messages:
            raise self._bad(entry.id, f"{entry.messages} messages", len(lines))
        with self._section:
            if self._fits(len(lines), entry.bytes) and entry.id not in self._chunks:
                self._chunks[entry.id] = lines
                self._chunk_messages += len(lines)
                self._chunk_bytes += entry.bytes
                while not self._fits(self._chunk_messages, self._chunk_bytes):
                    _, oldest = self._chunks.popitem(last=False)
                    self._chunk_messages -= len(oldest)
                    self._chunk_bytes -= size_of(oldest)
        return lines

    def _fits(self, messages: int, size: int) -> bool:
        return messages <= self._cached_messages and size <= self._cached_messages * _BYTES_A_MESSAGE

    def tail(self, tail: Tail) -> list[bytes]:
        """Return the message lines of a tail object that are in use."""
        lines = self.whole_tail(tail)[: tail.messages]
        used = size_of(lines)
        if len(lines) != tail.messages or used != tail.bytes:
            raise self._bad(tail.id, f"{tail.messages} messages of {tail.bytes} bytes", f"{len(lines)} of {used} bytes")
        return lines

    def whole_tail(self, tail: Tail) -> list[bytes]:
        """Return all message lines of a tail object, of which a ref may use the first ones only."""
        self._check_run(tail.id, tail.size)
        return self._lines(tail.id, tail.size)

    def node(self, entry: Entry) -> list[Entry]:
        """Return the entries of a list node."""
        with self._section:
            if entry.id in self._nodes:
                self._nodes.move_to_end(entry.id)
                return self._nodes[entry.id]
        data = self.get(entry.id, size=None, limit=_NODE_LIMIT)
        try:
            entries = decode_node(data)
        except ValueError as error:
            raise self._bad(entry.id, "a list node", error) from error
        if not matches(entry, entries):
            raise self._bad(
                entry.id, f"{entry.messages} messages in {entry.bytes} bytes", "entries that add up to others"
            )
        with self._section:
            self._nodes[entry.id] = entries
            while len(self._nodes) > _CACHED_NODES:
                self._nodes.popitem(last=False)
        return entries

    def commit(self, link: CommitLink) -> Commit:
        """Return a commit.

        Raises:
            StoreError: it cannot be read, or claims to be larger than any session may be.
        """
        if link.size > self._most_bytes + _COMMIT_BYTES:
            raise StoreError(
                f"commit {link.id} claims to have {link.size} bytes, and sessions may have {self._most_bytes}: if that "
                "is right raise max_session_size (0 reads everything)"
            )
        data = self.get(link.id, size=link.size, limit=link.size)
        try:
            commit = decode_commit(data)
        except StoreFormatError as error:
            path = self.backend.locate(link.id)
            raise StoreFormatError(f"{path}: {error}", path) from error
        except ValueError as error:
            raise self._bad(link.id, "a commit", error) from error
        if commit.depth != link.depth:
            raise self._bad(link.id, f"a commit of depth {link.depth}", commit.depth)
        return commit

    def skip_for(self, previous: CommitLink | None) -> CommitLink | None:
        """Return the shortcut of a new commit that comes after `previous`."""
        if previous is None:
            return None
        before = self.commit(previous)
        return skip_link(previous, before, self.commit(before.skip) if before.skip else None)

    def new_chunk(self, lines: list[bytes]) -> NewObject:
        """Make the object of a run of messages; a tail object has the same form."""
        data = join(lines)
        large = max(map(len, lines)) + 1 >= self._compress_threshold
        return NewObject(object_id(data), data, compress=large)

    def copied(self, identity: str, data: bytes) -> NewObject:
        """Make an object of another store's verified bytes."""
        # Lists and commits are never kept compressed. Whether a message only looks like a commit does not matter.
        messages = data.startswith(b"{") and not data.startswith(b'{"coda_fs_session":')
        large = messages and len(data) >= self._compress_threshold
        return NewObject(identity, data, large and max(map(len, data.split(b"\n"))) + 1 >= self._compress_threshold)

    def new_commit(self, commit: Commit) -> tuple[NewObject, CommitLink]:
        data = encode_commit(commit)
        identity = object_id(data)
        return NewObject(identity, data), CommitLink(identity, len(data), commit.depth)

    def after_fork(self) -> None:
        """In a child of os.fork: another thread may have been at work here, and is gone."""
        self._section.after_fork()

    def recover(self) -> None:
        """Give back what an interrupted operation of this thread holds."""
        self._section.recover()

    def forget(self) -> None:
        """Keep nothing that was read: it may have been purged since."""
        with self._section:
            self._clear()

    def heed_purges(self) -> None:
        """Forget what was read if something was purged since: what is to be written may be made of it."""
        self.purged.look(self.backend)
        if len(self.purged.objects) != self._heeded:
            self.forget()
            self._heeded = len(self.purged.objects)

    def heed_lists(self, more: frozenset[str] = frozenset()) -> None:
        """Look at what was let go, as far as it is known by now, and `more` that another store tells of."""
        with suppress(StoreError):
            self._let_go = self.listed() | more

    @property
    def has_let_go(self) -> bool:
        """Whether anything was let go by what `heed_lists` has seen."""
        return bool(self._let_go)

    def has_expired(self, error: ObjectNotYetHereError) -> bool:
        """Tell whether what cannot be read was let go."""
        if error.object_id not in self._let_go:
            self.heed_lists(self._let_go)
        return error.object_id in self._let_go

    def is_let_go(self, identity: str) -> bool:
        """Tell whether an object is on a list that `heed_lists` has seen; it may have come back since."""
        return identity in self._let_go

    def is_gone(self, identity: ObjectId) -> bool:
        """Tell whether an object was let go, and is not here: it expired, and was not lost."""
        if identity not in self._let_go:
            return False
        try:
            self.get(identity, size=None, limit=OBJECT_LIMIT)
        except ObjectNotYetHereError:
            return True
        except StoreError:
            # It is here, and damaged.
            return False
        return False

    def _clear(self) -> None:
        self._chunks.clear()
        self._nodes.clear()
        self._chunk_messages = self._chunk_bytes = 0

    def put(self, objects: Sequence[NewObject]) -> None:
        """Write objects; durable on return."""
        if objects:
            self.backend.prepare()
            self.backend.put_objects(objects)

    def _check_run(self, identity: ObjectId, size: int) -> None:
        """Refuse an object of several messages that no writer makes: a small file may decompress to any size."""
        if size > LARGEST_RUN:
            raise self._bad(identity, f"{LARGEST_RUN} bytes at most where several messages are in it", f"{size} bytes")

    def _lines(self, identity: ObjectId, size: int) -> list[bytes]:
        lines = self.get(identity, size=size, limit=size).split(b"\n")
        if lines.pop():
            raise self._bad(identity, "a newline at the end", "none")
        return lines

    def _bad(self, identity: ObjectId, expected: object, actual: object) -> CorruptionError:
        path = self.backend.locate(identity)
        return CorruptionError(
            "the object does not hold what refers to it says", path, expected=expected, actual=actual
        )
