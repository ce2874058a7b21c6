"""The state of a session: what its ref file says, folded together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from ...backends.base import NO_TOKEN, RefEnd, RefKey, Token
from ...errors import CorruptionError
from ...format.chunks import Sizes
from ...format.commits import Commit
from ...format.edits import TailEdit
from ...format.generations import GenerationId
from ...format.ids import Chain
from ...format.marks import Mark
from ...format.records import CommitLink, Metadata, Stamped, Tags
from ...format.refs import Header, Ref, Save, line_end
from ...format.revisions import revision_of
from .messages import MessageList
from .objects import Objects


class PastTail(NamedTuple):
    """What the lines after the base were at some moment, kept because an edit replaced some of them since."""

    lines: tuple[bytes, ...]
    metadata: Metadata
    updated: str
    line: str
    tags: Tags
    marks: tuple[Mark, ...]


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


class _BadSaveError(ValueError):
    def __init__(self, number: int, position: int) -> None:
        super().__init__(f"it replaces messages from {position} on")
        self.number = number


@dataclass(slots=True, eq=False)
class State:
    """The value of a ref: the state of a session as one ref file has it. It never changes.

    The type checker sees to that: a frozen dataclass is made five times as slowly, and every save makes one.

    Attributes:
        key, token, size, last_id: the file, as it was read or written.
        save_count: how many saves were folded onto the base.
        torn: bytes of a write that did not complete, at the end of the file.
        damage: set when the file is damaged after what is folded here.
    """

    key: Final[RefKey]
    token: Final[Token]
    header: Final[Header]
    messages: Final[MessageList]
    metadata: Final[Metadata]
    updated: Final[str]
    size: Final[int]
    last_id: Final[str]
    # What was made of this state has its own saves behind those of this one, in the same Python list.
    _shared: Final[list[Save]]
    save_count: Final[int]
    tags: Final[Tags]
    torn: Final[bytes] = b""
    damage: Final[CorruptionError | None] = None
    _revision: str = field(default="", init=False)  # worked out when it is asked for

    @classmethod
    def of(cls, key: RefKey, token: Token, ref: Ref, objects: Objects, sizes: Sizes) -> State:
        """Fold a parsed ref."""
        base, saves, damage = ref.header.base, ref.saves, ref.damage
        none = MessageList(objects, sizes, base, [])
        first = cls(
            key, token, ref.header, none, base.metadata, ref.header.updated, 0, ref.line_ids[0], [], 0, base.tags
        )
        try:
            state = first.after(saves, ref.last_id, ref.size, token)
        except _BadSaveError as error:
            damage = CorruptionError(f"the ref is damaged: {error}", key.path, line=error.number + 2)
            saves = saves[: error.number]
            state = first.after(saves, ref.line_ids[len(saves)], ref.size, token)
        return replace(state, torn=ref.torn, damage=damage) if ref.torn or damage else state

    def at_commit(self, link: CommitLink, commit: Commit) -> State:
        """Return the state that a commit behind this one has frozen, as a ref would have it that begins with it."""
        former = self.header.former_names
        if commit.name != self.name:
            former = former[: former.index(commit.name)] if commit.name in former else ()
        header = replace(
            self.header,
            name=commit.name,
            former_names=former,
            updated=commit.updated,
            base=commit.base,
            generation=commit.generation,
            # Which has its edits of the tail.
            commit=link,
            marks=commit.marks,
        )
        ref = Ref(header, (), (commit.line,), 0)
        return State.of(self.key, NO_TOKEN, ref, self.messages.objects, self.messages.sizes)

    def without_purged(self) -> State:
        """Return the state without what was purged in its lines and metadata since it was read, as far as is known."""
        old, purged = self.messages, self.messages.objects.purged
        messages = MessageList(old.objects, old.sizes, old.base, purged.masked(old.lines))
        metadata = {
            key: item if item.value is None else item._replace(value=purged.masked([item.value])[0])
            for key, item in self.metadata.items()
        }
        return replace(self, messages=messages, metadata=metadata)

    def after(self, saves: Sequence[Save], last_id: str, size: int, token: Token) -> State:
        """Return the state that more saves lead to.

        Args:
            last_id: of the last of them; size, token: of the file with them.

        Raises:
            ValueError: one replaces messages that are in objects already, or that there are none of.
        """
        metadata, updated, tags = self.metadata, self.updated, self.tags
        changes: dict[str, Stamped] = {}
        for save in saves:
            if save.metadata:
                changes.update(save.metadata)
            if save.tags:
                tags = {**tags, **save.tags}
            if not save.only_tags:
                updated = save.time
        if changes:
            metadata = {**metadata, **changes}
        messages = self._messages_after(saves)
        shared, count = self._shared, self.save_count + len(saves)
        shared.extend(saves)
        if len(shared) != count:
            # Another state has gone on from this one before: what lies behind its saves is read by nobody.
            shared = [*shared[: self.save_count], *saves]
        return State(self.key, token, self.header, messages, metadata, updated, size, last_id, shared, count, tags)

    def _messages_after(self, saves: Sequence[Save]) -> MessageList:
        before, base = self.messages, self.header.base
        if all(save.replace is None for save in saves):
            return before.extended([line for save in saves for line in save.messages])
        lines = before.lines
        for number, save in enumerate(saves):
            if save.replace is not None:
                kept = save.replace - base.messages
                if not 0 <= kept <= len(lines):
                    raise _BadSaveError(number, save.replace)
                del lines[kept:]
            lines.extend(save.messages)
        return MessageList(before.objects, before.sizes, base, lines)

    def appended(self, save: Save, line_id: str, size: int, token: Token) -> State:
        """Return as `after`, for one save that replaces nothing and no metadata: nearly all are that."""
        messages = self.messages.extended(save.messages)
        shared, count = self._shared, self.save_count + 1
        shared.append(save)
        if len(shared) != count:
            shared = [*shared[: count - 1], save]
        return State(
            self.key, token, self.header, messages, self.metadata, save.time, size, line_id, shared, count, self.tags
        )

    @property
    def saves(self) -> list[Save]:
        """What was folded onto the base, in order."""
        return self._shared[: self.save_count]

    @property
    def line_ids(self) -> list[str]:
        """The ids of all lines of the file, in order."""
        return [*(save.previous for save in self.saves), self.last_id]

    def has_last_of(self, older: State) -> bool:
        """Tell whether the last line of another state is in the file."""
        line, place = older.last_id, older.save_count
        if place < self.save_count and self._shared[place].previous == line:
            # Where it stood, as nearly always.
            return True
        return line == self.last_id or any(save.previous == line for save in self.saves)

    def tail(self) -> PastTail:
        """Return what comes after the base now."""
        lines, marks = tuple(self.messages.lines), tuple(self.marks())
        return PastTail(lines, dict(self.metadata), self.updated, self.last_id, self.tags, marks)

    def marks(self, saves: int | None = None) -> list[Mark]:
        """Return when the messages came that stand since the last step, as far as it is known; by `saves` lines."""
        marks, count = self._first_marks(), self.header.base.messages
        for save in self.saves if saves is None else self._shared[:saves]:
            count = _go_on(marks, count, save)
        if saves is None or saves >= self.save_count:
            # The header has that of the first save too, also where a tool cut the file off after it.
            marks = [mark for mark in marks if mark.messages <= count] or [marks[0]._replace(messages=count)]
        return marks

    def marks_before_edits(self) -> Iterator[tuple[Mark, ...]]:
        """Yield the marks right before each save that replaced messages: there may be thousands of those."""
        marks, count = self._first_marks(), self.header.base.messages
        for save in self.saves:
            if save.replace is not None:
                yield tuple(marks)
            count = _go_on(marks, count, save)

    def _first_marks(self) -> list[Mark]:
        return list(self.header.marks) or _unmarked(self.header)

    def tails_around_edits(self) -> Iterator[PastTail]:
        """Yield what came after the base before each save that replaced messages, and after the last of those."""
        lines: list[bytes] = []
        metadata, updated, tags = dict(self.header.base.metadata), self.header.updated, dict(self.header.base.tags)
        pending, marks_before = False, self.marks_before_edits()
        for save, line_id in zip(self.saves, self.line_ids[1:], strict=True):
            if save.replace is not None:
                marks = next(marks_before)
                yield PastTail(tuple(lines), dict(metadata), updated, save.previous, dict(tags), marks)
                del lines[save.replace - self.header.base.messages :]
            lines.extend(save.messages)
            metadata.update(save.metadata)
            tags.update(save.tags)
            updated = updated if save.only_tags else save.time
            if save.replace is not None:
                marks = (Mark(self.header.base.messages + len(lines), save.time, 0),)
                after = PastTail(tuple(lines), dict(metadata), updated, line_id, dict(tags), marks)
                pending = True
        if pending:
            yield after

    def replaced_later(self) -> list[bytes]:
        """Return the messages that saves replaced, but for those that the first one did: those a commit before has."""
        lines: list[bytes] = []
        replaced: list[list[bytes]] = []
        for save in self.saves:
            if save.replace is not None:
                kept = save.replace - self.header.base.messages
                replaced.append(lines[kept:])
                del lines[kept:]
            lines.extend(save.messages)
        return [line for lines in replaced[1:] for line in lines]

    def tail_edits(self) -> list[TailEdit]:
        """Return how the saves replaced messages, oldest first."""
        messages = kept = MessageList(self.messages.objects, self.messages.sizes, self.header.base, [])
        edits: list[TailEdit] = []
        for save in self.saves if any(save.replace is not None for save in self.saves) else ():
            if save.replace is None:
                messages = messages.extended(save.messages)
                continue
            chains = tuple(map(messages.chain_at, range(save.replace + 1, messages.count + 1)))
            if kept.count != save.replace or not edits:
                kept = messages.cut(save.replace)
                kept.chain_at(kept.count)
            messages = kept.extended(save.messages)
            edits.append(TailEdit(save.replace, messages.count, chains, save.time, messages.chain_at(messages.count)))
        return edits

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def generation_id(self) -> GenerationId:
        return self.header.generation_id

    @property
    def parent_name(self) -> str | None:
        """Name of the session that this one was branched from."""
        return self.header.parent.name if self.header.parent else None

    @property
    def deleted(self) -> bool:
        return self.header.deleted

    def ends_as(self, end: RefEnd) -> bool:
        """Tell whether a ref, or what is recorded of one, ends as this head does."""
        return end.size == self.size and end.end.endswith(line_end(self.last_id))

    def only_adds_to(self, before: State) -> bool:
        """Tell whether messages were only added to a session since."""
        count, messages = before.count, self.messages
        return self.start == before.start and self.count >= count and messages.chain_at(count) == before.chain

    @property
    def count(self) -> int:
        """Messages in the list, hidden ones included."""
        return self.messages.count

    @property
    def start(self) -> int:
        return self.header.base.start

    @property
    def has_all_inline(self) -> bool:
        """Whether no live message stands in an object."""
        return self.header.base.messages == self.start

    @property
    def live_count(self) -> int:
        return self.count - self.start

    @property
    def live_bytes(self) -> int:
        messages = self.messages
        return messages.base.bytes - messages.base_tail_bytes() + messages.tail_bytes - messages.base.start_bytes

    @property
    def chain(self) -> Chain:
        """The chain hash at the end; computed when asked for, since a plain save does not need it."""
        return self.messages.chain_at(self.count)

    def values(self) -> Mapping[str, bytes]:
        """Return the metadata without stamps and removed keys."""
        return {key: item.value for key, item in self.metadata.items() if item.value is not None}

    def has_values_of(self, older: State) -> bool:
        """Tell whether no metadata and no tag of another state was set later than here."""
        stamps = {key: item.stamp for key, item in self.metadata.items()}
        labels = {label: tag.stamp for label, tag in self.tags.items()}
        is_later = all(stamps.get(key, "") >= item.stamp for key, item in older.metadata.items())
        return is_later and all(labels.get(label, "") >= tag.stamp for label, tag in older.tags.items())

    def revision(self) -> str:
        """Return what tells this state from others of the session: see `Session.revision`."""
        told = f"{self.header.generation_id} {self.start} {self.count} {self.chain}"
        self._revision = self._revision or revision_of((told.encode(),), self.values())
        return self._revision

    def with_tail(self, tail: PastTail) -> MessageList:
        """Return the message list as it was with another tail."""
        return MessageList(self.messages.objects, self.messages.sizes, self.header.base, list(tail.lines))


def _go_on(marks: list[Mark], count: int, save: Save) -> int:
    """Let marks of `count` messages go on with a save, and return how many there are then."""
    if save.replace is not None:
        count = save.replace + len(save.messages)
        marks[:] = [Mark(count, save.time, 0)]
    else:
        count += len(save.messages)
        if count > marks[-1].messages:
            marks.append(Mark(count, save.time))
    return count


def _unmarked(header: Header) -> list[Mark]:
    """Return the marks of a header that has none: it is new and empty, or its writer knows of no marks."""
    generation, parent, base = header.generation, header.parent, header.base
    begun = generation.messages if generation else parent.start + parent.messages if parent else 0
    marks = [Mark(begun, header.updated if generation else header.created, 0)]
    # Of how many saves is not known: of more than one.
    return marks if base.messages <= begun else [*marks, Mark(base.messages, header.updated, 2)]


@dataclass(slots=True, eq=False)
class Cursor:
    """Where a session stands: what this process saw and tried last.

    Attributes:
        state: what the session shows, but for its unsaved changes.
        shared: what the file said when it was read or written last, and its bytes, once another process was found to
            write to it.
        attempted: saves that were begun, by the ids of their last lines: one that got through, though an error was
            reported or somebody interrupted it, is not to be made twice.
        came_to: how many saves the ref had when the session came to it; fewer once it was rewritten.
    """

    state: State
    shared: tuple[State, bytearray] | None = None
    attempted: dict[str, Attempt] = field(default_factory=dict)
    came_to: int = -1

    def __post_init__(self) -> None:
        saves = self.state.save_count
        self.came_to = saves if self.came_to < 0 else min(self.came_to, saves)

    def moved(self, state: State) -> Cursor:
        """Return the cursor of the session at another state, where nothing was tried yet."""
        shared = self.shared if self.shared is not None and self.shared[0].key == state.key else None
        return Cursor(state, shared, came_to=self.came_to)
