"""What sessions need, where some of them were purged whole."""

from __future__ import annotations

from collections.abc import Container

from ...format.commits import Commit
from ...format.generations import Generation, GenerationId
from ...format.ids import ObjectId
from ...format.records import CommitLink
from ..content.objects import Objects
from ..content.state import State
from .texts import Contexts


class Needs(Contexts):
    """What some refs need.

    Args:
        purged: the deletes that ended sessions which were purged: what was before one counts for nobody.
    """

    def __init__(self, objects: Objects, purged: Container[GenerationId] = ()) -> None:
        super().__init__(objects)
        self._purged = purged

    def add_commit(self, link: CommitLink | None, path: str) -> None:
        """Take in what a commit in the history of a ref leads back to; nothing is read."""
        self._add_commit(link, path)

    def is_node(self, identity: ObjectId) -> bool:
        """Tell whether an object is a list of others, which holds no text."""
        return all(named.kind == "node" for named in self.uses[identity])

    def first_by(self, identity: ObjectId) -> str:
        """Return the path of the ref that leads to an object first."""
        return next(use.by for use in self.uses[identity].values())

    def size_of(self, identity: ObjectId) -> int:
        """Return how many bytes an object has."""
        return max((named.bytes for named in self.uses.get(identity, ())), default=0)

    def add_taken_in(self, state: State) -> None:
        """Take in what a state has taken in with its last step; nothing is read."""
        super()._add_generation(state.header.generation, state.key.path)

    def _add_generation(self, generation: Generation | None, by: str) -> None:
        # Of a side that went on after the purge, with what it had added: what else it had is gone too.
        if generation is None or generation.parent not in self._purged:
            super()._add_generation(generation, by)

    def _ends_at(self, commit: Commit) -> bool:
        return commit.generation is not None and commit.generation.id in self._purged
