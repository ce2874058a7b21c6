"""Objects that went with a purged session, and that other sessions have, as somebody has said the same again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

from ...errors import StoreError
from ...format.ids import ObjectId
from ...format.purge_records import Deleted
from ...format.refs import parse_ref
from ..ancestry.ancestors import generations
from ..content.objects import Objects
from ..content.state import State
from ..maintenance.reach import Reach
from .side import Found


def said_anew(
    found: Iterable[Found],
    objects: Objects,
    gone: Collection[ObjectId],
    sessions: Collection[Deleted],
) -> set[ObjectId]:
    """Return which of some objects sessions need as they are, but for sides of what was purged.

    Args:
        found: the refs of the side that has the objects; objects: where the lists of these refs are read.
        gone: the objects; sessions: what ended those that were purged whole.
    """
    reach = Reach(objects)
    for each in found:
        if each.head is not None and not each.head.deleted and not _is_side(each.head, sessions):
            reach.add_ref(parse_ref(each.data, each.path), each.path)
    reach.follow()
    now = {each for each, uses in reach.uses.items() if any(use.now for use in uses.values())}
    now |= {stand_in for each in now for stand_in in objects.purged.stand_ins(each)}
    return {each for each in gone if each in now}


def _is_side(head: State, sessions: Collection[Deleted]) -> bool:
    """Tell whether a session of a name that was purged does not go on from there: its machine has not been told yet."""
    steps = {each.step for each in sessions if each.name == head.name}
    if not steps:
        return False
    with suppress(StoreError):
        return not any(each is not None and each.id in steps for each in generations(head))
    return True
