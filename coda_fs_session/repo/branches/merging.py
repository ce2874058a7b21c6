"""What a session becomes when another one is merged into it; nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ..ancestry.ancestors import generations
from ..content.fronts import common_front
from ..content.state import State
from .bases import Span
from .three_way import Message, Strategy, merge, numbered


class Splicing(NamedTuple):
    """How a list becomes the merged one: ``list[:keep] + lines + list[resume:]``, with all before `start` hidden.

    Attributes:
        added, removed: how many messages more are shown, and how many are not shown any more.
        interleaved: see `three_way.Merged`.
    """

    start: int
    keep: int
    lines: list[bytes]
    resume: int
    added: int
    removed: int
    interleaved: bool = False


def merge_lists(base: Span, ours: State, theirs: State, strategy: Strategy) -> Splicing:
    """Merge the messages of two sessions, reading what follows the front that they have in common with their base.

    Raises:
        StoreError: an object is missing or damaged.
    """
    front = common_front(ours.messages, theirs.messages)
    known_list, count = base.content()
    front = common_front(known_list, ours.messages, min(front, count))
    hidden = min(ours.start, front)
    start = _three_way(min(base.start, front), hidden, min(theirs.start, front))
    before = numbered(known_list.read(front, count))
    shown, shown_there = numbered(ours.messages.read(front, ours.count)), _Theirs.of(theirs, front, before, ours)
    shown = shown[max(ours.start - front, 0) :]
    # What was picked and is not there any more was taken away.
    known = [*before[max(base.start - front, 0) :], *shown_there.picked]
    merged = merge(known, shown, shown_there.messages, strategy)
    found = merged.messages
    same = _same_front(found, shown)
    same_end = _same_front(found[same:][::-1], shown[same:][::-1])
    first = max(ours.start, front)
    if ours.start > front > start:
        # What the other side shows again comes before what is hidden here: that stays in the history only.
        first, same = front, 0
    elif ours.start > front:
        start = ours.start
    added = len(set(found).difference(shown)) + max(hidden - start, 0)
    removed = len(set(shown).difference(found)) + max(min(start, front) - hidden, 0)
    lines = [message.line for message in found[same : len(found) - same_end]]
    return Splicing(start, first + same, lines, ours.count - same_end, added, removed, merged.interleaved)


def _three_way(base: int, ours: int, theirs: int) -> int:
    if base == ours:
        return theirs
    return ours if base == theirs else max(ours, theirs)


def _same_front(one: list[Message], other: list[Message]) -> int:
    shorter = min(len(one), len(other))
    return next((place for place in range(shorter) if one[place] != other[place]), shorter)


class _Theirs(NamedTuple):
    """The messages of theirs after a front that are shown; of them, those that ours has picked before."""

    messages: list[Message]
    picked: list[Message]

    @classmethod
    def of(cls, theirs: State, front: int, before: Sequence[Message], ours: State) -> _Theirs:
        """Number the messages: those of the base first, then what was picked, so that it means the same in ours."""
        lines, chains = list(theirs.messages.read(front, theirs.count)), _picked_from(theirs, ours)
        hidden = max(theirs.start - front, 0)
        places = [place for place in range(len(lines)) if theirs.messages.chain_at(front + place + 1) in chains]
        if not chains or not places:
            return cls(numbered(lines)[hidden:], [])
        in_base = Counter(message.line for message in before)
        known: Counter[bytes] = Counter()
        picked: dict[int, Message] = {}
        for place in places:
            line = lines[place]
            picked[place] = Message(line, in_base[line] + known[line])
            known[line] += 1
        taken = set(picked.values())
        others = (
            message for message in numbered([*lines, *(lines[place] for place in places)]) if message not in taken
        )
        rest: dict[bytes, list[Message]] = {}
        for message in others:
            rest.setdefault(message.line, []).append(message)
        found = [picked[place] if place in picked else rest[line].pop(0) for place, line in enumerate(lines)]
        return cls(found[hidden:], list(picked.values()))


def _picked_from(theirs: State, ours: State) -> set[str]:
    """Return what ours has picked from theirs, as the chain hashes after the messages there."""
    names = {theirs.name, *theirs.header.former_names}
    return {
        each.chain
        for generation in generations(ours)
        if generation is not None
        for each in generation.picked
        if each.name in names
    }
