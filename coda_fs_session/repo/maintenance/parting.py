"""What others do with their side of a session that somebody has purged whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from ...backends.base import RefKey
from ...errors import StoreError
from ...format.generations import TakenIn
from ...format.names import origins, session_key
from ...format.purge_records import Deleted
from ...format.records import Base, CommitLink
from ..ancestry.ancestors import covers
from ..ancestry.lineage import UndecidedError, last_common, path_of, were_one
from ..ancestry.shown import Shown
from ..branches.bases import Span, state_id
from ..branches.three_way import numbered
from ..content.messages import Draft
from ..content.state import State
from ..lookup.names import is_own
from ..repository import Repository
from ..writing.commits import Facts, freeze
from ..writing.refs import Content, hide, publish
from ..writing.step import step


class Ended(NamedTuple):
    """A session as it was when a delete ended it.

    Attributes:
        is_past: another one goes on from there, that has its name or what somebody had added.
        sides: what of it was only masked, as others went on with what they had added.
    """

    shown: Shown
    is_past: bool = False
    sides: tuple[CommitLink, ...] = ()


def as_deleted(shown: Shown, deleted: Deleted) -> Ended | None:
    """Return a session as it was when a delete ended it; None where it was not ended by that one."""
    head, sides = shown.head, list[CommitLink]()
    if Deleted(head.generation_id, head.name) == deleted:
        return Ended(shown)
    with suppress(StoreError):
        generation, link = head.header.generation, head.header.commit
        while link is not None:
            if generation is not None and generation.parent == deleted.step:
                sides += [taken.commit for taken in generation.merged]
            commit = head.messages.objects.commit(link)
            generation = commit.generation
            if generation is not None and Deleted(generation.id, commit.name) == deleted:
                before = head.at_commit(link, commit)
                covered = tuple(each for each in shown.covered if covers(before, each))
                return Ended(Shown(shown.label, before, covered), is_past=True, sides=tuple(dict.fromkeys(sides)))
            link = commit.previous
    return None


def joined(found: Sequence[Ended]) -> Ended:
    """Return what is known of a session from all that go on from it; the tombstone itself counts first."""
    first = min(found, key=lambda each: each.is_past)
    heads = {each.key: each for ended in found for each in ended.shown.covered}
    sides = dict.fromkeys(link for ended in found for link in ended.sides)
    return Ended(first.shown._replace(covered=tuple(heads.values())), first.is_past, tuple(sides))


def own_sides(repo: Repository, sides: Iterator[Shown], tombstone: State) -> Iterator[RefKey]:
    """Yield the refs of ours that went another way than a session before it was deleted.

    Raises:
        StoreError: an object is missing or damaged that decides it.
    """
    for shown in sides:
        head = shown.head
        if shown.undecided is not None or covers(head, tombstone):
            continue
        own = next((each for each in (head, *shown.covered) if is_own(repo.replica, each)), None)
        if own is not None and added_since(head, tombstone) is not None:
            yield own.key


def added_since(head: State, tombstone: State) -> list[bytes] | None:
    """Return the messages that one side of a session has added since it parted from one that was deleted.

    A message counts as in a merge: by its line, and how often that came before it.

    Returns:
        None where the two were never one session.

    Raises:
        StoreError: an object is missing or damaged that decides it.
    """
    try:
        path, there = path_of(head), path_of(tombstone)
        if not were_one(path, there):
            return None
        point = last_common(path, there)
    except UndecidedError as error:
        raise error.problem from error
    messages, count = Span(path, point.run, point.messages).content()
    known = set(numbered(messages.read(0, count)))
    shown = numbered(head.messages.read(0, head.count))[head.start :]
    return [message.line for message in shown if message not in known]


class Parted(NamedTuple):
    """What became of a side.

    Attributes:
        merged: the state that has taken it in; now: that, or a tombstone where nothing was added.
    """

    merged: State
    now: State


def part(repo: Repository, key: RefKey, tombstone: State) -> Parted | None:
    """Let a ref of ours go on from the tombstone, with nothing but what it added since; without that it is deleted.

    Returns:
        what became of it; None where it is no side of that any more.

    Raises:
        StoreError: nothing was changed, or it cannot be told.
    """
    with repo.lock(*map(session_key, origins(tombstone.name))), repo.backend.hold(key):
        state = repo.read(key)
        if state.damage is not None or covers(state, tombstone):
            return None
        lines = added_since(state, tombstone)
        if lines is None:
            return None
        draft = Draft(repo.objects, repo.sizes)
        draft.extend(lines)
        draft.finish()
        now = repo.now()
        taken = freeze(repo, state, "merged", now)
        merged = step(
            *(repo, tombstone, "merge", Content(*hide(draft)), state),
            now=now,
            header=replace(tombstone.header, created=now, updated=now),
            # So it covers what others still have of this side.
            facts=Facts(merged=(TakenIn(state_id(state), taken.commit),)),
            objects=taken.objects,
        )
        if lines:
            return Parted(merged, merged)
        return Parted(merged, step(repo, merged, "delete", Content(Base(), []), merged, now=repo.now()))


def follow(repo: Repository, tombstone: State, target: State) -> None:
    """Let a ref of ours be the tombstone, too, that covers it; the name's lock is held."""
    header = replace(tombstone.header, base=replace(tombstone.header.base, metadata={}, tags={}))
    publish(repo, header, [], target)
