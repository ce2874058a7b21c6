"""Which state came before which."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import StoreError
from ...format.commits import Commit
from ...format.generations import FIRST_GENERATION, Generation
from ...format.ids import ObjectId
from ...format.records import CommitLink
from ...process.loading import loading
from ..content.objects import Objects
from ..content.state import State


def covers(newer: State, older: State) -> bool:
    """Tell whether `older` is `newer`, or a state that it went through or took in: showing `newer` alone loses nothing.

    Raises:
        StoreError: an object is missing or damaged that decides it.
    """
    if is_seen_in(older, newer):
        return True
    # Late: hardly any session has two refs that take a look at messages.
    with loading():
        from .lineage import UndecidedError
        from .merges import went_through

    try:
        return went_through(newer, older)
    except UndecidedError as error:
        raise error.problem from error


def is_seen_in(older: State, newer: State) -> bool:
    """Tell from lines alone that `newer` went through `older`; False where that takes a look at messages."""
    if newer.has_last_of(older):
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


def same_life(newer: State, older: State) -> bool:
    """Tell whether the name was neither deleted nor created anew between a state and one that covers it."""
    for generation in generations(newer):
        if (generation.id if generation else FIRST_GENERATION) == older.generation_id:
            return True
        if generation is None or generation.operation in ("create", "delete"):
            # One that was taken in by a merge is of the same life where that began with the same step.
            return generation == _began_with(older)
    # Its commits do not lead back to where it began, which then was the first generation.
    return _began_with(older) is None


def _began_with(head: State) -> Generation | None:
    begins = (each for each in generations(head) if each is not None and each.operation in ("create", "delete"))
    return next(begins, None)


def only_renamed(newer: State, older: State) -> bool:
    """Tell whether a state is in the generation of another one, or in one that only renames came before since."""
    for generation in generations(newer):
        if (generation.id if generation else FIRST_GENERATION) == older.generation_id:
            return True
        if generation is None or generation.operation != "rename":
            return False
        if generation.parent == older.generation_id:
            # Without reading a commit.
            return True
    return False


def generations(head: State) -> Iterator[Generation | None]:
    """Yield the generations of a head's history, newest first; the first one of all is None."""
    yield head.header.generation
    link = head.header.commit
    while link is not None:
        commit = head.messages.objects.commit(link)
        yield commit.generation
        link = commit.previous


def states_taken_in(head: State) -> Iterator[State]:
    """Yield the states that merges in a head's history took in, and those that these had taken in."""
    objects, looked_at, heads = head.messages.objects, set[ObjectId](), [head]
    while heads:
        for generation in generations(heads.pop()):
            for taken in generation.merged if generation is not None else ():
                if taken.commit.id not in looked_at:
                    looked_at.add(taken.commit.id)
                    state = head.at_commit(taken.commit, objects.commit(taken.commit))
                    yield state
                    heads.append(state)
