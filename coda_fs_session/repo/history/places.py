"""From what a caller names to a moment: an entry's id, a tag, a time, or a number of messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from difflib import get_close_matches
from itertools import chain, islice

from ...errors import HistoryError
from ...format.generations import GenerationId, StateId
from ...format.records import CommitLink, Tags, encode_time, utc_time
from ..ancestry.ancestors import states_taken_in
from ..content.messages import MessageList
from ..content.state import State
from .moments import Moment, Stretch, moments
from .sides import moments_and_sides

_ID = re.compile(r"((?:[0-9a-f]{12}(?:\.[0-9]+)?/)*)([0-9a-f]{8,64}):([0-9]+)(?::([0-9a-f]{8}))?")
_LIKE_ID = re.compile(r"[0-9a-f]{8,}([:/.][0-9a-f:/.]*)?")
_NAMED = 3
_LOOKED_AT = 1000
"""Entries among which the nearest to one that is not there are looked for."""

To = int | str | datetime


def looks_like_id(label: str) -> bool:
    """Tell whether a label could be taken for the id of an entry, or for the beginning of one."""
    return _LIKE_ID.fullmatch(label) is not None


def find(head: State, to: To) -> Moment:
    """Return the state that `to` names: the newest one of several.

    Raises:
        HistoryError: there is none; the text names the nearest.
        TypeError: `to` names nothing.
        StoreError: the history cannot be read.
    """
    if isinstance(to, datetime):
        return _by_time(head, encode_time(utc_time(to)))
    if isinstance(to, str):
        return _by_name(head, to)
    if type(to) is not int:
        raise TypeError(f"a state is named by a number of messages, an id, a tag or a datetime, not {to!r}")
    for moment in moments(head):
        count = to + moment.stretch.start
        if to >= 0 and _holds(moment, count):
            return moment.at(count)
    raise HistoryError(f"session {head.name!r} never had {to} messages: it has {head.live_count} now")


def find_state(head: State, state: StateId) -> Iterator[Moment]:
    """Yield the moments from a state on, newest first; none where the history does not have it."""
    for each in chain([head], states_taken_in(head)):
        found = False
        for moment in moments(each):
            if not found and _is_at(moment, state):
                found = True
                moment = moment.at(state.messages)
            if found:
                yield moment
        if found:
            return


def _is_at(moment: Moment, state: StateId) -> bool:
    return (
        moment.stretch.step == state.step
        and _holds(moment, state.messages)
        # Sides may have begun with other messages, and so without a step.
        and _chain_fits(moment.stretch.messages, state)
    )


def _chain_fits(messages: MessageList | None, state: StateId) -> bool:
    if messages is None or messages.held() < state.messages != messages.count:
        # What has expired cannot tell.
        return True
    return messages.chain_at(state.messages) == state.chain


def _holds(moment: Moment, count: int) -> bool:
    """Tell whether a list of so many messages was the session at a moment, or since the one before it."""
    if moment.kind == "append":
        return moment.messages - moment.added < count <= moment.messages
    return count == moment.messages and moment.kind != "metadata"


def _by_time(head: State, time: str) -> Moment:
    oldest: list[Moment] = []
    for moment in moments(head):
        if moment.time <= time:
            return moment
        oldest = [*oldest[1 - _NAMED :], moment]
    raise HistoryError(f"session {head.name!r} was not there yet at {time}: its history begins with {_ids(oldest)}")


def _by_name(head: State, to: str) -> Moment:
    tags = tags_of(head)
    tag = tags.get(to)
    if tag is not None and tag.commit is not None:
        return tagged(head, tag.commit)
    match = _ID.fullmatch(to)
    if match is not None:
        side, step, count, line = match[1], match[2], int(match[3]), match[4]
        for moment in moments_and_sides(head) if side else moments(head):
            if moment.side != side or not moment.stretch.step.startswith(step):
                continue
            if line is not None and moment.messages == count and moment.line.startswith(line):
                return moment
            if _holds(moment, count):
                # A save of metadata alone is known as long as it is a line; its messages are.
                return moment.at(count) if line is None else moment.at(count)._replace(metadata=None)
    labels = [label for label, each in tags.items() if each.commit is not None]
    known = [*labels, *(moment.id for moment in islice(moments_and_sides(head), _LOOKED_AT))]
    nearest = get_close_matches(to, known, _NAMED, 0.0)
    raise HistoryError(
        f"session {head.name!r} has no entry and no tag {to!r}: the nearest are {', '.join(map(repr, nearest))}"
    )


def _ids(found: list[Moment]) -> str:
    return ", ".join(repr(moment.id) for moment in found)


def tags_of(head: State) -> Tags:
    """Return the tags of a session; of a deleted one those that it had."""
    link = head.header.commit
    return head.messages.objects.commit(link).base.tags if head.deleted and link else head.tags


def tagged(head: State, link: CommitLink) -> Moment:
    """Return the state that a tag's commit freezes."""
    commit = head.messages.objects.commit(link)
    messages = MessageList(head.messages.objects, head.messages.sizes, commit.base, [])
    step = GenerationId(commit.step) if commit.step else commit.generation_id
    marks = commit.marks
    stretch = Stretch(
        *(step, commit.generation, commit.base.start, messages, marks, commit.base.metadata, commit.name),
        commit.replica,
    )
    return Moment(
        *(stretch, messages.count, "tag", commit.updated, commit.replica, 0, 1, "", commit.base.metadata),
    )


def before(head: State) -> tuple[Moment, Moment] | None:
    """Return the moment that an undo takes back, and the one that it goes back to; None where nothing is left."""
    found = moments(head)
    last = next(found)
    while last.kind in ("undo", "restore"):
        generation = last.stretch.generation
        assert generation is not None, "it began with one of these"
        assert generation.to is not None, "the format asks for it"
        found = find_state(head, generation.to)
        last = next(found, last)
        if last.stretch.generation is generation:
            raise HistoryError(f"session {head.name!r}: the history does not have the state that it went back to")
    if last.kind == "create":
        return None
    for moment in found:
        # Metadata that was set at the state that was gone back to has no lines any more, and went with it.
        if (moment.stretch.step, moment.messages) != (last.stretch.step, last.messages) or last.kind == "metadata":
            return last, moment
    return None
