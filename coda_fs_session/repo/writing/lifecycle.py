"""Verbs on whole sessions: create, fork, rename, delete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from ...backends.base import NewObject, RecordAheadError
from ...errors import ObjectNotYetHereError, StoreError, warn
from ...format.marks import Mark
from ...format.names import origins, session_key
from ...format.records import Base, Parent, Stamped
from ...format.refs import Header
from ...session.splice import Splice
from ...storage import name_taken
from ..ancestry.ancestors import covers
from ..content.messages import MessageList
from ..content.state import Attempt, State
from ..lookup.names import Resolved, resolve
from ..repository import Repository
from ..reverts.put_back import retried
from .attempts import check_landed
from .commits import Facts, next_generation, unused_generation
from .refs import Content, hide, lead_to, publish, spliced
from .step import step


def create(
    repo: Repository,
    name: str,
    content: Content,
    metadata: dict[str, Stamped],
    *,
    created: str | None = None,
    updated: str | None = None,
    parent: Parent | None = None,
    objects: Sequence[NewObject] = (),
    attempted: dict[str, Attempt] | None = None,
) -> State:
    """Make a session under a free name; where it was deleted before, as a step forward in the same ref.

    Args:
        objects: what `content` names and is not written yet.
        attempted: what earlier attempts to make this very session have left, and where this one notes itself.

    Raises:
        SessionExistsError: the name is taken.
        AttemptLandedError: it is, by an earlier attempt.
    """
    now = repo.now()
    base = replace(content.base, metadata=metadata)
    updated, count = updated or created or now, base.messages + len(content.lines)
    # Few as they are: most forks stay small.
    marks = (Mark(count, updated, 0),) if count else ()
    header = Header(name, "", created or now, updated, base, parent, marks=marks)
    return retried(repo, partial(_create, repo, header, content.lines, objects, attempted))


def _create(
    repo: Repository,
    header: Header,
    lines: list[bytes],
    objects: Sequence[NewObject],
    attempted: dict[str, Attempt] | None,
) -> State:
    name, base = header.name, header.base
    with repo.lock(session_key(name)):
        with repo.index.making(repo.replica):
            resolved = resolve(repo, name)
        if resolved.head is not None:
            check_landed(repo, resolved.head, attempted)
            raise name_taken(name)
        if not resolved.past:
            return publish(repo, header, lines, None, objects=objects, attempted=attempted)
        repo.objects.put(objects)
        content = Content(base, lines)
        # The name was in use: without a generation of its own, a session that begins with the same messages
        # (or with none) would pass for an early copy of the one that was deleted or renamed.
        if resolved.tombstone is not None:
            before = resolved.tombstone.head
            known = replace(header, former_names=before.header.former_names, life=before.header.life)
            # Not where a part of its history has not arrived: the new session does not need it.
            with suppress(ObjectNotYetHereError):
                return step(
                    *(repo, before, "create", content, resolved.own),
                    now=repo.now(),
                    header=known,
                    past=resolved.past,
                    attempted=attempted,
                )
        messages = MessageList(repo.objects, repo.sizes, base, lines)
        result = Base(messages.count, 0, messages.chain_at(messages.count), base.start)
        generation = unused_generation(next_generation(resolved.past[0], "create", result), resolved.past)
        header = replace(header, life=resolved.life, generation=generation)
        return publish(repo, header, lines, None, attempted=attempted)


def fork(
    repo: Repository,
    head: State,
    splice: Splice,
    name: str,
    *,
    parent: str,
    metadata: dict[str, Stamped],
    at: int | None,
    created: str | None = None,
    updated: str | None = None,
    attempted: dict[str, Attempt] | None = None,
) -> State:
    """Make a session of the first `at` live messages (None: all) that `head` has once `splice` is applied.

    Copies no message and leaves the parent's ref alone: the costs do not depend on the length.

    Args:
        parent: what the parent is called now.
        created, updated: as for `create`.
    """
    messages, start = head.messages, head.start
    count = splice.result_count() if at is None else at
    lines: list[bytes] = []
    if splice.appends and (at is None or at > splice.saved):
        lines = splice.lines[: count - splice.saved]
        count = splice.saved
    elif not splice.appends:
        content = spliced(head, splice)
        messages, start = MessageList(repo.objects, repo.sizes, content.base, content.lines), content.base.start
    base, new = messages.in_objects(start + count)
    base = replace(base, start=start, start_bytes=messages.base.start_bytes)
    content = Content(base, [])
    if lines:
        # What comes after them is cut together with them.
        repo.objects.put(new)
        new = []
        draft = MessageList(repo.objects, repo.sizes, base, []).draft()
        draft.extend(lines)
        draft.finish()
        content = Content(*hide(draft, start, base.start_bytes)) if draft.spine != base.spine else Content(base, lines)
    total = MessageList(repo.objects, repo.sizes, content.base, content.lines)
    origin = Parent(parent, total.count - start, start, total.chain_at(total.count))
    times = {"created": created, "updated": updated}
    return create(repo, name, content, metadata, parent=origin, objects=new, attempted=attempted, **times)


class WhatWasShown:
    """What a verb by name may take away: what its caller was shown, and nothing that had to be put back beyond it.

    Args:
        known: states of the session that the caller holds, besides the one that the name stood for.
        done: what the verb does, for people.
    """

    def __init__(self, repo: Repository, known: Sequence[State], done: str) -> None:
        self._repo = repo
        self._done = done
        self._known = known
        self._last: Resolved | None = None
        self._first: Resolved | None = None

    def resolve(self, name: str) -> tuple[State, State | None] | None:
        """Return the state that the verb applies to, with the ref of our own to replace; None where there is none."""
        self._last = found = resolve(self._repo, name)
        first = self._first
        if first is None or first.head is None or found.head is None or self._was_shown(found.head, first.head):
            return None if found.head is None else (found.head, found.own)
        warn(f"session {name!r}: only what was shown of it was {self._done}; what had to be put back stays")
        # What was put back is in our ref of the name: the verb makes another one.
        return first.head, None

    def _was_shown(self, head: State, first: State) -> bool:
        try:
            return any(covers(shown, head) for shown in (first, *self._known))
        except StoreError:
            return False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Note what the name stood for when something has to be put back before the verb."""
        try:
            yield
        except RecordAheadError:
            self._first = self._first or self._last
            raise


def rename(repo: Repository, old: str, new: str, *, known: Sequence[State] = ()) -> State | None:
    """Give a session another name, in the same ref; None where `old` is not there.

    Args:
        known: see `WhatWasShown`.

    Raises:
        SessionExistsError: the new name is taken.
    """
    return retried(repo, partial(_rename, repo, old, new, WhatWasShown(repo, known, "renamed")))


def _rename(repo: Repository, old: str, new: str, shown: WhatWasShown) -> State | None:
    with shown.attempt(), repo.lock(session_key(new), *map(session_key, origins(old))):
        found = shown.resolve(old)
        if found is None:
            return None
        there = resolve(repo, new)
        if there.head is not None:
            raise name_taken(new)
        head, target = found
        if target is not None and repo.machine.shares_replica:
            lead_to(repo, new, target)
        former = (*head.header.former_names, head.name)
        header = replace(head.header, name=new, former_names=former, life=there.life, updated=head.updated)
        return step(
            *(repo, head, "rename", None, target),
            now=repo.now(),
            header=header,
            facts=Facts(name=new),
            past=there.past,
        )


def steps_from(renamed: State, before: State) -> bool:
    """Tell whether `renamed` is the very state that `before` is, but for the rename in between."""
    generation = renamed.header.generation
    return (
        generation is not None
        and generation.operation == "rename"
        and (renamed.start, renamed.count, renamed.chain) == (before.start, before.count, before.chain)
    )


def delete(repo: Repository, name: str, *, known: Sequence[State] = ()) -> bool:
    """Leave a tombstone in the session's ref; False where there is no session of this name.

    Args:
        known: see `WhatWasShown`.
    """
    return retried(repo, partial(_delete, repo, name, WhatWasShown(repo, known, "deleted")))


def _delete(repo: Repository, name: str, shown: WhatWasShown) -> bool:
    with shown.attempt(), repo.lock(*map(session_key, origins(name))):
        found = shown.resolve(name)
        if found is None:
            return False
        head, target = found
        now = repo.now()
        step(repo, head, "delete", Content(Base(), []), target, now=now, header=replace(head.header, updated=now))
        return True
