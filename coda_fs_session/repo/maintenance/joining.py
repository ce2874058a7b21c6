"""What of history it takes to bring sessions together: to tell their sides apart, and to merge them.

That stays, however old it is. So the view after a gc is the view before it, by construction, and so is what a merge
makes of the sides of a session, of a branch and what it branched from, and of sessions that were merged before.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import combinations

from ...backends.base import Backend, RefKey
from ...backends.wrapper import WrapperBackend
from ...format.tree import chunks
from ..ancestry.lineage import UndecidedError, last_common, paths_of
from ..ancestry.resolve import resolve_heads
from ..branches.bases import base_of
from ..branches.joints import joints_of
from ..content.messages import MessageList
from ..content.state import State
from ..repository import Repository


class _Recorder(WrapperBackend):
    """A store that notes which objects are read."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.read: set[str] = set()

    def avoid(self, names: Callable[[], Container[str]]) -> None:
        """Do nothing: it is asked of the store within by who writes there."""

    def around_refs(self, naming: Callable[[Sequence[tuple[RefKey, bytes]]], AbstractContextManager[object]]) -> None:
        """Do nothing, for the same reason."""

    def get_object(self, identity: str, *, size: int | None, limit: int) -> bytes:
        self.read.add(identity)
        return super().get_object(identity, size=size, limit=limit)


def needed_to_join(repo: Repository) -> set[str]:
    """Return the objects that are read where sessions are looked up, and those that a merge would read.

    Raises:
        StoreError: a ref, or an object that it takes, cannot be read.
    """
    recorder = _Recorder(repo.backend)
    view = Repository(recorder, repo.machine, repo.settings._replace(message_cache_size=0))
    heads = [view.read(key) for key, _ in repo.backend.refs()]
    named: dict[str, list[State]] = {}
    pairs: list[tuple[State, State]] = []
    for group in _of_one_session(heads):
        if len(group) == 1:
            shown: Sequence[State] = group
        else:
            shown = [each.head for each in resolve_heads(group, lambda name: False, view.horizon()).sessions]
            for one, other in combinations(group, 2):
                # What comes next tells a side from another one, should it go on.
                with suppress(UndecidedError):
                    for path, there in (paths_of(one, other), paths_of(other, one)):
                        path.step_after(last_common(path, there))
        living = [head for head in shown if not head.deleted]
        pairs += combinations(living, 2)
        for head in living:
            for name in {head.name, *head.header.former_names}:
                named.setdefault(name, []).append(head)
    pairs += ((head, other) for head in heads for name in _joined_with(head) for other in named.get(name, ()))
    for one, other in pairs:
        # Without a commit there is no history.
        if one is not other and (one.header.commit or other.header.commit):
            base = base_of(one, other)
            if base is not None:
                recorder.read.update(_objects_of(*base.content()))
    return recorder.read


def _of_one_session(heads: Iterable[State]) -> list[list[State]]:
    """Group heads that have, or had, a name in common, be it through others."""
    groups: list[tuple[set[str], list[State]]] = []
    place: dict[str, int] = {}
    for head in heads:
        names = {head.name, *head.header.former_names}
        members = [head]
        for known in {place[name] for name in names if name in place}:
            names |= groups[known][0]
            members = [*groups[known][1], *members]
        groups.append((names, members))
        place |= dict.fromkeys(names, len(groups) - 1)
    return [groups[each][1] for each in dict.fromkeys(place.values())]


def _joined_with(head: State) -> set[str]:
    """Return the names of what a session branched from, and of what was merged into it."""
    merged = {joint.source for joint in joints_of(head) if not joint.picked}
    return {*merged, *([head.parent_name] if head.parent_name is not None else [])}


def _objects_of(messages: MessageList, count: int) -> Iterator[str]:
    """Yield the objects that hold the first messages of a list; nodes are noted as they are read."""
    spine = messages.base.spine
    for _, entry in chunks(spine, 0, min(count, spine.messages), messages.objects.node):
        yield entry.id
    if messages.base.tail and count > spine.messages:
        yield messages.base.tail.id
