"""Verbs that go back: undo, restore, and the tags that name a state to go back to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ...backends.base import RefChangedError
from ...errors import HistoryError, SessionNotFoundError
from ...format.commits import Commit
from ...format.generations import FIRST_GENERATION, Generation, Operation
from ...format.names import origins, session_key
from ...format.records import CommitLink, Metadata, Tag, Tags
from ...storage import name_taken
from ..content.state import Cursor, State
from ..history.moments import Moment, moments
from ..history.places import To, before, find
from ..lookup.names import Resolved, is_purged, resolve
from ..repository import Repository
from ..reverts.put_back import retried
from .attempts import append_to
from .commits import Facts
from .lifecycle import WhatWasShown
from .merging import set_apart
from .refs import Content, MetadataValues, hide, merged
from .save import save
from .step import step


class Gone(NamedTuple):
    """What going back has led to; `keeps_metadata`: that of the state is not known, and the present one stayed."""

    head: State
    keeps_metadata: bool


class _Way(NamedTuple):
    """Where a verb goes.

    Attributes:
        to: the state; name: what the session is called then.
        merged: the merge that is taken back, if it is one.
    """

    to: Moment
    name: str
    merged: Generation | None = None


_Choose = Callable[[State], _Way | None]


def undo(repo: Repository, name: str, *, known: Sequence[State] = ()) -> Gone | None:
    """Take the last change of a session back that is not taken back yet; None where there is none.

    Args:
        known: see `WhatWasShown`.

    Raises:
        SessionNotFoundError: there is none of this name, and none was deleted.
        SessionExistsError: a rename is to be taken back, and the name from before is taken.
        HistoryError: the state before is not known any more.
        StoreError: nothing was changed, or it cannot be told.
    """

    def choose(head: State) -> _Way | None:
        found = before(head)
        if found is None:
            return None
        last, to = found
        name = to.stretch.name if last.kind == "rename" else head.name
        return _Way(to, name, last.stretch.generation if last.kind == "merge" else None)

    return _go_back(repo, name, "undo", choose, known)


def restore(repo: Repository, name: str, to: To | None, *, known: Sequence[State] = ()) -> Gone | None:
    """Bring a session to a state that it was at; a deleted one is there again. None where it is at that already.

    Args:
        to: names the state; None: that before the session was deleted.
        known: see `WhatWasShown`.

    Raises:
        HistoryError: there is no such state, or `to` is None and the session is not deleted.
        SessionNotFoundError, StoreError: as `undo`.
    """

    def choose(head: State) -> _Way | None:
        if to is not None:
            place: Moment | None = find(head, to)
        elif head.deleted:
            place = next((each for each in moments(head) if each.kind != "delete"), None)
        else:
            raise HistoryError(f"session {head.name!r} is not deleted: name the state to go back to")
        if place is None:
            raise HistoryError(f"session {head.name!r} was deleted, and its history has not arrived")
        now = next(moments(head))
        if not head.deleted and (place.stretch.step, place.messages, place.line) == (
            *(now.stretch.step, now.messages),
            now.line,
        ):
            return None
        return _Way(place, head.name)

    return _go_back(repo, name, "restore", choose, known)


def _go_back(repo: Repository, name: str, operation: Operation, choose: _Choose, known: Sequence[State]) -> Gone | None:
    shown = WhatWasShown(repo, known, "taken back")
    return retried(repo, partial(_go, repo, {*origins(name)}, name, operation, choose, shown))


def _go(
    repo: Repository, locked: set[str], name: str, operation: Operation, choose: _Choose, shown: WhatWasShown
) -> Gone | None:
    with shown.attempt(), repo.lock(*map(session_key, locked)):
        found = shown.resolve(name)
        head, target = found or found_or_deleted(repo, resolve(repo, name), name)
        way = choose(head)
        if way is None:
            return None
        # Before anything is written: what has expired cannot be gone back to.
        to = way.to.name_of_state()
        # Only what it goes back to tells which name it takes; and a side that is set apart has one of the former ones.
        needed = {*(head.header.former_names if way.merged is not None else ()), *({way.name} - {head.name})}
        if not needed <= locked:
            # Then all is done again with these locked too.
            locked |= needed
            raise RefChangedError(head.key)
        if way.merged is not None:
            set_apart(repo, head, way.merged)
        now = repo.now()
        header = replace(head.header, updated=now)
        past: Sequence[State] = ()
        if way.name != head.name:
            there = resolve(repo, way.name)
            if there.head is not None:
                raise name_taken(way.name)
            former = (*head.header.former_names, head.name)
            header = replace(header, name=way.name, former_names=former, life=there.life)
            past = there.past
        changed = step(
            *(repo, head, operation, _content(repo, head, way.to), target),
            now=now,
            header=header,
            facts=Facts(way.name if way.name != head.name else None, to),
            past=past,
        )
        return Gone(changed, way.to.metadata is None)


def found_or_deleted(repo: Repository, resolved: Resolved, name: str) -> tuple[State, State | None]:
    """Return the session of a name or its tombstone, and the ref of our own to replace."""
    found = resolved.shown or resolved.tombstone
    if found is None or is_purged(found.head):
        raise SessionNotFoundError(name)
    return found.head, resolved.own


def _content(repo: Repository, head: State, to: Moment) -> Content:
    """Return what the session is to hold; metadata that goes back is stamped anew."""
    state = to.state(head)
    draft = state.messages.draft(to.messages)
    draft.finish()
    base, lines = hide(draft, state.start, state.messages.base.start_bytes)
    frozen = _frozen(repo, head)
    tags: Tags = frozen.base.tags if frozen else head.tags
    # What others have set is no part of the history of this ref, and stays.
    own: Metadata = {} if frozen else _own_metadata(head)
    then: Metadata = to.metadata if to.metadata is not None else frozen.base.metadata if frozen else own
    changes: MetadataValues = {}
    for key in (*own, *(key for key in then if key not in own)):
        value = then[key].value if key in then else None
        if value != (own[key].value if key in own else None):
            changes[key] = value
    return Content(replace(base, metadata=merged(repo, head, changes), tags=tags), lines)


def _own_metadata(head: State) -> Metadata:
    metadata = dict(head.header.base.metadata)
    for save_ in head.saves:
        metadata.update(save_.metadata)
    return metadata


def _frozen(repo: Repository, head: State) -> Commit | None:
    """Return what a tombstone's session was before; None for a session that lives."""
    return repo.objects.commit(head.header.commit) if head.deleted and head.header.commit else None


def tag(repo: Repository, name: str, label: str, at: To | None) -> Moment:
    """Have a label name a state of a session from now on, and return that state.

    Raises:
        SessionNotFoundError: there is no session of this name.
        HistoryError: there is no state `at`.
        StoreError: nothing was changed, or it cannot be told.
    """
    head = _living(repo, name)
    place = next(moments(head)) if at is None else find(head, at)
    state = place.state(head)
    base, new = state.messages.in_objects()
    generation, step_id = place.stretch.generation, place.stretch.step
    before_it = head.header.commit
    commit = Commit(
        name=place.stretch.name,
        time=repo.now(),
        updated=place.time,
        reason="tag",
        line=head.last_id,
        base=replace(base, metadata=dict(state.metadata)),
        generation=generation,
        previous=before_it,
        skip=repo.objects.skip_for(before_it),
        replica=repo.replica or "",
        step="" if step_id == (generation.id if generation else FIRST_GENERATION) else step_id,
    )
    made, link = repo.objects.new_commit(commit)
    repo.objects.put([*new, made])
    _set(repo, name, label, link)
    return place


def untag(repo: Repository, name: str, label: str) -> None:
    """Take a label away.

    Raises:
        SessionNotFoundError: there is no session of this name.
        HistoryError: it has no such tag.
    """
    known = _living(repo, name).tags.get(label)
    if known is None or known.commit is None:
        raise HistoryError(f"session {name!r} has no tag {label!r}")
    _set(repo, name, label, None)


def _living(repo: Repository, name: str) -> State:
    head = resolve(repo, name).head
    if head is None:
        raise SessionNotFoundError(name)
    return head


def _set(repo: Repository, name: str, label: str, link: CommitLink | None) -> None:
    head = _living(repo, name)
    horizon = repo.horizon()
    newest = max((each.stamp for each in head.tags.values() if each.stamp < horizon), default="")
    tags = {label: Tag(repo.now(after=newest), link)}
    save(repo, Cursor(head), append_to(head, []), {}, "append", tags=tags)
