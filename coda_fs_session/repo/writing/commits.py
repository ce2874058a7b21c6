"""Making the commits that keep earlier states, and the generations that begin after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from ...backends.base import NewObject
from ...format.chunks import LARGEST_RUN, size_of
from ...format.commits import Commit
from ...format.edits import TailEdit
from ...format.generations import Generation, Operation, Picked, StateId, TakenIn
from ...format.ids import ObjectId
from ...format.marks import thinned
from ...format.records import Base, CommitLink
from ...format.tree import Entry
from ..ancestry.ancestors import generations
from ..content.state import PastTail, State
from ..repository import Repository


class Frozen(NamedTuple):
    """A state in objects: its base, the link to its commit, and what is to be written yet, the commit last."""

    base: Base
    commit: CommitLink
    objects: list[NewObject]


def make_commit(repo: Repository, head: State, reason: str, time: str, previous: CommitLink | None) -> Frozen:
    """Make the commit of a head's present state."""
    return commit_tail(repo, head, head.tail(), reason, time, previous, head.tail_edits())


def commit_tail(
    repo: Repository,
    head: State,
    tail: PastTail,
    reason: str,
    time: str,
    previous: CommitLink | None,
    edits: Sequence[TailEdit] = (),
) -> Frozen:
    """Make the commit of the state that a head had with another tail.

    Args:
        edits: of the tail, up to that state; those of one ref file go into one commit.
    """
    base, new = head.with_tail(tail).in_objects()
    base = replace(base, metadata=dict(tail.metadata), tags=tail.tags)
    # A commit of the state before the first edit has what that one replaced.
    replaced, lost = _in_chunks(head, head.replaced_later() if edits else [])
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
        replaced=replaced,
        marks=thinned(tail.marks),
        replica=repo.replica or "",
    )
    made, link = head.messages.objects.new_commit(commit)
    return Frozen(base, link, [*new, *lost, made])


def _in_chunks(head: State, lines: list[bytes]) -> tuple[tuple[Entry, ...], list[NewObject]]:
    """Return lines as chunks, which are no part of any list: cut where the next line would make one too large."""
    runs: list[list[bytes]] = []
    size = 0
    for line in lines:
        size += len(line) + 1
        if not runs or size > LARGEST_RUN:
            runs.append([])
            size = len(line) + 1
        runs[-1].append(line)
    objects = list(map(head.messages.objects.new_chunk, runs))
    entries = (Entry(ObjectId(each.id), len(run), size_of(run)) for each, run in zip(objects, runs, strict=True))
    return tuple(entries), objects


def freeze(repo: Repository, head: State, reason: str, now: str) -> Frozen:
    """Before a new generation: commit the present state, and before it that before the first edit of the tail."""
    link = head.header.commit
    for tail in islice(head.tails_around_edits(), 1):
        _, link, new = commit_tail(repo, head, tail, "seal", now, link)
        head.messages.objects.put(new)
    return make_commit(repo, head, reason, now, link)


class Facts(NamedTuple):
    """What an operation says besides the states around it; see `Generation`."""

    name: str | None = None
    to: StateId | None = None
    merged: tuple[TakenIn, ...] = ()
    picked: tuple[Picked, ...] = ()


NO_FACTS = Facts()


def next_generation(head: State, operation: Operation, result: Base, facts: Facts = NO_FACTS) -> Generation:
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
        name=facts.name,
        to=facts.to,
        merged=facts.merged,
        picked=facts.picked,
    )


def unused_generation(generation: Generation, others: Sequence[State]) -> Generation:
    """Return a generation like this one that is in the history of none of `others`."""
    known = {generation.id for other in others for generation in generations(other) if generation}
    while generation.id in known:
        generation = generation._replace(parent=generation.id)
    return generation
