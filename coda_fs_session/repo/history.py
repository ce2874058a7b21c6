"""Which state came before which, and the commits that keep earlier ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..backends.base import NewObject
from ..errors import StoreError
from ..format.commits import Commit, TailEdit
from ..format.records import Base, CommitLink, Generation, Operation
from .objects import Objects
from .paths import UndecidedError, last_common, paths_of
from .state import FrozenTail, Head


def covers(newer: Head, older: Head) -> bool:
    """Tell whether `older` is `newer` or a state that it went through, so that showing `newer` alone loses nothing.

    Raises:
        StoreError: an object is missing or damaged that decides it.
    """
    if is_seen_in(older, newer):
        return True
    try:
        path, path_there = paths_of(older, newer)
        return path.step_after(last_common(path, path_there)) is None
    except UndecidedError as error:
        raise error.problem from error


def is_seen_in(older: Head, newer: Head) -> bool:
    """Tell from lines alone that `newer` went through `older`; False where that takes a look at messages."""
    if older.last_id in newer.line_ids:
        return True
    link = newer.header.commit
    depth = older.header.commit.depth + 1 if older.header.commit else 0
    if link is None or depth > link.depth:
        return False
    try:
        return commit_at(newer.messages.objects, link, depth).line == older.last_id
    except StoreError:
        return False


def commit_at(objects: Objects, link: CommitLink, depth: int) -> Commit:
    """Return the commit at `depth` among `link` and those before it, in O(log n) reads."""
    commit = objects.commit(link)
    while commit.depth > depth:
        further = commit.skip if commit.skip and commit.skip.depth >= depth else commit.previous
        assert further is not None, "only the commit of depth 0 has none before it"
        commit = objects.commit(further)
    return commit


def freeze(head: Head, reason: str, time: str, previous: CommitLink | None) -> tuple[Base, list[NewObject], CommitLink]:
    """Make the commit of a head's present state.

    Returns:
        The frozen base, the objects to write (the commit is the last), and the link to the commit.
    """
    return freeze_tail(head, head.tail(), reason, time, previous, head.tail_edits())


def freeze_tail(
    head: Head,
    tail: FrozenTail,
    reason: str,
    time: str,
    previous: CommitLink | None,
    edits: Sequence[TailEdit] = (),
) -> tuple[Base, list[NewObject], CommitLink]:
    """Make the commit of the state that a head had with another tail; returns as `freeze`.

    Args:
        edits: of the tail, up to that state; those of one ref file go into one commit.
    """
    base, new = head.frozen(tail).freeze()
    base = replace(base, metadata=dict(tail.metadata))
    commit = Commit(
        name=head.name,
        time=time,
        updated=tail.updated,
        reason=reason,
        line=tail.line,
        base=base,
        generation=head.header.generation,
        previous=previous,
        skip=head.messages.objects.skip_for(previous),
        edits=tuple(edits),
    )
    made, link = head.messages.objects.new_commit(commit)
    return base, [*new, made], link


def next_generation(head: Head, operation: Operation, result: Base, name: str | None = None) -> Generation:
    """Return the generation that `operation` begins after the head's present state.

    Args:
        result: the state right after it.
    """
    return Generation(
        parent=head.generation_id,
        operation=operation,
        frozen_messages=head.count,
        frozen_chain=head.chain,
        start=result.start,
        messages=result.messages,
        chain=result.chain,
        name=name,
    )


def unused_generation(generation: Generation, others: Sequence[Head]) -> Generation:
    """Return a generation like this one that is in the history of none of `others`."""
    known = {generation.id for other in others for generation in _generations(other) if generation}
    while generation.id in known:
        generation = generation._replace(parent=generation.id)
    return generation


def same_life(newer: Head, older: Head) -> bool:
    """Tell whether the name was neither deleted nor created anew between a state and one that covers it."""
    for generation in _generations(newer):
        if generation is None or generation.id == older.generation_id:
            return True
        if generation.operation in ("create", "delete"):
            return False
    return True


def _generations(head: Head) -> Iterator[Generation | None]:
    """Yield the generations of a head's history, newest first; the first one of all is None."""
    yield head.header.generation
    link = head.header.commit
    while link is not None:
        commit = head.messages.objects.commit(link)
        yield commit.generation
        link = commit.previous
