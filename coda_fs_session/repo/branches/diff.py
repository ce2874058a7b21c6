"""What tells two lists of messages apart: by the entries of their trees, then by lines, then by words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from ...format.jsonl import decode_all, encode_value
from ...format.tree import chunks
from ...session.shapes import text
from ..content.fronts import common_front
from ..content.messages import MessageList

Kind = Literal["added", "removed", "changed", "replaced"]

LARGEST_STRETCH = 20_000
"""Messages, or words of one, that are compared; where more differ at one place, all are shown as replaced."""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which two sessions differ.

    Attributes:
        kind: "added" and "removed" as seen from the first session, "changed" where one message stands for another one,
            and "replaced" for a stretch of more than 20,000 messages that was not looked into.
        at, there: the first message of it in the first session, and in the other one.
        removed, added: how many messages of the first session, and of the other one.
        before, after: those messages; () where the kind is "replaced".
    """

    kind: Kind
    at: int
    there: int
    removed: int
    added: int
    before: tuple[dict[str, Any], ...] = ()
    after: tuple[dict[str, Any], ...] = ()

    def words(self) -> list[tuple[str, str]]:
        """Return the words of a changed message: pairs of "=", "-" or "+" and a text, in order.

        They are of what the messages say; where that is the same, of their JSON.
        """
        if self.kind != "changed":
            return []
        one, other = text(self.before[0]), text(self.after[0])
        if one == other:
            one, other = (_json(each[0]) for each in (self.before, self.after))
        return list(_word_changes(one, other))


@dataclass(frozen=True, slots=True)
class Diff:
    """What tells two sessions apart, in the order of their messages; false where nothing does.

    Attributes:
        common: how many messages at the front both have.
    """

    common: int
    differences: tuple[Difference, ...]

    def __bool__(self) -> bool:
        return bool(self.differences)

    def __str__(self) -> str:
        """Return a text with a line for each message that one of the sessions lacks."""
        lines: list[str] = []
        for each in self.differences:
            lines.append(f"@@ -{each.at},{each.removed} +{each.there},{each.added} @@")
            lines += [f"- {_json(message)}" for message in each.before]
            lines += [f"+ {_json(message)}" for message in each.after]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Live:
    """The messages of a session that are shown: those of a list from `start` on."""

    messages: MessageList
    start: int

    @property
    def count(self) -> int:
        return self.messages.count - self.start

    def lines(self, start: int, stop: int) -> list[bytes]:
        return list(self.messages.read(self.start + start, self.start + stop))

    def chunks(self, start: int) -> list[tuple[int, int, str]]:
        """Return the whole chunks from a message on: first message, how many, and id."""
        spine, first = self.messages.base.spine, self.start + start
        found = chunks(spine, first, spine.messages, self.messages.objects.node)
        return [(place - self.start, entry.messages, entry.id) for place, entry in found if place >= first]


def diff(one: Live, other: Live) -> Diff:
    """Compare two lists, reading only what differs.

    Raises:
        StoreError: an object is missing or damaged that decides it.
    """
    common, differences = 0, []
    hidden = max(one.start, other.start)
    front = common_front(one.messages, other.messages)
    places = 0, 0
    if front >= hidden:
        # What one of them hides, the other one has more at its front.
        places = hidden - one.start, hidden - other.start
        differences += list(_stretch(one, other, (0, places[0]), (0, places[1])))
        common = 0 if any(places) else front - hidden
        places = places[0] + front - hidden, places[1] + front - hidden
    ends = places
    for block, block_there, size in _equal_chunks(one, other, places):
        differences += _stretch(one, other, (ends[0], block), (ends[1], block_there))
        ends = block + size, block_there + size
    differences += _stretch(one, other, (ends[0], one.count), (ends[1], other.count))
    return Diff(common, tuple(differences))


def _equal_chunks(one: Live, other: Live, places: tuple[int, int]) -> Iterator[tuple[int, int, int]]:
    """Yield the chunks that two lists share behind these places, in order: the first message in each, and how many."""
    here, there = one.chunks(places[0]), other.chunks(places[1])
    if len(here) + len(there) > LARGEST_STRETCH:
        return
    matcher = SequenceMatcher(None, [each[2] for each in here], [each[2] for each in there], autojunk=False)
    for block, block_there, size in matcher.get_matching_blocks():
        for number in range(size):
            yield here[block + number][0], there[block_there + number][0], here[block + number][1]


def _stretch(one: Live, other: Live, here: tuple[int, int], there: tuple[int, int]) -> Iterator[Difference]:
    removed, added = here[1] - here[0], there[1] - there[0]
    if removed + added > LARGEST_STRETCH:
        yield Difference("replaced", here[0], there[0], removed, added)
        return
    before, after = one.lines(*here), other.lines(*there)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for operation, first, last, first_there, last_there in matcher.get_opcodes():
        if operation != "equal":
            pair = before[first:last], after[first_there:last_there]
            yield from _differences(here[0] + first, there[0] + first_there, *pair)


def _differences(at: int, place: int, before: Sequence[bytes], after: Sequence[bytes]) -> Iterator[Difference]:
    paired = min(len(before), len(after))
    for number in range(paired):
        pair = _decoded(before[number : number + 1]), _decoded(after[number : number + 1])
        yield Difference("changed", at + number, place + number, 1, 1, *pair)
    if before[paired:]:
        rest = _decoded(before[paired:])
        yield Difference("removed", at + paired, place + paired, len(rest), 0, rest)
    if after[paired:]:
        rest = _decoded(after[paired:])
        yield Difference("added", at + paired, place + paired, 0, len(rest), (), rest)


def _decoded(lines: Sequence[bytes]) -> tuple[dict[str, Any], ...]:
    return tuple(decode_all(lines))


def _json(message: dict[str, Any]) -> str:
    return encode_value(message, "").decode()


def _word_changes(one: str, other: str) -> Iterator[tuple[str, str]]:
    before, after = _WORD.findall(one), _WORD.findall(other)
    if len(before) + len(after) > LARGEST_STRETCH:
        yield from (("-", one), ("+", other))
        return
    for operation, first, last, first_there, last_there in SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if operation == "equal":
            yield "=", "".join(before[first:last])
            continue
        if first < last:
            yield "-", "".join(before[first:last])
        if first_there < last_there:
            yield "+", "".join(after[first_there:last_there])
