"""What sessions need, where some of them were purged whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

from ...backends.base import Backend, RefKey
from ...errors import StoreError
from ...format.commits import Commit
from ...format.generations import Generation
from ...format.ids import ObjectId
from ...format.purge_records import Deleted
from ...format.records import CommitLink
from ...format.refs import Header, parse_ref
from ..content.objects import Objects
from ..content.state import State
from .texts import Contexts


class Needs(Contexts):
    """What some refs need.

    Args:
        purged: what ended sessions that were purged: what was before that counts for nobody.
    """

    def __init__(self, objects: Objects, purged: Collection[Deleted] = ()) -> None:
        super().__init__(objects)
        self._purged, self._steps = purged, {each.step for each in purged}

    def is_over(self, header: Header) -> bool:
        """Tell whether a ref is what is left of a session that was purged, and needs nothing."""
        return header.deleted and Deleted(header.generation_id, header.name) in self._purged

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
        if generation is None or generation.parent not in self._steps:
            super()._add_generation(generation, by)

    def _ends_at(self, commit: Commit) -> bool:
        return commit.generation is not None and Deleted(commit.generation.id, commit.name) in self._purged


def had_again(wanted: Iterable[str], backend: Backend, objects: Objects) -> set[ObjectId]:
    """Return the objects, of those that went with sessions, that others need in a store."""
    gone = objects.purged.of_sessions.intersection(wanted)
    if not gone:
        return set()
    needs = Needs(objects, objects.purged.sessions)
    for path in sorted(backend.ref_tokens()):
        with suppress(StoreError, KeyError):
            ref = parse_ref(backend.read_ref(RefKey(path)).data, path)
            if not needs.is_over(ref.header):
                needs.add_ref(ref, path)
    needs.follow()
    return gone.intersection(needs.uses)
