"""What is shown of some names: their sessions, and which refs each of them stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from ...errors import StoreError
from ...format.records import Stamped, Tag, stamp_order
from ..content.state import State

_Item = TypeVar("_Item", Stamped, Tag)


class Shown(NamedTuple):
    """One session of the view.

    Attributes:
        label: the name that it goes by: that in its header, or one derived from it where others diverged from it.
        head: its newest state, with the metadata of those that it covers.
        covered: refs of earlier states, or of the same one.
        undecided: what is missing to tell whether it continues another ref, or another one it.
        survived_delete: somebody deleted it, and somebody else, who did not know, went on.
        merged: of `covered`, those whose metadata counts: not from before the name was deleted or given anew.
        same: of `covered`, those of the same state.
    """

    label: str
    head: State
    covered: tuple[State, ...] = ()
    undecided: StoreError | None = None
    survived_delete: bool = False
    merged: tuple[State, ...] = ()
    same: tuple[State, ...] = ()

    @property
    def diverged_from(self) -> str | None:
        """The name in the header, where the session goes by another one."""
        return self.head.name if self.head.name != self.label else None


class View(NamedTuple):
    """All that heads with names in common add up to.

    Attributes:
        sessions: those that live; of the sides of one name, the one that keeps it comes first.
        deleted: tombstones that nothing continues, with the names that they keep.
        complete: nothing was missing.
    """

    sessions: tuple[Shown, ...]
    deleted: tuple[Shown, ...]
    complete: bool = True


def shown_as(
    label: str,
    head: State,
    covered: Sequence[State],
    merged: Sequence[State],
    same: Sequence[State],
    horizon: str,
    *,
    survived_delete: bool = False,
) -> Shown:
    """Return a session with the metadata and the tags of heads that its own covers; see `Shown` for the rest.

    For each key the latest stamp wins, whoever set it. `updated` is the latest of the heads at the state that is shown,
    and of those that a value comes from.
    """

    metadata = latest([head.metadata, *(other.metadata for other in merged)], horizon)
    tags = latest([head.tags, *(other.tags for other in merged)], horizon)
    sources = [
        other
        for other in merged
        if other in same or any(metadata[key] == item != head.metadata.get(key) for key, item in other.metadata.items())
    ]
    updated = max(each.updated for each in (head, *sources))
    shown = head
    if metadata != head.metadata or updated != head.updated or tags != head.tags:
        shown = replace(head, metadata=metadata, updated=updated, tags=tags)
    return Shown(label, shown, tuple(covered), None, survived_delete, tuple(merged), tuple(same))


def latest(each: Sequence[Mapping[str, _Item]], horizon: str) -> dict[str, _Item]:
    """Return what has the later stamp, key by key; of equal stamps the greater hash decides."""

    def weight(item: _Item) -> tuple[tuple[bool, str], str]:
        return stamp_order(item.stamp, horizon), hashlib.sha256(item.told_apart).hexdigest()

    latest = dict(each[0])
    for other in each[1:]:
        for key, item in other.items():
            if key not in latest or weight(latest[key]) < weight(item):
                latest[key] = item
    return latest
