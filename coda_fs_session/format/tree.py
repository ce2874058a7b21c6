"""The list tree: which chunks, in order, make up a list of messages (FORMAT.md, "The list tree").

A right spine as in a skew list or a B-tree built by appending: level 0 holds up to `fan_out - 1` chunk
entries; a full run of `fan_out` becomes a list-node object and one entry of the level above. What the tree
looks like depends only on the sequence of chunks, so equal histories have equal nodes.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat
from operator import itemgetter, le
from typing import Any, NamedTuple

import orjson

from .ids import CHAIN_START, Chain, ObjectId, are_hex64, chain_cut, is_hex64, object_id


class Entry(NamedTuple):
    """A chunk, or a list node with all that is below it.

    Attributes:
        id: the object.
        messages: how many messages it holds.
        bytes: their size as message lines with newlines; for a chunk this is the size of the object.
        chain: for a node, the chain hash at its end; None for a chunk, whose chain hash follows from its id.
    """

    id: ObjectId
    messages: int
    bytes: int
    chain: Chain | None = None

    def to_json(self) -> list[object]:
        plain: list[object] = [self.id, self.messages, self.bytes]
        return plain if self.chain is None else [*plain, self.chain]

    @classmethod
    def from_json(cls, value: Any) -> "Entry":
        """Raises ValueError when `value` is no entry."""
        if not isinstance(value, list) or len(value) not in (3, 4) or not is_hex64(value[0]):
            raise ValueError("a list entry must be [id, messages, bytes] or [id, messages, bytes, chain]")
        messages, size = value[1:3]
        if type(messages) is not int or type(size) is not int or messages < 1 or size < messages:
            raise ValueError("a list entry has impossible counts")
        if len(value) == 4 and not is_hex64(value[3]):
            raise ValueError("a list entry has no chain hash where one belongs")
        return cls(*value)


Fetch = Callable[[Entry], list[Entry]]
"""Reads the entries of a list node."""


class Spine(NamedTuple):
    """The inline part of a list tree: `levels[0]` are chunks, `levels[n]` nodes of height n; oldest at the top."""

    levels: tuple[tuple[Entry, ...], ...] = ()

    @property
    def messages(self) -> int:
        return sum(map(_messages_in, self.levels))

    @property
    def bytes(self) -> int:
        return sum(map(_bytes_in, self.levels))

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield each entry with its height, in the order of the messages."""
        for height in reversed(range(len(self.levels))):
            for entry in self.levels[height]:
                yield height, entry

    def end_chain(self) -> Chain:
        """Return the chain hash at the end of the spine."""
        # A node has the chain hash at its end, whatever came before it.
        chain = next((level[-1].chain for level in self.levels[1:] if level), None) or CHAIN_START
        for chunk in self.levels[0] if self.levels else ():
            chain = chain_cut(chain, chunk.id)
        return chain

    def to_json(self) -> list[list[list[object]]]:
        return [[entry.to_json() for entry in level] for level in self.levels]

    @classmethod
    def from_json(cls, value: Any) -> "Spine":
        """Raises ValueError when `value` is no spine."""
        if not isinstance(value, list) or not all(isinstance(level, list) for level in value):
            raise ValueError("a spine must be a list of levels")
        levels = tuple(tuple(_entries(level)) for level in value)
        for height, level in enumerate(value):
            # Checked by now: what is one longer has a chain hash.
            if level and set(map(len, level)) != {3 if height == 0 else 4}:
                raise ValueError("a spine has a node among the chunks or a chunk among the nodes")
        return cls(levels)


def _messages_in(entries: Iterable[Entry]) -> int:
    return sum(map(_MESSAGES, entries))


def _bytes_in(entries: Iterable[Entry]) -> int:
    return sum(map(_BYTES, entries))


_MESSAGES, _BYTES = (itemgetter(Entry._fields.index(field)) for field in ("messages", "bytes"))


def _entries(values: list[Any]) -> Iterable[Entry]:
    """Do what `Entry.from_json` does for each, but all at once: to open a long session is mostly this."""
    if set(map(type, values)) != {list} or len(lengths := set(map(len, values))) != 1 or not lengths <= {3, 4}:
        return [Entry.from_json(value) for value in values]
    ids, messages, sizes, *more = zip(*values, strict=True)
    chains = more[0] if more else ()
    if not (
        are_hex64(ids + chains)
        and {*map(type, messages), *map(type, sizes)} == {int}
        and min(messages) >= 1
        and all(map(le, messages, sizes))
    ):
        # One after the other, to say what is wrong.
        return [Entry.from_json(value) for value in values]
    return map(_make_entry, zip(ids, messages, sizes, chains or repeat(None), strict=False))


_make_entry: Callable[[tuple[Any, ...]], Entry] = partial(tuple.__new__, Entry)
"""What `Entry` does with four fields, without a call of Python code for each entry."""


def encode_node(entries: Iterable[Entry]) -> bytes:
    """Return the bytes of a list-node object: one entry a line."""
    return b"".join(orjson.dumps(entry.to_json()) + b"\n" for entry in entries)


def decode_node(data: bytes) -> list[Entry]:
    """Raises ValueError when `data` is no list node."""
    return list(_entries([orjson.loads(line) for line in data.splitlines()]))


def append(spine: Spine, chunk: Entry, fan_out: int, chain: Chain) -> tuple[Spine, list[bytes]]:
    """Add a chunk at the end.

    Args:
        chain: the chain hash at the end of the chunk.

    Returns:
        The new spine, and the list nodes that must be stored before it is named.
    """
    levels = list(spine.levels)
    nodes: list[bytes] = []
    entry, height = chunk, 0
    while True:
        level = (*levels[height], entry) if height < len(levels) else (entry,)
        if len(level) < fan_out:
            levels[height : height + 1] = [level]
            return Spine(tuple(levels)), nodes
        data = encode_node(level)
        nodes.append(data)
        levels[height : height + 1] = [()]
        entry = Entry(object_id(data), _messages_in(level), _bytes_in(level), chain)
        height += 1


class Prefix(NamedTuple):
    """The whole chunks up to a position.

    Attributes:
        spine: the list tree of the chunks that end at or before the position.
        chain: the chain hash at its end.
        following: the chunk after them, or None at the end of the tree.
    """

    spine: Spine
    chain: Chain
    following: Entry | None


def prefix(spine: Spine, position: int, fetch: Fetch) -> Prefix:
    """Split a tree after the last whole chunk that ends at or before `position` messages; O(log n) reads."""
    levels: list[tuple[Entry, ...]] = [()] * len(spine.levels)
    count, chain = 0, CHAIN_START
    pending = list(spine.entries())
    while pending:
        height, entry = pending.pop(0)
        if count + entry.messages <= position:
            levels[height] = (*levels[height], entry)
            count += entry.messages
            chain = entry.chain or chain_cut(chain, entry.id)
        elif height == 0:
            return Prefix(_trim(levels), chain, entry)
        else:
            pending = [(height - 1, below) for below in fetch(entry)]
    return Prefix(_trim(levels), chain, None)


def _trim(levels: list[tuple[Entry, ...]]) -> Spine:
    while levels and not levels[-1]:
        levels.pop()
    return Spine(tuple(levels))


def chunks(spine: Spine, start: int, stop: int, fetch: Fetch) -> Iterator[tuple[int, Entry]]:
    """Yield the chunks that hold any of the messages `start` to `stop` (exclusive), each with its first position."""
    position = 0
    levels = list(spine.levels)
    while levels and (below := position + _messages_in(levels[-1])) <= start:
        # What is asked for is mostly the end.
        levels.pop()
        position = below
    pending = list(Spine(tuple(levels)).entries())
    while pending and position < stop:
        height, entry = pending.pop(0)
        if position + entry.messages <= start:
            position += entry.messages
        elif height:
            pending[:0] = [(height - 1, below) for below in fetch(entry)]
        else:
            yield position, entry
            position += entry.messages


def matches(node: Entry, entries: list[Entry]) -> bool:
    """Tell whether `entries`, read from a node, add up to what its entry says."""
    return (node.messages, node.bytes) == (_messages_in(entries), _bytes_in(entries))


def common_messages(one: Spine, other: Spine, fetch_one: Fetch, fetch_other: Fetch) -> int:
    """Count the messages in the chunks with which both trees begin; O(log n) reads."""
    left, right = list(one.entries())[::-1], list(other.entries())[::-1]
    common = 0
    while left and right:
        (height, entry), (height_there, entry_there) = left[-1], right[-1]
        if entry.id == entry_there.id:
            common += entry.messages
            left.pop()
            right.pop()
        elif height == height_there == 0:
            break
        else:
            if height >= height_there:
                left.pop()
                left += [(height - 1, below) for below in reversed(fetch_one(entry))]
            if height_there >= height:
                right.pop()
                right += [(height_there - 1, below) for below in reversed(fetch_other(entry_there))]
    return common
