"""Making the commits that keep earlier states, and the generations that begin after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...backends.base import NewObject
from ...format.commits import Commit, TailEdit
from ...format.records import Base, CommitLink, Generation, Operation
from ..ancestry.ancestors import generations
from ..content.state import PastTail, State


def make_commit(
    head: State, reason: str, time: str, previous: CommitLink | None
) -> tuple[Base, list[NewObject], CommitLink]:
    """Make the commit of a head's present state.

    Returns:
        The frozen base, the objects to write (the commit is the last), and the link to the commit.
    """
    return commit_tail(head, head.tail(), reason, time, previous, head.tail_edits())


def commit_tail(
    head: State,
    tail: PastTail,
    reason: str,
    time: str,
    previous: CommitLink | None,
    edits: Sequence[TailEdit] = (),
) -> tuple[Base, list[NewObject], CommitLink]:
    """Make the commit of the state that a head had with another tail; returns as `make_commit`.

    Args:
        edits: of the tail, up to that state; those of one ref file go into one commit.
    """
    base, new = head.with_tail(tail).in_objects()
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


def next_generation(head: State, operation: Operation, result: Base, name: str | None = None) -> Generation:
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


def unused_generation(generation: Generation, others: Sequence[State]) -> Generation:
    """Return a generation like this one that is in the history of none of `others`."""
    known = {generation.id for other in others for generation in generations(other) if generation}
    while generation.id in known:
        generation = generation._replace(parent=generation.id)
    return generation
