"""A list of messages as the store keeps it: reading any part of it, and making new lists that share its chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...backends.base import NewObject
from ...errors import CorruptionError, ObjectNotYetHereError
from ...format.chunks import LARGEST_RUN, Sizes, closes, holds_cut, size_of, split
from ...format.ids import Chain, ObjectId, chain_cut, chain_message, object_id
from ...format.records import Base, Tail
from ...format.tree import Entry, Prefix, Spine, append, chunks, encode_node, prefix
from .objects import Objects

_FLUSH_BYTES = 16 * 1024 * 1024


class MessageList:
    """Message lines in order: whole chunks in a tree, then perhaps a tail object, then inline lines.

    Neither the tail object nor inline lines without one hold a cut. Inline lines after a tail object may: they are cut
    when they have become many, so that a short fork need not write a chunk that repeats its tail.
    Positions count from the first message ever, hidden ones included.

    Args:
        lines: the inline ones; not to be changed any more.
    """

    __slots__ = ("_chained", "_held", "_inline", "_shared", "_tail_bytes", "base", "objects", "sizes")

    def __init__(self, objects: Objects, sizes: Sizes, base: Base, lines: list[bytes]) -> None:
        self.objects, self.sizes, self.base = objects, sizes, base
        # What was made of this list by `extended` has its own lines behind those of this one, in the same Python list.
        self._shared, self._inline = lines, len(lines)
        # A position after the base and the chain hash there: what was appended since is all that is left to hash.
        self._chained: tuple[int, Chain] | None = None
        self._tail_bytes = self._held = -1

    @property
    def lines(self) -> list[bytes]:
        """A copy of the inline ones."""
        return self._shared[: self._inline]

    @property
    def count(self) -> int:
        return self.base.messages + self._inline

    @property
    def tail_bytes(self) -> int:
        """Size of the messages after the chunks."""
        if self._tail_bytes < 0:
            self._tail_bytes = self.base_tail_bytes() + size_of(self.lines)
        return self._tail_bytes

    def base_tail_bytes(self) -> int:
        return self.base.tail.bytes if self.base.tail else 0

    def extended(self, lines: Sequence[bytes]) -> MessageList:
        """Return the list with more messages at its end; this one stays as it is."""
        shared, count = self._shared, self._inline
        shared.extend(lines)
        if len(shared) != count + len(lines):
            # Another list has gone on from this one before: what lies behind its lines is read by nobody.
            shared = [*shared[:count], *lines]
        longer = MessageList(self.objects, self.sizes, self.base, shared)
        longer._inline, longer._chained = count + len(lines), self._chained
        if self._tail_bytes >= 0:
            longer._tail_bytes = self._tail_bytes + size_of(lines)
        return longer

    def cut(self, position: int) -> MessageList:
        """Return the list up to a position that is not before the inline lines; this one stays as it is."""
        shorter = MessageList(self.objects, self.sizes, self.base, self._shared[: position - self.base.messages])
        if self._chained is not None and self._chained[0] <= position:
            shorter._chained = self._chained
        return shorter

    def _tail_lines(self) -> list[bytes]:
        tail = self.base.tail
        if tail is None:
            return []
        lines = self.objects.tail(tail)
        chain = self._chained_over(self.base.spine.end_chain(), lines)
        if chain != self.base.chain:
            # Another program may have purged something since.
            self.objects.purged.look(self.objects.backend)
            chain = self._chained_over(self.base.spine.end_chain(), lines)
        # Of a list that nobody knew when something was purged in it, the record does not tell the chain hashes.
        if chain != self.base.chain and tail.id not in self.objects.purged.objects:
            path = self.objects.backend.locate(tail.id)
            raise CorruptionError("the tail object does not fit its ref", path, expected=self.base.chain, actual=chain)
        return lines

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the message lines from position `start` up to `stop`, a chunk in memory at a time."""
        in_chunks = self.base.spine.messages
        for position, entry in chunks(self.base.spine, start, min(stop, in_chunks), self.objects.node):
            if entry.messages == 1:
                # Perhaps a very large one: not kept here while the caller works on it.
                yield self.objects.chunk(entry)[0]
                continue
            lines = self.objects.chunk(entry)
            if position < start or stop < position + entry.messages:
                lines = lines[max(start - position, 0) : stop - position]
            yield from lines
        if stop <= in_chunks or start >= stop:
            return
        if start < self.base.messages:
            yield from self._tail_lines()[max(start - in_chunks, 0) : stop - in_chunks]
        if stop > self.base.messages:
            first = self.base.messages
            yield from self._shared[max(start - first, 0) : min(stop - first, self._inline)]

    def told_apart(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield as `read` does, for comparing: of a very large message, which is a chunk of its own, only the id."""
        in_chunks = min(stop, self.base.spine.messages)
        for position, entry in chunks(self.base.spine, start, in_chunks, self.objects.node):
            if entry.bytes > LARGEST_RUN and entry.messages == 1:
                yield entry.id.encode()
            else:
                yield from self.objects.chunk(entry)[max(start - position, 0) : max(in_chunks - position, 0)]
        if stop > in_chunks:
            yield from self.read(max(start, in_chunks), stop)

    def weight(self, start: int, stop: int) -> int:
        """Return how many bytes the chunks have that `read` would go through, without reading one."""
        return sum(entry.bytes for _, entry in chunks(self.base.spine, start, stop, self.objects.node))

    def held(self) -> int:
        """Count the messages at the front that are still there: what only history needed may have expired.

        Raises:
            StoreError: a list node is missing or damaged, and did not expire.
        """
        if self._held < 0:
            self._held = self._count_held() if self.objects.has_let_go else self.count
        return self._held

    def _count_held(self) -> int:
        objects, spine, held = self.objects, self.base.spine, 0
        try:
            for position, entry in chunks(spine, 0, spine.messages, objects.node):
                if objects.is_gone(entry.id):
                    return position
                held = position + entry.messages
        except ObjectNotYetHereError as error:
            if objects.has_expired(error):
                return held
            raise
        return held if self.base.tail and objects.is_gone(self.base.tail.id) else self.count

    def secure(self) -> None:
        """Make sure that every object of the list is in the store and good, writing anew what is still in memory.

        Raises:
            StoreError: one is missing or damaged, and not in memory.
        """
        self.objects.heed_purges()
        self.objects.backend.put_objects(self._objects())
        self._tail_lines()

    def _objects(self) -> Iterator[NewObject]:
        pending = list(self.base.spine.entries())
        while pending:
            height, entry = pending.pop()
            if height:
                below = self.objects.node(entry)
                yield NewObject(entry.id, encode_node(below))
                pending += [(height - 1, each) for each in below]
            else:
                yield self.objects.new_chunk(self.objects.chunk(entry))

    def bytes_before(self, position: int) -> int:
        """Return the size of the messages before `position`."""
        if position >= self.base.messages:
            return self.base.bytes + size_of(self.lines[: position - self.base.messages])
        whole = prefix(self.base.spine, position, self.objects.node).spine
        return whole.bytes + size_of(list(self.read(whole.messages, position)))

    def chain_at(self, position: int) -> Chain:
        """Return the chain hash after `position` messages, which depends on nothing that follows them.

        Nor on where they stand: a cut counts where it is, made or not.
        """
        if position >= self.base.messages:
            known, chain = self._chained or (self.base.messages, self.base.chain)
            if known == position:
                return chain
            inline = self.lines[: position - self.base.messages]
            tail = self.base.tail
            if tail and holds_cut(inline, self.sizes, after=tail.bytes):
                chain = self.draft(position).chain()
            else:
                if known > position:
                    known, chain = self.base.messages, self.base.chain
                chain = self._chained_over(chain, inline[known - self.base.messages :])
            self._chained = (position, chain)
            return chain
        before = self.prefix(position)
        return self._chained_over(before.chain, self.read(before.spine.messages, position))

    def _chained_over(self, chain: Chain, lines: Iterable[bytes]) -> Chain:
        return chained_over(chain, lines, self.objects)

    def prefix(self, position: int) -> Prefix:
        """Split off the whole chunks before `position` whose end is settled by what is in them.

        A chunk that ends only because a large message follows is not a whole chunk of a list that ends
        there: more could be appended to it.
        """
        before = prefix(self.base.spine, position, self.objects.node)
        following = before.following
        if following and following.messages == 1 and following.bytes >= self.sizes.large and before.spine.messages:
            _, last = next(chunks(self.base.spine, before.spine.messages - 1, position, self.objects.node))
            alone = last.messages == 1 and last.bytes >= self.sizes.large
            if not alone and not closes(self.objects.chunk(last)[-1], last.bytes, self.sizes):
                return prefix(self.base.spine, before.spine.messages - 1, self.objects.node)
        return before

    def draft(self, position: int | None = None) -> Draft:
        """Return a draft that goes on after the first `position` messages (default: all); every cut in them is made."""
        position = self.count if position is None else position
        spine = self.base.spine
        if position < spine.messages:
            self.objects.heed_purges()
            spine = self.prefix(position).spine
        uncut = min(position, self.base.messages) if self.base.tail else position
        draft = Draft(self.objects, self.sizes, spine, self.read(spine.messages, uncut))
        draft.extend(self.read(uncut, position))
        return draft

    def in_objects(self, position: int | None = None) -> tuple[Base, list[NewObject]]:
        """Return the first `position` messages (default: all) with nothing inline, and the objects that this needs.

        No message is copied that stands in an object already; of an unfinished chunk, or of a tail object,
        the new base uses the first lines. Start and metadata of the base are as in this list.
        """
        position = self.count if position is None else position
        chain = self.chain_at(position)
        size = self.bytes_before(position)
        spine, tail = self.base.spine, self.base.tail
        new: list[NewObject] = []
        if position > self.base.messages:
            spine, tail, new = self.draft(position).in_objects()
        elif position < spine.messages:
            before = self.prefix(position)
            spine, source = before.spine, before.following
            tail = None
            if source and position > spine.messages:
                used = position - spine.messages
                tail = Tail(source.id, source.bytes, used, size - spine.bytes)
        elif position == spine.messages:
            tail = None
        elif tail:
            tail = Tail(tail.id, tail.size, position - spine.messages, size - spine.bytes)
        start = min(self.base.start, position)
        start_bytes = self.base.start_bytes if start == self.base.start else size
        return Base(position, size, chain, start, start_bytes, self.base.metadata, spine, tail), new


class Draft:
    """A message list in the making: cuts what is added into chunks and builds the tree over them.

    Args:
        spine, loose: what to continue; `loose` are the lines after the last cut.
    """

    def __init__(self, objects: Objects, sizes: Sizes, spine: Spine = Spine(), loose: Iterable[bytes] = ()) -> None:
        self.spine = spine
        self.loose = list(loose)
        self.objects = objects
        self.sizes = sizes
        self._chain = spine.end_chain()
        self._new: list[NewObject] = []
        self._new_bytes = 0

    def extend(self, lines: Iterable[bytes]) -> None:
        """Add messages at the end."""
        pending, self.loose = self.loose, []
        for run, closed in split(lines, self.sizes, pending=pending):
            if closed:
                made = self.objects.new_chunk(run)
                self._keep(made)
                self._append(Entry(ObjectId(made.id), len(run), len(made.data)))
                # Perhaps a very large message: what is written must not stay in memory until the next cut.
                del made, run
            else:
                self.loose = run

    def splice(self, old: MessageList, resume: int) -> None:
        """Add the messages of `old` from position `resume` on, taking its chunks over as soon as the cuts agree."""
        in_chunks = old.base.spine.messages
        for position, entry in chunks(old.base.spine, resume, in_chunks, self.objects.node):
            if position >= resume and not self.loose:
                self._append(entry)
            else:
                self.extend(self.objects.chunk(entry)[max(resume - position, 0) :])
        self.extend(old.read(max(resume, in_chunks), old.count))

    def finish(self) -> None:
        """Write what has not been written; durable on return."""
        self.objects.put(self._new)
        self._new, self._new_bytes = [], 0

    def in_objects(self) -> tuple[Spine, Tail | None, list[NewObject]]:
        """Return the tree, `loose` as a tail object, and the objects that have not been written for them."""
        if not self.loose:
            return self.spine, None, self._new
        made = self.objects.new_chunk(self.loose)
        tail = Tail(ObjectId(made.id), len(made.data), len(self.loose), len(made.data))
        return self.spine, tail, [*self._new, made]

    def base(self) -> Base:
        """Return the base of the chunks; `loose` comes after it."""
        return Base(self.spine.messages, self.spine.bytes, self._chain, spine=self.spine)

    def chain(self) -> Chain:
        """Return the chain hash after everything that was added."""
        return chained_over(self._chain, self.loose, self.objects)

    def shows_purged(self) -> bool:
        """Tell whether something was purged in `loose`, where it stands."""
        return goes_through_purged(self._chain, self.loose, self.objects)

    def _append(self, entry: Entry) -> None:
        self._chain = chain_cut(self._chain, entry.id)
        self.spine, nodes = append(self.spine, entry, self.sizes.fan_out, self._chain)
        for data in nodes:
            self._keep(NewObject(object_id(data), data))

    def _keep(self, new: NewObject) -> None:
        self._new.append(new)
        self._new_bytes += len(new.data)
        # A long import must not hold all its messages twice; an object that no ref names yet harms nobody.
        if self._new_bytes > _FLUSH_BYTES:
            self.finish()


def chained_over(chain: Chain, lines: Iterable[bytes], objects: Objects) -> Chain:
    """Extend a chain hash by messages; where something was purged in one, what it stands for counts."""
    for line in lines:
        chain = chain_message(chain, line)
        if objects.purged.chains:
            chain = objects.purged.chains.get(chain, chain)
    return chain


def goes_through_purged(chain: Chain, lines: Iterable[bytes], objects: Objects) -> bool:
    """Tell whether something was purged in one of these messages, which come after those of a chain hash."""
    known = objects.purged.chains
    if known:
        for line in lines:
            chain = chain_message(chain, line)
            if chain in known:
                return True
    return False
