"""Bringing sessions together: a merge, a pick, and setting a side apart again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import NamedTuple

from ...errors import HistoryExpiredError, SessionNotFoundError, SessionTooLargeError
from ...format.generations import Generation, Picked, TakenIn
from ...format.names import origins, session_key
from ...format.records import Stamped
from ..ancestry.ancestors import covers, states_taken_in
from ..ancestry.lineage import UndecidedError
from ..ancestry.merges import frozen
from ..ancestry.shown import latest
from ..branches.bases import Span, base_of, state_id
from ..branches.merging import Splicing, merge_lists
from ..branches.three_way import Strategy
from ..content.state import Cursor, State
from ..lookup.names import Resolved, follow, resolve
from ..repository import Repository
from ..reverts.put_back import retried
from .commits import Facts, freeze
from .refs import Content, hide, stamped
from .step import step


class Joined(NamedTuple):
    """What a merge or a pick led to.

    Attributes:
        state: the new one, or the present one where there was nothing to do.
        added, removed: how many messages more are shown, and how many are not shown any more.
        interleaved: see `branches.three_way.Merged`.
    """

    state: State
    added: int = 0
    removed: int = 0
    interleaved: bool = False


def merge(repo: Repository, source: str, into: str, strategy: Strategy) -> Joined:
    """Merge one session into another one, as one step forward in the ref of the second.

    Raises:
        SessionNotFoundError: one of the two is not there.
        SessionTooLargeError: the result would be larger than a session may be.
        ValueError: they are one session.
        StoreError: nothing was changed, or it cannot be told.
    """
    return retried(repo, partial(_merge, repo, source, into, strategy))


def _merge(repo: Repository, source: str, into: str, strategy: Strategy) -> Joined:
    with repo.lock(*_keys(source, into)):
        found, head = _found(repo, into)
        _, other = _found(repo, source)
        if head.key == other.key:
            raise ValueError(f"{source!r} and {into!r} are one session: there is nothing to merge")
        base = base_of(head, other)
        state = state_id(other)
        if base is not None and base.id == state:
            return Joined(head)
        splicing = merge_lists(base or Span.nothing(other), head, other, strategy)
        content = _spliced(repo, head, splicing)
        if _is_side(head, other):
            content = _with_values(repo, content, head, other, strategy)
        now = repo.now()
        taken = freeze(repo, other, "merged", now)
        merged = step(
            *(repo, head, "merge", content, found.own),
            now=now,
            header=replace(head.header, updated=now),
            facts=Facts(merged=(TakenIn(state, taken.commit),)),
            objects=taken.objects,
        )
        return Joined(merged, splicing.added, splicing.removed, splicing.interleaved)


def label_of(repo: Repository, state: State) -> str:
    """Return what a session is called now that went on to a state."""
    shown = follow(repo, Cursor(state)).shown
    return state.name if shown is None else shown.label


def _keys(*names: str) -> list[str]:
    return [session_key(name) for each in names for name in origins(each)]


def _found(repo: Repository, name: str) -> tuple[Resolved, State]:
    resolved = resolve(repo, name)
    if resolved.shown is None:
        raise SessionNotFoundError(name)
    if resolved.shown.undecided is not None:
        raise resolved.shown.undecided
    return resolved, resolved.shown.head


def _spliced(repo: Repository, head: State, splicing: Splicing) -> Content:
    """Apply what a merge changes to a head's messages, metadata and tags stay; the objects are written."""
    old, most = head.messages, repo.settings.max_session_bytes
    draft = old.draft(splicing.keep)
    draft.extend(splicing.lines)
    if splicing.resume < head.count:
        draft.splice(old, splicing.resume)
    draft.finish()
    base, lines = hide(draft, splicing.start, old.bytes_before(splicing.start))
    size = base.bytes - base.start_bytes + sum(len(line) + 1 for line in lines)
    if size > most:
        raise SessionTooLargeError(
            f"session {head.name!r} would have {size / 2**20:.1f} MB, and max_session_size is {most / 2**20:g} MB: "
            "raise the option (0 is no limit), or truncate one of the two; nothing was changed"
        )
    return Content(replace(base, metadata=head.metadata, tags=head.tags), lines)


def _with_values(repo: Repository, content: Content, head: State, other: State, strategy: Strategy) -> Content:
    """Return a content with the metadata and tags of both sides: of each key what was set later, or one side's."""
    horizon = repo.horizon()
    metadata = latest([head.metadata, other.metadata], horizon)
    if strategy in ("ours", "theirs"):
        kept = head.metadata if strategy == "ours" else other.metadata
        nothing = Stamped("", None)
        values = {key: (kept.get(key, nothing).value, metadata[key].value) for key in metadata}
        # Set anew: else what was set later on the other side would be read over it.
        changes = {key: value for key, (value, now) in values.items() if value != now}
        metadata |= stamped(repo, replace(head, metadata=metadata), changes)
    tags = latest([head.tags, other.tags], horizon)
    return Content(replace(content.base, metadata=metadata, tags=tags), content.lines)


def pick(repo: Repository, source: str, places: Sequence[int], into: str) -> Joined:
    """Add messages of one session, by their places there, at the end of another one.

    Raises:
        IndexError: there is no message at one of the places.
        SessionNotFoundError, SessionTooLargeError, ValueError, StoreError: as in `merge`.
    """
    return retried(repo, partial(_pick, repo, source, places, into))


def _pick(repo: Repository, source: str, places: Sequence[int], into: str) -> Joined:
    with repo.lock(*_keys(source, into)):
        found, head = _found(repo, into)
        _, other = _found(repo, source)
        if head.key == other.key:
            raise ValueError(f"{source!r} and {into!r} are one session: its messages are there")
        for place in places:
            if not 0 <= place < other.live_count:
                raise IndexError(f"session {source!r} has {other.live_count} messages, and none at {place}")
        if not places:
            return Joined(head)
        positions = [other.start + place for place in places]
        lines = [line for position in positions for line in other.messages.read(position, position + 1)]
        picked = tuple(Picked(other.name, other.messages.chain_at(position + 1)) for position in positions)
        splicing = Splicing(head.start, head.count, lines, head.count, len(lines), 0)
        now = repo.now()
        state = step(
            *(repo, head, "pick", _spliced(repo, head, splicing), found.own),
            now=now,
            header=replace(head.header, updated=now),
            facts=Facts(picked=picked),
        )
        return Joined(state, len(lines))


def set_apart(repo: Repository, head: State, merged: Generation) -> None:
    """Before a merge is undone: let what it took in be a side again, where nothing else is left of that.

    The name's lock must be held. Done again after a crash, it finds what was set apart. The side may take over the name
    by which the session goes: which ref the undo replaces is to be found out before.

    Args:
        head: the session that has the merge behind it.
        merged: the generation that the merge began.

    Raises:
        StoreError: nothing was changed, or it cannot be told.
    """
    for taken in merged.merged:
        side = _frozen(head, taken)
        if not _is_side(head, side):
            # Of another session nothing is covered by a merge.
            continue
        names = dict.fromkeys((head.name, side.name))
        others = (shown.head for name in names for shown in resolve(repo, name).sides)
        if any(other.key != head.key and covers(other, side) for other in others):
            continue
        if side.messages.held() < side.count:
            raise HistoryExpiredError(
                f"session {head.name!r}: the merge cannot be undone, as what it took in is not in the store any more: "
                "history is kept for `retention_days`"
            )
        base = base_of(_before(head, merged), side) or Span.nothing(side)
        step(repo, side, "part", None, None, now=repo.now(), facts=Facts(to=base.id))


def _is_side(head: State, other: State) -> bool:
    """Tell whether another state is of the same session, so that what goes on from it stands for it."""
    return other.name == head.name or other.name in head.header.former_names


def _frozen(head: State, taken: TakenIn) -> State:
    try:
        return frozen(head, taken.commit)
    except UndecidedError as error:
        raise error.problem from error


def _before(head: State, generation: Generation) -> State:
    """Return the state that a generation began after, of a head or of what merges took in."""
    for state in chain([head], states_taken_in(head)):
        newer, link = state.header.generation, state.header.commit
        while link is not None:
            commit = head.messages.objects.commit(link)
            if newer == generation != commit.generation:
                return state.at_commit(link, commit)
            newer, link = commit.generation, commit.previous
    raise AssertionError("a merge freezes the state before it")
