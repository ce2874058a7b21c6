"""The state of a session: what its ref file says, folded together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from ...backends.base import RefEnd, RefKey, Token
from ...errors import CorruptionError
from ...format.chunks import Sizes, size_of
from ...format.commits import TailEdit
from ...format.ids import Chain
from ...format.records import GenerationId, Metadata, Stamped
from ...format.refs import Header, Ref, Save, line_end
from .messages import MessageList
from .objects import Objects


class FrozenTail(NamedTuple):
    """What the lines after the base were at some moment, kept because an edit replaced some of them since."""

    lines: tuple[bytes, ...]
    metadata: Metadata
    updated: str
    line: str


class Attempt(NamedTuple):
    """A save of which it is not known whether it got into the store: it failed, or was interrupted.

    Attributes:
        lines: what the session had appended, none where it had changed something else.
        earlier: how many of them an earlier attempt had got in; at: how many messages the others came after.
        merged: among those they came after were some that the session did not know.
        metadata: what it set (JSON text) and removed (None); None where all metadata in the ref is the session's own.
    """

    lines: Sequence[bytes] = ()
    earlier: int = 0
    at: int = 0
    merged: bool = False
    metadata: Mapping[str, bytes | None] | None = None


Written: TypeAlias = tuple[Save, str, int, Token, bytes | None]
"""A save that is in the file, for the head that it was made on to take in: its line id, and the size, token and `seen`
of the head with it. A plain tuple, since every save makes one.
"""


@dataclass(slots=True, eq=False)
class Head:
    """The newest state of a session as one ref file has it.

    A head changes only through `fold` and `take`, when a save was read from the file or written to it.

    Attributes:
        key, token, size, line_ids: the file, as last seen.
        torn: bytes of a write that did not complete, at the end of the file.
        damage: set when the file is damaged after what is folded here.
        saves: what was folded onto the base, in order.
        seen: the bytes of the whole file, kept once another process was found to write to it too.
        attempted: saves that were begun, by the ids of their last lines: one that got through, though an error was
            reported or somebody interrupted it, is not to be made twice.
    """

    key: RefKey
    token: Token
    header: Header
    messages: MessageList
    metadata: dict[str, Stamped]
    updated: str
    size: int
    line_ids: list[str]
    torn: bytes = b""
    damage: CorruptionError | None = None
    saves: list[Save] = field(default_factory=list)
    seen: bytes | None = None
    attempted: dict[str, Attempt] = field(default_factory=dict)
    _tail_bytes: int = -1
    _chain: tuple[int, Chain] | None = None

    @classmethod
    def of(cls, key: RefKey, token: Token, ref: Ref, objects: Objects, sizes: Sizes) -> Head:
        """Fold a parsed ref."""
        header = ref.header
        messages = MessageList(objects, sizes, header.base, [])
        head = cls(key, token, header, messages, dict(header.base.metadata), header.updated, 0, [ref.line_ids[0]])
        for number, (save, line_id) in enumerate(zip(ref.saves, ref.line_ids[1:], strict=True)):
            try:
                head.fold(save, line_id)
            except ValueError as error:
                head.damage = CorruptionError(f"the ref is damaged: {error}", key.path, line=number + 2)
                break
        head.size = ref.size
        head.torn = ref.torn
        head.damage = head.damage or ref.damage
        return head

    def copy(self) -> Head:
        """Return a head that can be folded further without changing this one."""
        messages = self.messages
        return Head(
            self.key,
            self.token,
            self.header,
            MessageList(messages.objects, messages.sizes, messages.base, list(messages.lines)),
            dict(self.metadata),
            self.updated,
            self.size,
            list(self.line_ids),
            self.torn,
            self.damage,
            list(self.saves),
            self.seen,
            self.attempted,
            self._tail_bytes,
            self._chain,
        )

    def fold(self, save: Save, line_id: str) -> None:
        """Take in one save: all of it, or nothing where somebody interrupts this.

        Raises:
            ValueError: it replaces messages that are in objects already, or that there are none of.
        """
        messages = self.messages
        lines, metadata, updated = messages.lines, self.metadata, self.updated
        count, saves = len(lines), len(self.saves)
        if save.replace is not None:
            kept = save.replace - self.header.base.messages
            if not 0 <= kept <= count:
                raise ValueError(f"it replaces messages from {save.replace} on")
        try:
            if save.replace is not None:
                messages.drop_inline(kept)
                self._tail_bytes = -1
                self._chain = None
            if self._tail_bytes >= 0:
                self._tail_bytes += size_of(save.messages)
            messages.lines.extend(save.messages)
            if save.metadata:
                self.metadata = {**metadata, **save.metadata}
            self.updated = save.time
            self.saves.append(save)
            self.line_ids.append(line_id)
        except BaseException:
            messages.lines, self.metadata, self.updated = lines, metadata, updated
            del lines[count:], self.saves[saves:], self.line_ids[saves + 1 :]
            self._tail_bytes, self._chain, messages._chained = -1, None, None
            raise

    def take(self, written: Written) -> None:
        """Take in what was written on top of this head; may be called again after an interrupt."""
        save, line_id, size, token, seen = written
        if self.line_ids[-1] != line_id:
            self.fold(save, line_id)
        self.size, self.token, self.seen = size, token, seen

    def tail(self) -> FrozenTail:
        """Return what comes after the base now."""
        return FrozenTail(tuple(self.messages.lines), dict(self.metadata), self.updated, self.last_id)

    def tails_around_edits(self) -> Iterator[FrozenTail]:
        """Yield what came after the base before each save that replaced messages, and after the last of those."""
        lines: list[bytes] = []
        metadata, updated = dict(self.header.base.metadata), self.header.updated
        pending = False
        for save, line_id in zip(self.saves, self.line_ids[1:], strict=True):
            if save.replace is not None:
                yield FrozenTail(tuple(lines), dict(metadata), updated, save.previous)
                del lines[save.replace - self.header.base.messages :]
            lines.extend(save.messages)
            metadata.update(save.metadata)
            updated = save.time
            if save.replace is not None:
                after = FrozenTail(tuple(lines), dict(metadata), updated, line_id)
                pending = True
        if pending:
            yield after

    def tail_edits(self) -> list[TailEdit]:
        """Return how the saves replaced messages, oldest first."""
        base = self.header.base
        messages = MessageList(self.messages.objects, self.messages.sizes, base, [])
        edits = []
        if any(save.replace is not None for save in self.saves):
            for save in self.saves:
                if save.replace is not None:
                    replaced = range(save.replace + 1, messages.count + 1)
                    chains = tuple(map(messages.chain_at, replaced))
                    edits.append(TailEdit(save.replace, save.replace + len(save.messages), chains))
                    messages.drop_inline(save.replace - base.messages)
                messages.lines.extend(save.messages)
        return edits

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def generation_id(self) -> GenerationId:
        return self.header.generation_id

    @property
    def deleted(self) -> bool:
        return self.header.deleted

    @property
    def last_id(self) -> str:
        return self.line_ids[-1]

    def ends_as(self, end: RefEnd) -> bool:
        """Tell whether a ref, or what is recorded of one, ends as this head does."""
        return end.size == self.size and end.end.endswith(line_end(self.last_id))

    @property
    def count(self) -> int:
        """Messages in the list, hidden ones included."""
        return self.messages.count

    @property
    def start(self) -> int:
        return self.header.base.start

    @property
    def live_count(self) -> int:
        return self.count - self.start

    @property
    def live_bytes(self) -> int:
        base = self.header.base
        return base.bytes - self._base_tail_bytes() + self.tail_bytes - base.start_bytes

    def _base_tail_bytes(self) -> int:
        tail = self.header.base.tail
        return tail.bytes if tail else 0

    @property
    def tail_bytes(self) -> int:
        """Size of the messages after the chunks."""
        if self._tail_bytes < 0:
            self._tail_bytes = self._base_tail_bytes() + size_of(self.messages.lines)
        return self._tail_bytes

    @property
    def chain(self) -> Chain:
        """The chain hash at the end; computed when asked for, since a plain save does not need it."""
        if self._chain is None or self._chain[0] != self.count:
            self._chain = (self.count, self.messages.chain_at(self.count))
        return self._chain[1]

    def values(self) -> Mapping[str, bytes]:
        """Return the metadata without stamps and removed keys."""
        return {key: item.value for key, item in self.metadata.items() if item.value is not None}

    def frozen(self, tail: FrozenTail) -> MessageList:
        """Return the message list as it was with another tail."""
        return MessageList(self.messages.objects, self.messages.sizes, self.header.base, list(tail.lines))
