"""What a session took in by merges and picks."""

from __future__ import annotations

from collections.abc import Iterator

from ..ancestry.ancestors import generations
from ..content.state import State
from .tree import Joint


def joints_of(head: State) -> Iterator[Joint]:
    """Yield the merges and picks that a session went through, the newest first.

    Raises:
        StoreError: a commit is missing or damaged.
    """
    for generation in generations(head):
        if generation is None:
            continue
        at = generation.messages - generation.start
        for taken in generation.merged:
            yield Joint(head.messages.objects.commit(taken.commit).name, at)
        for name in dict.fromkeys(each.name for each in generation.picked):
            yield Joint(name, at, picked=True)
