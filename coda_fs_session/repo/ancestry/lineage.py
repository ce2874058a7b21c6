"""The way a conversation took: runs of appended messages, and the steps between them.

Two heads of one conversation are compared along their paths: up to which state they went together, and what
each did next. Where messages stand, when they were written and by whom plays no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...errors import ObjectNotYetHereError, StoreError
from ...format.commits import Commit
from ...format.edits import TailEdit
from ...format.generations import FIRST_GENERATION, Generation, GenerationId, Operation
from ...format.ids import Chain
from ...format.records import Base, CommitLink
from ...format.tree import Entry
from ..content.fronts import Reading, common_front
from ..content.messages import MessageList
from ..content.state import State

_RANKS: dict[str, int] = {"append": 0, "rename": 2, "delete": 3}
"""What ranks lower keeps a name; every other operation ranks 1."""


class UndecidedError(Exception):
    """Two heads cannot be compared, because of a `problem` with something that `head` names."""

    def __init__(self, head: State, problem: StoreError) -> None:
        super().__init__(head.key.path)
        self.head = head
        self.problem = problem


class Step(NamedTuple):
    """What one side did next.

    Attributes:
        operation: "append", or what began a generation; edits of the tail count as "edit".
        id: the chain hash after the first message that was appended, or the generation's id: content alone.
    """

    operation: Operation | str
    id: str


def step_order(step: Step) -> tuple[int, str]:
    """Sort steps: the smallest side inherits the name. By kind, then by content; never by clock, replica or length."""
    return _RANKS.get(step.operation, 1), step.id


@dataclass(frozen=True, slots=True)
class Run:
    """Messages as they stood before one step.

    Attributes:
        messages: a list that begins with the first `shared` of them.
        chains: the chain hashes after each further one: an edit has replaced the messages themselves.
    """

    messages: MessageList
    shared: int
    chains: Sequence[Chain] = ()

    @property
    def count(self) -> int:
        return self.shared + len(self.chains)

    def chain_at(self, position: int) -> Chain:
        if position > self.shared:
            return self.chains[position - self.shared - 1]
        return self.messages.chain_at(position)


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What a head went through: `steps[n]` ended `runs[n]`, and nothing has ended the last run.

    Attributes:
        generations: what began with each step; None for an edit of the tail.
    """

    head: State
    runs: list[Run] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    generations: list[Generation | None] = field(default_factory=list)

    def step_after(self, point: Point) -> Step | None:
        """Return what came right after a state that this path went through; None at its end."""
        run = self.runs[point.run]
        if point.messages < run.count:
            return Step("append", self._chain_at(run, point.messages + 1))
        return self.steps[point.run] if point.run < len(self.steps) else None

    def run_after_last(self, *operations: str) -> int:
        """Return the run after the last step of some kinds; the first one where there is none."""
        return max((run for run, step in enumerate(self.steps, 1) if step.operation in operations), default=0)

    def _chain_at(self, run: Run, position: int) -> Chain:
        try:
            return run.chain_at(position)
        except StoreError as error:
            if isinstance(error, ObjectNotYetHereError) and run.messages.objects.has_expired(error):
                # No list has this one earlier than at its end, so nothing is taken for the same that is not.
                return run.messages.base.chain
            raise UndecidedError(self.head, error) from error


class Point(NamedTuple):
    """A state on a path: after so many messages of a run."""

    run: int
    messages: int


def path_of(head: State) -> Path:
    """Return the whole path of a head, from before its first message.

    Raises:
        UndecidedError: a commit of it cannot be read.
    """
    return _path(head, list(_commits(head, head.header.commit)), None)


def paths_of(one: State, other: State) -> tuple[Path, Path]:
    """Return the paths of two heads from a state on that both went through, their last common commit.

    Raises:
        UndecidedError: a commit cannot be read.
    """
    heads, links = (one, other), [one.header.commit, other.header.commit]
    commits: tuple[list[Commit], list[Commit]] = [], []
    while links[0] != links[1]:
        depths = [link.depth if link else -1 for link in links]
        behind = 0 if depths[0] >= depths[1] else 1
        link = links[behind]
        assert link is not None, "it is the deeper one"
        commit = _commit(heads[behind], link)
        commits[behind].append(commit)
        links[behind] = commit.previous
    start = _commit(one, links[0]) if links[0] else None
    return _path(one, commits[0], start), _path(other, commits[1], start)


def step_before(path: Path, run: int) -> GenerationId:
    """Return what began a run of a whole path."""
    return GenerationId(path.steps[run - 1].id) if run else FIRST_GENERATION


def last_common(one: Path, other: Path) -> Point:
    """Return the last state that both paths went through; they must have begun at the same one.

    Raises:
        UndecidedError: an object is missing or damaged that decides it.
    """
    run = 0
    while run < min(len(one.steps), len(other.steps)) and one.steps[run] == other.steps[run]:
        run += 1
    return Point(run, _common_messages(one, other, run))


def were_one(renamed: Path, side: Path) -> bool:
    """Tell whether a session that was renamed was one with another when that had its name, and had messages then.

    Raises:
        UndecidedError: as `last_common`.
    """
    point = last_common(renamed, side)
    since = side.run_after_last("create", "rename")
    return since <= point.run and (point.messages > 0 or any(run.count for run in side.runs[since : point.run]))


def _common_messages(one: Path, other: Path, number: int) -> int:
    first, second = one.runs[number], other.runs[number]
    limit = min(first.count, second.count)
    listed = min(first.shared, second.shared, limit)
    common = _common_listed(one, other, number, listed)
    objects = one.head.messages.objects
    if common < listed and not objects.purged.chains and not objects.has_let_go:
        return common
    # Chain hashes stay different once they are. What was purged in one list, and not in a state of it that was read
    # before, has another line there, and the same chain hash. Of what has expired only the end may tell.
    low, high = common, limit
    if common < limit and one._chain_at(first, limit) == other._chain_at(second, limit):
        return limit
    while low < high:
        middle = (low + high + 1) // 2
        if one._chain_at(first, middle) == other._chain_at(second, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _common_listed(one: Path, other: Path, number: int, limit: int) -> int:
    """Count the equal messages at the front of two lists, reading little more than where they part."""
    first, second = one.runs[number].messages, other.runs[number].messages
    return common_front(first, second, limit, (_reading(one.head, first), _reading(other.head, second)))


def _reading(head: State, messages: MessageList) -> Reading:
    """Return how a list of a head's is read, with what is missing told as a problem of that head."""

    plain = Reading.plain(messages)

    def node(entry: Entry) -> list[Entry]:
        try:
            return plain.node(entry)
        except StoreError as error:
            raise UndecidedError(head, error) from error

    def lines(start: int, stop: int) -> Iterator[bytes]:
        try:
            yield from plain.lines(start, stop)
        except StoreError as error:
            raise UndecidedError(head, error) from error

    return Reading(node, lines)


def _commit(head: State, link: CommitLink) -> Commit:
    try:
        return head.messages.objects.commit(link)
    except StoreError as error:
        raise UndecidedError(head, error) from error


def _commits(head: State, link: CommitLink | None) -> Iterator[Commit]:
    """Yield the commit that `link` names and all before it, newest first."""
    while link is not None:
        commit = _commit(head, link)
        yield commit
        link = commit.previous


@dataclass(slots=True)
class Section:
    """One generation: the edits of its tail, oldest first, and its messages at the end."""

    generation: Generation | None
    edits: list[TailEdit]
    end: MessageList

    @property
    def id(self) -> GenerationId:
        return self.generation.id if self.generation else FIRST_GENERATION

    def runs_and_edits(self) -> tuple[list[Run], list[GenerationId]]:
        """Return its runs, and the ids of the edits between them.

        Raises:
            StoreError: an object is missing or damaged that decides it.
        """
        runs, identity, identities = _runs(self), self.id, []
        for before, after, edit in zip(runs, runs[1:], self.edits, strict=False):
            # Reading messages for what is told is needless, and history may be gone.
            frozen, result = before.chain_at(before.count), edit.after or after.chain_at(edit.messages)
            # As if it were a generation: equal edits of equal states are the same step, whoever made them.
            identity = Generation(identity, "edit", before.count, frozen, 0, edit.messages, result).id
            identities.append(identity)
        return runs, identities


def _path(head: State, newest_first: Sequence[Commit], start: Commit | None) -> Path:
    objects, sizes = head.messages.objects, head.messages.sizes
    begin = start.base if start else Base()
    sections = [Section(start.generation if start else None, [], MessageList(objects, sizes, begin, []))]
    states = [(c.generation, c.edits, MessageList(objects, sizes, c.base, [])) for c in reversed(newest_first)]
    try:
        states.append((head.header.generation, tuple(head.tail_edits()), head.messages))
    except StoreError as error:
        raise UndecidedError(head, error) from error
    for generation, edits, end in states:
        if (generation.id if generation else FIRST_GENERATION) != sections[-1].id:
            sections.append(Section(generation, [], end))
        sections[-1].edits.extend(edits)
        sections[-1].end = end
    path = Path(head)
    for section in sections:
        if path.runs and section.generation is not None:
            path.steps.append(Step(section.generation.operation, section.id))
            path.generations.append(section.generation)
        try:
            runs, identities = section.runs_and_edits()
        except StoreError as error:
            raise UndecidedError(head, error) from error
        path.steps.extend(Step("edit", identity) for identity in identities)
        path.generations.extend(None for _ in identities)
        path.runs.extend(runs)
    return path


def _runs(section: Section) -> list[Run]:
    """Rebuild what the tail was before each edit, from its end backwards."""
    runs = [Run(section.end, section.end.count)]
    for edit in reversed(section.edits):
        after = runs[-1]
        shared = min(after.shared, edit.position)
        kept = after.chains[: edit.position - shared] if edit.position > shared else ()
        runs.append(Run(section.end, shared, (*kept, *edit.chains)))
    return runs[::-1]
