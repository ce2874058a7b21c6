"""Verbs on whole sessions: create, fork, rename, delete."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial

from ..backends.base import NewObject
from ..errors import ObjectNotYetHereError
from ..format.names import session_key
from ..format.records import Base, Operation, Parent, Stamped
from ..format.refs import Header
from ..storage import name_taken
from ..working_copy import Splice
from .attempts import check_landed
from .heads import origins, resolve
from .history import freeze, next_generation, unused_generation
from .messages import MessageList
from .publish import Content, freeze_all, hide, publish, spliced
from .put_back import retried
from .repository import Repository
from .state import Attempt, Head


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
) -> Head:
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
    header = Header(name, "", created or now, updated or created or now, base, parent)
    return retried(repo, partial(_create, repo, header, content.lines, objects, attempted))


def _create(
    repo: Repository,
    header: Header,
    lines: list[bytes],
    objects: Sequence[NewObject],
    attempted: dict[str, Attempt] | None,
) -> Head:
    name, base = header.name, header.base
    with repo.machine.lock(session_key(name)):
        resolved = resolve(repo, name, making=True)
        if resolved.head is not None:
            check_landed(repo, resolved.head, attempted)
            raise name_taken(name)
        if not resolved.past:
            return publish(repo, header, lines, None, objects=objects, attempted=attempted)
        repo.objects.put(objects)
        # The name was in use: without a generation of its own, a session that begins with the same messages
        # (or with none) would pass for an early copy of the one that was deleted or renamed.
        messages = MessageList(repo.objects, repo.sizes, base, lines)
        result = Base(messages.count, 0, messages.chain_at(messages.count), base.start)
        before, target, link = resolved.past[0], None, None
        header = replace(header, life=resolved.life)
        if resolved.grave is not None:
            # Not where a part of its history has not arrived: the new session does not need it.
            with suppress(ObjectNotYetHereError):
                _, new, link = freeze(resolved.grave.head, "create", repo.now(), resolved.grave.head.header.commit)
                repo.objects.put(new)
                before, target = resolved.grave.head, resolved.own
                header = replace(header, former_names=before.header.former_names, life=before.header.life)
        generation = unused_generation(next_generation(before, "create", result), resolved.past)
        header = replace(header, generation=generation, commit=link)
        return publish(repo, header, lines, target, attempted=attempted)


def fork(
    repo: Repository,
    head: Head,
    splice: Splice,
    name: str,
    *,
    metadata: dict[str, Stamped],
    at: int | None,
    attempted: dict[str, Attempt] | None = None,
) -> Head:
    """Make a session of the first `at` live messages (None: all) that `head` has once `splice` is applied.

    Copies no message and leaves the parent's ref alone: the costs do not depend on the length.
    """
    messages, start = head.messages, head.start
    count = splice.result_count() if at is None else at
    lines: list[bytes] = []
    if splice.appends and (at is None or at > splice.saved):
        lines = splice.lines[: count - splice.saved]
        count = splice.saved
    elif not splice.appends:
        content = spliced(repo, head, splice)
        messages, start = MessageList(repo.objects, repo.sizes, content.base, content.lines), content.base.start
    base, new = messages.freeze(start + count)
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
    parent = Parent(head.name, total.count - start, start, total.chain_at(total.count))
    return create(repo, name, content, metadata, parent=parent, objects=new, attempted=attempted)


def rename(repo: Repository, old: str, new: str) -> Head | None:
    """Give a session another name, in the same ref; None where `old` is not there.

    Raises:
        SessionExistsError: the new name is taken.
    """
    return retried(repo, partial(_rename, repo, old, new))


def _rename(repo: Repository, old: str, new: str) -> Head | None:
    with ExitStack() as stack:
        for key in sorted({session_key(new), *map(session_key, origins(old))}):
            stack.enter_context(repo.machine.lock(key))
        resolved = resolve(repo, old)
        if resolved.head is None:
            return None
        there = resolve(repo, new)
        if there.head is not None:
            raise name_taken(new)
        return _step(repo, resolved.head, resolved.own, "rename", new, life=there.life, past=there.past)


def steps_from(renamed: Head, before: Head) -> bool:
    """Tell whether `renamed` is the very state that `before` is, but for the rename in between."""
    generation = renamed.header.generation
    return (
        generation is not None
        and generation.operation == "rename"
        and (renamed.start, renamed.count, renamed.chain) == (before.start, before.count, before.chain)
    )


def delete(repo: Repository, name: str) -> bool:
    """Leave a tombstone in the session's ref; False where there is no session of this name."""
    return retried(repo, partial(_delete, repo, name))


def _delete(repo: Repository, name: str) -> bool:
    with ExitStack() as stack:
        for key in sorted(set(map(session_key, origins(name)))):
            stack.enter_context(repo.machine.lock(key))
        resolved = resolve(repo, name)
        if resolved.head is None:
            return False
        _step(repo, resolved.head, resolved.own, "delete", None)
        return True


def _step(
    repo: Repository,
    head: Head,
    target: Head | None,
    operation: Operation,
    new_name: str | None,
    *,
    life: int = 0,
    past: Sequence[Head] = (),
) -> Head:
    """Begin a generation that changes no message, and that is not one of `past`, which had the new name before.

    Args:
        life: for a rename, see `Header.life`.
    """
    now = repo.now()
    frozen, link = freeze_all(repo, head, operation, now)
    if operation == "delete":
        header = replace(head.header, updated=now, base=Base())
    else:
        former = (*head.header.former_names, head.name)
        header = replace(
            head.header, name=new_name or head.name, former_names=former, life=life, updated=head.updated, base=frozen
        )
    generation = unused_generation(next_generation(head, operation, header.base, new_name), past)
    return publish(repo, replace(header, generation=generation, commit=link), [], target)
