"""Merges: what a state has behind it besides its own path.

What a merge took in counts as gone through, for ever: an undo of the merge is one more step, and takes nothing back.
Names of sides do not look at it (see `resolve`): a label goes along first parents alone, so no merge moves one.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import StoreError
from ...format.generations import TakenIn
from ...format.ids import ObjectId
from ...format.records import CommitLink
from ..content.state import State
from .lineage import Path, UndecidedError, last_common, paths_of


def went_through(newer: State, older: State) -> bool:
    """Tell whether a state is another one, or has it behind it: on its path, or behind what it took in.

    Raises:
        UndecidedError: an object is missing or damaged that decides it.
    """
    path, path_there = paths_of(older, newer)
    return path.step_after(last_common(path, path_there)) is None or took_in(path_there, older)


def took_in(path: Path, older: State, looked_at: set[ObjectId] | None = None) -> bool:
    """Tell whether a path took in a state, or one that has it behind it.

    Args:
        path: from a state on that is behind `older` too: no merge before it took in anything newer.
        looked_at: commits that were looked at for this before, to be added to.

    Raises:
        UndecidedError: an object is missing or damaged that decides it.
    """
    looked_at = set() if looked_at is None else looked_at
    for taken in taken_in(path):
        if taken.commit.id in looked_at:
            continue
        looked_at.add(taken.commit.id)
        state = frozen(path.head, taken.commit)
        if older.last_id == state.last_id:
            return True
        try:
            path_of_older, path_there = paths_of(older, state)
            at_end = path_of_older.step_after(last_common(path_of_older, path_there)) is None
            if at_end or took_in(path_there, older, looked_at):
                return True
        except UndecidedError as error:
            # What is frozen is no head that anybody knows.
            raise UndecidedError(older if error.head is older else path.head, error.problem) from error
    return False


def taken_in(path: Path) -> Iterator[TakenIn]:
    """Yield what the merges of a path took in, the newest first."""
    for generation in reversed(path.generations):
        if generation is not None:
            yield from generation.merged


def frozen(head: State, link: CommitLink) -> State:
    """Return the state that a commit freezes, as a ref would have it.

    Args:
        head: a state that has the commit behind it.

    Raises:
        UndecidedError: the commit is missing or damaged.
    """
    try:
        return head.at_commit(link, head.messages.objects.commit(link))
    except StoreError as error:
        raise UndecidedError(head, error) from error
