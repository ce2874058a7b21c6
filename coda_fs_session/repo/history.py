"""Which state came before which, and the commits that keep earlier ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..backends.base import NewObject
from ..format.commits import Commit
from ..format.records import Base, CommitLink, Generation, Operation
from .messages import MessageList
from .objects import Objects
from .state import FrozenTail, Head


def covers(newer: Head, older: Head) -> bool:
    """Tell whether `older` is `newer` or an ancestor of it, so that showing `newer` alone loses nothing."""
    if newer.generation_id == older.generation_id:
        if older.last_id in newer.line_ids:
            return True
        if any(_is_prefix(older, messages) for messages in _lists_of(newer)):
            return True
    return _frozen_in(newer, older)


def _lists_of(head: Head) -> Iterator[MessageList]:
    """Yield the head's message list, and those that edits since the base have replaced."""
    yield head.messages
    for tail in head.tails_around_edits():
        yield head.frozen(tail)


def _frozen_in(newer: Head, older: Head) -> bool:
    """Look for `older` among the commits of `newer`: its generation was frozen right after the commits they share."""
    link = newer.header.commit
    depth = older.header.commit.depth + 1 if older.header.commit else 0
    while link is not None and depth <= link.depth:
        commit = commit_at(newer.messages.objects, link, depth)
        if commit.generation_id != older.generation_id:
            return False
        frozen = MessageList(newer.messages.objects, newer.messages.sizes, commit.base, [])
        if commit.line == older.last_id or _is_prefix(older, frozen):
            return True
        depth += 1
    return False


def _is_prefix(older: Head, messages: MessageList) -> bool:
    if older.count > messages.count:
        return False
    mine, theirs = older.messages.base, messages.base
    if (mine.messages, mine.chain) == (theirs.messages, theirs.chain):
        # Quicker than two chain hashes over the same lines.
        return messages.lines[: len(older.messages.lines)] == older.messages.lines
    return messages.chain_at(older.count) == older.chain


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
    return freeze_tail(head, head.tail(), reason, time, previous)


def freeze_tail(
    head: Head, tail: FrozenTail, reason: str, time: str, previous: CommitLink | None
) -> tuple[Base, list[NewObject], CommitLink]:
    """Make the commit of the state that a head had with another tail; returns as `freeze`."""
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
        generation = replace(generation, parent=generation.id)
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
