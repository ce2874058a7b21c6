"""What two sessions have in common, to be merged from: the last state whose content both have taken in.

A state *knows* itself, what it went through, and what the merges on that way took in. But a step that goes back over a
merge, by an undo or a restore, or that sets a side apart after that, goes on from where it leads: else what was undone
could never be merged again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...errors import ObjectNotYetHereError
from ...format.generations import GenerationId, StateId
from ...format.ids import Chain, ObjectId
from ..ancestry.lineage import Path, Run, UndecidedError, path_of, step_before
from ..ancestry.merges import frozen
from ..content.fronts import common_front
from ..content.messages import MessageList
from ..content.state import State
from ..history.places import find_state


class Span(NamedTuple):
    """States of one run: those with up to `messages` messages."""

    path: Path
    run: int
    messages: int

    @classmethod
    def nothing(cls, head: State) -> Span:
        """Return what any session had before its first message."""
        return cls(path_of(head), 0, 0)

    @property
    def list(self) -> MessageList:
        return self.path.runs[self.run].messages

    @property
    def id(self) -> StateId:
        """The last of the states."""
        chain = _chain(self, self.messages) or self.list.base.chain
        return StateId(step_before(self.path, self.run), self.messages, chain)

    @property
    def listed(self) -> int:
        """How many of the messages are in `list`: an edit of the tail may have replaced some of them since."""
        return min(self.messages, self._run.shared)

    @property
    def readable(self) -> int:
        """How many of the messages can be read there: others may have expired."""
        return min(self.listed, self.list.held())

    def content(self) -> tuple[MessageList, int]:
        """Return a list that has the messages, and how many of them: less than all where the store has not kept all.

        Then a merge takes what is gone for what both sides have added: it may bring back what one of them took away.

        Raises:
            StoreError: a commit of the session cannot be read.
        """
        if self.readable < self.messages:
            # What edits of the tail have replaced is kept for going back.
            moment = next(find_state(self.path.head, self.id), None)
            if moment is not None and not moment.expired and moment.stretch.messages is not None:
                return moment.stretch.messages, self.messages
        return self.list, self.readable

    @property
    def start(self) -> int:
        """How many messages at the front are hidden."""
        return self.list.base.start

    @property
    def _run(self) -> Run:
        return self.path.runs[self.run]


def state_id(head: State) -> StateId:
    """Return the name of a head's state, which is the same on every machine.

    Raises:
        StoreError: an object is missing or damaged that it takes.
    """
    try:
        return _end(path_of(head)).id
    except UndecidedError as error:
        raise error.problem from error


class Known:
    """The states that one knows, by the step that their run began with."""

    def __init__(self, end: Span) -> None:
        self._spans: dict[GenerationId, list[Span]] = {}
        self._commits: set[ObjectId] = set()
        self.spans = list(self._walk(end))

    @classmethod
    def of(cls, head: State) -> Known:
        return cls(_end(path_of(head)))

    def has(self, span: Span) -> bool:
        """Tell whether the last state of a span is known."""
        return any(_common(each, span) >= span.messages for each in self.at(span))

    def at(self, span: Span) -> list[Span]:
        """Return what is known of a run."""
        return self._spans.get(step_before(span.path, span.run), [])

    def _walk(self, end: Span) -> Iterator[Span]:
        """Yield spans, the newest first, and on the way what merges took in; never one that is known already."""
        span: Span | None = end
        while span is not None:
            step = step_before(span.path, span.run)
            there = self._spans.setdefault(step, [])
            if not any(_common(each, span) >= span.messages for each in there):
                there.append(span)
                yield span
            generation = span.path.generations[span.run - 1] if span.run else None
            for taken in generation.merged if generation else ():
                if taken.commit.id not in self._commits:
                    self._commits.add(taken.commit.id)
                    yield from self._walk(_end(path_of(frozen(span.path.head, taken.commit))))
            span = _before(span)


def _end(path: Path) -> Span:
    run = len(path.runs) - 1
    return Span(path, run, path.runs[run].count)


def _before(span: Span) -> Span | None:
    """Return what a state knows besides its run and what was taken in with the step there."""
    path, run = span.path, span.run
    if run == 0:
        return None
    generation = path.generations[run - 1]
    before = Span(path, run - 1, path.runs[run - 1].count)
    if generation is None or generation.to is None:
        return before
    if generation.operation == "part" or _goes_over_merge(before, generation.to):
        return _find(before, generation.to) or before
    return before


def _goes_over_merge(before: Span, to: StateId) -> bool:
    """Tell whether a merge lies between two states of a path, among the steps that were not taken back."""
    path, run = before.path, before.run
    while run and step_before(path, run) != to.step:
        generation = path.generations[run - 1]
        if generation is not None and generation.operation == "merge":
            return True
        target = generation.to if generation is not None and generation.operation in ("undo", "restore") else None
        found = _on_path(path, target, run) if target is not None else None
        run = run - 1 if found is None else found.run
    return False


def _on_path(path: Path, state: StateId, before: int) -> Span | None:
    """Return a state of a path, looked for from some run backwards."""
    for run in range(before, -1, -1):
        found = Span(path, run, state.messages)
        # Two sessions may begin with different messages, and so without a step.
        if step_before(path, run) == state.step and state.messages <= path.runs[run].count and found.id == state:
            return found
    return None


def _find(before: Span, state: StateId) -> Span | None:
    """Return a state that another one has behind it, on its path or behind what that took in."""
    looked_at: set[ObjectId] = set()
    paths = [(before.path, before.run)]
    while paths:
        path, run = paths.pop()
        found = _on_path(path, state, run)
        if found is not None:
            return found
        for generation in path.generations[:run]:
            for taken in generation.merged if generation else ():
                if taken.commit.id not in looked_at:
                    looked_at.add(taken.commit.id)
                    further = path_of(frozen(path.head, taken.commit))
                    paths.append((further, len(further.runs) - 1))
    return None


def _common(one: Span, other: Span) -> int:
    """Count the messages up to which two spans of one run are the same."""
    limit = min(one.messages, other.messages)
    if one.path is other.path and one.run == other.run:
        return limit
    shared = min(one.listed, other.listed, limit)
    common = common_front(one.list, other.list, shared)
    while common == shared and shared < limit and _is_same(one, other, shared + 1):
        shared = common = shared + 1
    # Where messages have expired, the chain hash at the end still tells that all are the same.
    return limit if common == shared < limit and _is_same(one, other, limit) else common


def _is_same(one: Span, other: Span, position: int) -> bool:
    chain = _chain(one, position)
    return chain is not None and chain == _chain(other, position)


def _chain(span: Span, position: int) -> Chain | None:
    """Return the chain hash at a position of a run; None where what tells it has expired."""
    try:
        return span.path.runs[span.run].chain_at(position)
    except ObjectNotYetHereError as error:
        if span.list.objects.has_expired(error):
            return None
        raise


def base_of(one: State, other: State) -> Span | None:
    """Return the last state that both know; None where they have nothing in common.

    Of several of which none knows another one, that with the smallest id: merging by message needs no more than one.

    Raises:
        StoreError: an object is missing or damaged that decides it.
    """
    one.messages.objects.heed_lists()
    other.messages.objects.heed_lists()
    try:
        return _base(Known.of(one), Known.of(other), one, other)
    except UndecidedError as error:
        raise error.problem from error


def _base(known: Known, known_there: Known, one: State, other: State) -> Span | None:
    newest: list[tuple[Span, Known]] = []
    for span in known.spans:
        for there in known_there.at(span):
            common = _common(span, there)
            # Of two that have the same run, that of which more can be read.
            better = max(span, there, key=lambda each: min(each.readable, common))
            found = better._replace(messages=common)
            if not any(above.has(found) for _, above in newest):
                newest.append((found, Known(found)))
    fork = _fork_point(one, other) or _fork_point(other, one)
    if fork is not None and not any(above.has(fork.of_child) or above.has(fork.of_parent) for _, above in newest):
        newest.append((fork.of_child, Known(fork.of_child)))
    top = [span for span, _ in newest if not any(span is not other and above.has(span) for other, above in newest)]
    return min(top, key=lambda span: span.id, default=None)


class _Fork(NamedTuple):
    """What a branch took over, as it has it itself, and as it was on the path of its parent."""

    of_child: Span
    of_parent: Span


def _fork_point(child: State, parent: State) -> _Fork | None:
    """Return what a session took over from another one; None where it is no branch of that."""
    origin = child.header.parent
    if origin is None or origin.name not in (parent.name, *parent.header.former_names):
        return None
    path = path_of(child)
    run = path.run_after_last("create")
    count = origin.start + origin.messages
    if count > path.runs[run].count or path.runs[run].chain_at(count) != origin.chain:
        return None
    # Another session may have the name of the parent now.
    there = path_of(parent)
    for run_there in reversed(range(len(there.runs))):
        if count <= there.runs[run_there].count and there.runs[run_there].chain_at(count) == origin.chain:
            return _Fork(Span(path, run, count), Span(there, run_there, count))
    return None
