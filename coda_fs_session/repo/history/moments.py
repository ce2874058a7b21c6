"""The moments of a session, newest first: the states that saves and steps led to, as far as the store tells.

A generation is read at a time: the lines of its refs where they are still there, else its commits and their marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ...backends.base import NO_TOKEN
from ...errors import HistoryExpiredError
from ...format.commits import Commit
from ...format.generations import Generation, GenerationId, StateId
from ...format.marks import Mark
from ...format.records import Metadata
from ..ancestry.lineage import Section
from ..content.messages import MessageList
from ..content.state import State

STEP_DIGITS = 12
"""How much of a step's id stands in the id of an entry."""


class Stretch(NamedTuple):
    """What a session was between two steps.

    Attributes:
        step: what it began with; generation: that of the session meanwhile.
        start: how many messages at the front are hidden.
        messages: the list at its end, None where the store has not kept it.
        marks: when the messages came, the first one at the step.
        metadata, name: at its end.
        settings: saves of metadata alone, each after so many messages of the stretch.
        saved: metadata after saves that are lines still, by the number of messages.
        replica: that wrote it.
    """

    step: GenerationId
    generation: Generation | None
    start: int
    messages: MessageList | None
    marks: Sequence[Mark]
    metadata: Metadata
    name: str
    replica: str
    settings: Sequence[Setting] = ()
    saved: Mapping[int, Metadata] = {}


class Setting(NamedTuple):
    """A save of nothing but metadata."""

    messages: int
    time: str
    line: str
    metadata: Metadata


class Moment(NamedTuple):
    """A state that a save or a step led to.

    Attributes:
        stretch: where it stands; messages: how many it has, hidden ones included.
        kind: "append", "metadata", "edit", or the operation that began the generation.
        time: when; replica: who, "" where it is not known.
        added: how many messages more than before, less than 0 where there are fewer.
        saves: how many saves led here from the moment before.
        line: of the save of metadata alone, "" for others.
        metadata: as it was, None where it is not known.
        side: the merges through which it came, as its id begins; "" for what the session was itself.
    """

    stretch: Stretch
    messages: int
    kind: str
    time: str
    replica: str
    added: int
    saves: int = 1
    line: str = ""
    metadata: Metadata | None = None
    side: str = ""

    @property
    def id(self) -> str:
        line = f":{self.line[:8]}" if self.line else ""
        return f"{self.side}{self.stretch.step[:STEP_DIGITS]}:{self.messages}{line}"

    @property
    def live_count(self) -> int:
        return max(self.messages - self.stretch.start, 0)

    @property
    def expired(self) -> bool:
        """True where its messages are not in the store any more.

        Raises:
            StoreError: an object is missing or damaged, and did not expire.
        """
        messages = self.stretch.messages
        return messages is None or messages.held() < self.messages

    @property
    def is_step(self) -> bool:
        """True right after a step, before anything was added."""
        return self.kind not in ("append", "metadata")

    def at(self, messages: int) -> Moment:
        """Return the state between this moment and the one before that had so many messages."""
        return self if messages == self.messages else self._replace(messages=messages, metadata=None, line="")

    def state(self, head: State) -> State:
        """Return the session as it was, with the metadata of `head` where that of the moment is not known.

        Raises:
            HistoryExpiredError: its messages are gone.
        """
        stretch = self.stretch
        messages = prefix(self._held(), self.messages)
        metadata = head.metadata if self.metadata is None else self.metadata
        header = replace(head.header, name=stretch.name, generation=stretch.generation, base=messages.base, marks=())
        return State(head.key, NO_TOKEN, header, messages, metadata, self.time, 0, head.last_id, [], 0, {})

    def name_of_state(self) -> StateId:
        """Return what names it on every machine; raises as `state`."""
        return StateId(self.stretch.step, self.messages, self._held().chain_at(self.messages))

    def _held(self) -> MessageList:
        messages = self.stretch.messages
        if messages is None or self.expired:
            raise HistoryExpiredError(
                f"session {self.stretch.name!r}: the messages of {self.id} are not in the store any more, as history "
                "is kept for `retention_days`: go to an entry that did not expire"
            )
        return messages


def prefix(messages: MessageList, count: int) -> MessageList:
    """Return the first messages of a list, all of which stands in the store or inline already."""
    base = messages.base
    if count >= base.messages:
        return MessageList(messages.objects, messages.sizes, base, messages.lines[: count - base.messages])
    shorter, _ = messages.in_objects(count)
    return MessageList(messages.objects, messages.sizes, shorter, [])


def moments(head: State) -> Iterator[Moment]:
    """Yield the moments of a head, newest first, with those before a rename, a delete and a create.

    Raises:
        StoreError: a commit of it cannot be read.
    """
    objects = head.messages.objects
    objects.heed_lists()
    link, newest = head.header.commit, None
    head_there: State | None = head
    while head_there is not None or newest is not None:
        generation = head.header.generation if head_there is not None else newest.generation if newest else None
        identity = Section(generation, [], head.messages).id
        commits: list[Commit] = [newest] if newest is not None else []
        older: Commit | None = None
        while link is not None:
            commit = objects.commit(link)
            link = commit.previous
            if commit.generation_id != identity:
                older = commit
                break
            commits.append(commit)
        stretches = _stretches(head, generation, commits[::-1], head_there)
        yield from _moments(head, stretches, generation, older)
        head_there, newest = None, older


def _stretches(
    head: State, generation: Generation | None, commits: Sequence[Commit], last: State | None
) -> list[Stretch]:
    """Rebuild a generation out of its commits, oldest first, and of its ref where it is the present one."""
    objects, sizes = head.messages.objects, head.messages.sizes
    ends = [MessageList(objects, sizes, commit.base, []) for commit in commits]
    edits = [edit for commit in commits for edit in commit.edits]
    if last is not None:
        edits += last.tail_edits()
    section = Section(generation, edits, last.messages if last is not None else ends[-1])
    # Hashing messages is for those that were edited.
    steps = [section.id, *(section.runs_and_edits()[1] if edits else [])]
    begun = generation.messages if generation else 0
    found: list[Stretch] = []

    def add(number: int, stretch: Stretch) -> None:
        if number == len(found):
            found.append(stretch)
        else:
            found[number] = stretch

    number = 0
    for commit, end in zip(commits, ends, strict=True):
        of_commit = Stretch(
            steps[number],
            generation,
            commit.base.start,
            end,
            commit.marks,
            commit.base.metadata,
            commit.name,
            commit.replica,
        )
        if commit.edits:
            if number == len(found):
                # Whoever wrote it has kept nothing of what was before.
                first = commit.edits[0]
                count = first.position + len(first.chains)
                add(number, of_commit._replace(messages=None, marks=_marks(begun, count, commit)))
            for stretch in _between(of_commit, commit, steps[number + 1 :]):
                number += 1
                add(number, stretch)
        else:
            add(number, of_commit._replace(marks=commit.marks or _marks(begun, commit.base.messages, commit)))
    if last is not None:
        for stretch in _of_ref(last, steps[number:]):
            add(number, stretch)
            number += 1
    return found


def _marks(begun: int, count: int, commit: Commit) -> list[Mark]:
    """Return the marks of a commit that has none."""
    marks = [Mark(begun, commit.updated, 0)]
    return marks if count <= begun else [*marks, Mark(count, commit.updated, 2)]


def _between(end: Stretch, commit: Commit, steps: Sequence[GenerationId]) -> Iterator[Stretch]:
    """Yield what came after each of the edits that a commit tells of."""
    objects = commit.replaced
    edits = commit.edits
    assert end.messages is not None, "it is that of the commit"
    known = sum(entry.messages for entry in objects) == sum(len(edit.chains) for edit in edits[1:])
    known = known and not any(end.messages.objects.is_gone(entry.id) for entry in objects)
    replaced = [line for entry in objects for line in end.messages.objects.chunk(entry)] if known else []
    lists: list[MessageList | None] = [end.messages]
    for edit in reversed(edits[1:]):
        after = lists[-1]
        if after is None or (edit.chains and not known) or after.held() < edit.position:
            lists.append(None)
            continue
        kept = prefix(after, edit.position)
        own = replaced[len(replaced) - len(edit.chains) :]
        del replaced[len(replaced) - len(edit.chains) :]
        lists.append(MessageList(kept.objects, kept.sizes, kept.base, [*kept.lines, *own]))
    for number, (edit, messages) in enumerate(zip(edits, reversed(lists), strict=True)):
        stretch = end._replace(step=steps[number], messages=messages)
        if number + 1 == len(edits):
            marks: Sequence[Mark] = commit.marks or _marks(edit.messages, commit.base.messages, commit)
        else:
            then = edits[number + 1]
            count = then.position + len(then.chains)
            marks = [Mark(edit.messages, edit.time or commit.updated, 0)]
            if count > edit.messages:
                marks.append(Mark(count, then.time or commit.updated, 2))
        yield stretch._replace(marks=marks)


def _of_ref(head: State, steps: Sequence[GenerationId]) -> Iterator[Stretch]:
    """Yield what a ref's lines tell: the stretch that its base is in, and one after each edit."""
    header, base = head.header, head.header.base
    messages, metadata = MessageList(head.messages.objects, head.messages.sizes, base, []), base.metadata
    # After a rewrite the first line may have what several saves brought.
    saved = {base.messages: metadata} if head.marks(0)[-1].messages == base.messages else {}
    settings: list[Setting] = []
    number = 0

    def stretch(marks: Sequence[Mark]) -> Stretch:
        return Stretch(
            steps[number],
            header.generation,
            base.start,
            messages,
            marks,
            metadata,
            head.name,
            header.replica,
            tuple(settings),
            dict(saved),
        )

    marks_before = head.marks_before_edits()
    for save, line in zip(head.saves, head.line_ids[1:], strict=True):
        if save.replace is not None:
            yield stretch(next(marks_before))
            number += 1
            saved, settings = {}, []
            messages = prefix(messages, save.replace)
        messages = messages.extended(save.messages)
        metadata = {**metadata, **save.metadata}
        if save.metadata and not save.messages and save.replace is None:
            settings.append(Setting(messages.count, save.time, line, metadata))
        else:
            saved[messages.count] = metadata
    yield stretch(head.marks())


def _moments(
    head: State, stretches: Sequence[Stretch], generation: Generation | None, before: Commit | None
) -> Iterator[Moment]:
    """Yield the moments of a generation, newest first.

    Args:
        before: the commit that its operation made of the state before.
    """
    for number in range(len(stretches) - 1, -1, -1):
        stretch = stretches[number]
        settings = list(stretch.settings)
        known = dict(stretch.saved)
        if stretch.messages is not None and not settings:
            known.setdefault(stretch.messages.count, stretch.metadata)
        for at in range(len(stretch.marks) - 1, -1, -1):
            mark = stretch.marks[at]
            while settings and settings[-1].messages >= mark.messages:
                setting = settings.pop()
                yield Moment(
                    stretch,
                    setting.messages,
                    "metadata",
                    setting.time,
                    stretch.replica,
                    0,
                    1,
                    setting.line,
                    setting.metadata,
                )
            metadata = known.get(mark.messages)
            if at:
                added = mark.messages - stretch.marks[at - 1].messages
                yield Moment(
                    stretch, mark.messages, "append", mark.time, stretch.replica, added, mark.saves, "", metadata
                )
            elif number:
                added = mark.messages - stretches[number - 1].marks[-1].messages
                yield Moment(stretch, mark.messages, "edit", mark.time, stretch.replica, added, 1, "", metadata)
            elif generation is None:
                added = max(mark.messages - stretch.start, 0)
                yield Moment(stretch, mark.messages, "create", mark.time, stretch.replica, added, 1, "", metadata)
            else:
                live = 0 if before is None else before.base.messages - before.base.start
                added = generation.messages - generation.start - live
                time, replica = (before.time, before.replica) if before else (mark.time, stretch.replica)
                yield Moment(stretch, mark.messages, generation.operation, time, replica, added, 1, "", metadata)
