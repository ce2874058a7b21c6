"""Writing: how each change of a session becomes a line of its ref, or a new ref over new objects.

The order on disk is always the same: objects first, then the ref that names them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta

from ..backends.base import RefChangedError, RefKey, RefTakenError, Token
from ..errors import CorruptionError, SessionWarning, StoreError
from ..format.chunks import closes
from ..format.ids import chain_message
from ..format.names import ref_path, session_key
from ..format.records import Base, CommitLink, Operation, Parent, Stamped, decode_time, encode_time
from ..format.refs import Header, Save, encode_header, encode_save, parse_ref
from ..storage import name_taken
from ..working_copy import Splice
from .attempts import append_to, check_landed, rest_of, stale
from .heads import is_own, resolve
from .history import covers, freeze, freeze_tail, next_generation, same_life, unused_generation
from .messages import Draft, MessageList
from .repository import Repository
from .state import Attempt, FrozenTail, Head

COMPACT_BYTES = 1024 * 1024
"""A ref whose saves have grown past this (by edits and metadata, messages are sealed before) is rewritten."""

COMPACT_SAVES = 64
"""Saves after which a ref is rewritten with its messages in one line: to open a session is to verify every line."""

MetadataValues = dict[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Content:
    """Messages as they will stand in a new ref: a base in objects, then inline lines."""

    base: Base
    lines: list[bytes]


def save(repo: Repository, head: Head, splice: Splice, metadata: MetadataValues) -> tuple[Head, bool]:
    """Save a change on top of the state that it was made against.

    Args:
        head: that state; it may be stale.
        splice: the change of the messages; metadata: that of the metadata.

    Returns:
        The head with the change in it, and whether messages of others came in with it. Its name differs from
        the one before where the session was renamed meanwhile, or where the change became a branch of its own.

    Raises:
        SessionConflictError: the session changed meanwhile so that this change does not apply; nothing was written.
        StoreError: nothing was saved, or it cannot be told; saving again never saves twice.
        AttemptLandedError: nothing was saved now.
    """
    if is_own(repo, head) and _fits_tail(head, splice):
        try:
            return _saved(_append(repo, head, splice, metadata)), False
        except (RefChangedError, CorruptionError):
            pass
    saved, merged = _save_exclusively(repo, head, splice, metadata)
    return _saved(saved), merged


def _saved(head: Head) -> Head:
    head.attempted = {}
    return head


def _save_exclusively(repo: Repository, head: Head, splice: Splice, metadata: MetadataValues) -> tuple[Head, bool]:
    """Save with other writers kept waiting, as often as something else interferes."""
    rewrites = not is_own(repo, head) or not _fits_tail(head, splice)
    while True:
        try:
            with ExitStack() as stack:
                # Always the name before the ref, or two processes could wait for each other.
                if rewrites:
                    stack.enter_context(repo.machine.lock(session_key(head.name)))
                current, target = _current(repo, head, stack)
                outcome = rest_of(repo, head, current, splice) or _reconcile(repo, head, current, splice)
                if outcome is not None:
                    on, splice_on = outcome
                    on.attempted = head.attempted
                    merged = splice_on is not splice
                    if merged and splice_on.empty and not metadata:
                        return on, merged
                    attempt = _attempt(on, splice, splice_on)
                    if target is on and _fits_tail(on, splice_on):
                        return _append(repo, on, splice_on, metadata, attempt), merged
                    if rewrites:
                        return _rewrite(repo, on, splice_on, metadata, target, attempt), merged
                    rewrites = True
                    continue
        except RefChangedError:
            continue
        return _branch_off(repo, head, splice, metadata), False


def _current(repo: Repository, head: Head, stack: ExitStack) -> tuple[Head | None, Head | None]:
    """Read the session's newest state, and the ref of our own that a rewrite would replace (None: make one)."""
    if not is_own(repo, head):
        resolved = resolve(repo, head.name)
        if head.damage is not None:
            return head, None
        past = next((ref for ref in resolved.past if covers(ref, head)), None)
        if resolved.head is None and past is not None:
            # Renamed or deleted meanwhile: nothing of it may come back under the old name.
            resolved = resolve(repo, past.name)
            if resolved.head is None:
                return past, None
        return resolved.head or head, resolved.own
    try:
        stack.enter_context(repo.backend.hold(head.key))
        current = repo.reread(head)
    except (RefChangedError, KeyError, CorruptionError):
        # The file is gone, or is none of ours any more. That deletes nothing: what we know goes into a new one.
        return head, None
    if current.damage is not None:
        return head, None
    if current is not head and covers(head, current) and not covers(current, head):
        # An older copy was put over the file (rsync, a restored backup): what we know goes in its place.
        return head, current
    return current, current


def _reconcile(repo: Repository, head: Head, current: Head | None, splice: Splice) -> tuple[Head, Splice] | None:
    """Decide how a change made against `head` applies to `current`; None: as a branch."""
    if current is None or current is head:
        return head, splice
    policy = repo.settings.on_conflict
    step = current.header.generation
    renamed = step is not None and step.operation == "rename" and step.parent == head.generation_id
    # False where another file, which lacks what we saved, has come to stand at the path.
    continues = covers(current, head)
    follows = continues and (current.generation_id == head.generation_id or renamed)
    same_messages = (current.start, current.count) == (head.start, head.count) and current.chain == head.chain
    if splice.empty and not current.deleted and same_life(current, head):
        return current, append_to(current, splice.lines)
    if follows and same_messages:
        return current, splice
    if not splice.appends or splice.empty or policy == "raise":
        raise stale(head)
    if follows and policy == "append":
        return current, append_to(current, splice.lines)
    return None


def _branch_off(repo: Repository, head: Head, splice: Splice, metadata: MetadataValues) -> Head:
    """Keep a stale append as a session of its own: its label is derived from its first own message."""
    step = chain_message(head.chain, splice.lines[0])
    for digits in (8, 12, 16, 64):
        name = f"{head.name}~{step[:digits]}"
        taken = resolve(repo, name).head
        if taken is None:
            break
        check_landed(repo, taken, head.attempted)
    child = fork(repo, head, splice, name, metadata=merged(repo, head, metadata), at=None, attempted=head.attempted)
    warnings.warn(
        f"session {head.name!r} was changed elsewhere since it was opened; what you saved is now the session {name!r}",
        SessionWarning,
        stacklevel=4,
    )
    return child


def _fits_tail(head: Head, splice: Splice) -> bool:
    """Tell whether a change is one more line of the ref: no cut passed, nothing touched that is in objects."""
    if head.torn or head.size > COMPACT_BYTES or _has_many_lines(head):
        return False
    sizes = head.messages.sizes
    if splice.appends:
        size, lines = head.tail_bytes, splice.lines
    else:
        kept = head.start + splice.keep - head.header.base.messages
        if splice.drop or kept < 0:
            return False
        after = head.start + splice.resume - head.header.base.messages
        inline = head.messages.lines
        size = head.tail_bytes - sum(map(len, inline[kept:])) - len(inline[kept:])
        lines = splice.lines + inline[after:]
    for line in lines:
        size += len(line) + 1
        if len(line) + 1 >= sizes.large or closes(line, size, sizes):
            return False
    return True


def _attempt(on: Head, splice: Splice, splice_on: Splice) -> Attempt:
    if not splice.appends:
        return Attempt()
    earlier = len(splice.lines) - len(splice_on.lines)
    return Attempt(tuple(splice.lines), earlier, on.count, merged=splice_on is not splice)


def _has_many_lines(head: Head) -> bool:
    """Tell whether rewriting a ref pays; not where its lines tell of edits, which a rewrite would have to commit."""
    saves = head.saves
    return len(saves) > 0 and len(saves) % COMPACT_SAVES == 0 and all(save.replace is None for save in saves)


def _append(
    repo: Repository, head: Head, splice: Splice, metadata: MetadataValues, attempt: Attempt | None = None
) -> Head:
    """Save as one line: one write and one sync."""
    position = None
    lines = splice.lines
    if not splice.appends:
        position = head.start + splice.keep
        lines = lines + head.messages.lines[head.start + splice.resume - head.header.base.messages :]
    new = Save(head.last_id, repo.now(), lines, position, _stamped(repo, head, metadata))
    data, line_id = encode_save(new)
    try:
        token = repo.backend.append_ref(head.key, head.token, data)
    except (RefChangedError, StoreError):
        # Whether the line is in the file can only be told by reading it.
        head.attempted[line_id] = attempt or _attempt(head, splice, splice)
        raise
    head.fold(new, line_id)
    head.token = token
    head.size += len(data)
    return head


def _rewrite(
    repo: Repository, head: Head, splice: Splice, metadata: MetadataValues, target: Head | None, attempt: Attempt
) -> Head:
    """Save as a new ref: a seal, a new generation, or the first ref of our own for a conversation of another's."""
    now = repo.now()
    if target is not head and is_own(repo, head):
        # Our file was lost or put back to what it was, and so may be objects that only it named.
        head.messages.secure()
    operation = _operation(head, splice)
    link = head.header.commit
    generation = head.header.generation
    if operation is None:
        link = _keep_edits(repo, head, splice, now)
    else:
        _, link = _freeze_all(repo, head, operation, now)
    content = spliced(repo, head, splice)
    if operation is not None:
        result = _result(repo, head, splice, content)
        generation = next_generation(head, operation, result)
    base = replace(content.base, metadata=merged(repo, head, metadata))
    header = replace(head.header, updated=now, base=base, generation=generation, commit=link)
    return publish(repo, header, content.lines, target, attempted=head.attempted, attempt=attempt)


def _operation(head: Head, splice: Splice) -> Operation | None:
    """Name the step that needs a generation of its own; appends and edits of the tail do not."""
    if splice.appends:
        return None
    if splice.drop == splice.saved:
        return "clear"
    if splice.keep == splice.saved:
        return "truncate"
    in_tail = splice.drop == 0 and head.start + splice.keep >= head.header.base.messages
    return None if in_tail else "edit"


def _keep_edits(repo: Repository, head: Head, splice: Splice, now: str) -> CommitLink | None:
    """Before a seal: commit the states before the first edit of the tail and after the last, told by lines so far."""
    tails = list(head.tails_around_edits())
    if not splice.appends:
        tails = [*tails[:1], head.tail()]
    return _commit_tails(repo, head, tails, now)


def _commit_tails(repo: Repository, head: Head, tails: list[FrozenTail], now: str) -> CommitLink | None:
    link = head.header.commit
    for tail in [tails[0], tails[-1]] if len(tails) > 1 else tails:
        _, new, link = freeze_tail(head, tail, "seal", now, link)
        repo.objects.put(new)
    return link


def _freeze_all(repo: Repository, head: Head, operation: Operation, now: str) -> tuple[Base, CommitLink]:
    """Before a new generation: commit the present state, and before it those around edits of the tail."""
    tails = list(head.tails_around_edits())
    if tails and tails[-1].line == head.last_id:
        tails.pop()
    base, new, link = freeze(head, operation, now, _commit_tails(repo, head, tails, now))
    repo.objects.put(new)
    return base, link


def spliced(repo: Repository, head: Head, splice: Splice) -> Content:
    """Apply a change to a head's messages; the objects of the result are written."""
    old = head.messages
    if splice.drop == splice.saved and not splice.appends:
        draft = Draft(repo.objects, repo.sizes)
        draft.extend(splice.lines)
        draft.finish()
        return Content(draft.base(), draft.loose)
    start = head.start + splice.drop
    start_bytes = old.bytes_before(start) if splice.drop else old.base.start_bytes
    if splice.keep == splice.saved:
        draft = Draft(repo.objects, repo.sizes, old.base.spine, old.loose())
    else:
        keep = head.start + splice.keep
        before = old.prefix(keep)
        draft = Draft(repo.objects, repo.sizes, before.spine, old.read(before.spine.messages, keep))
    draft.extend(splice.lines)
    if splice.resume < splice.saved:
        draft.splice(old, head.start + splice.resume)
    draft.finish()
    return Content(*_hide(draft, start, start_bytes))


def _hide(draft: Draft, start: int, start_bytes: int) -> tuple[Base, list[bytes]]:
    """Hide the first messages of a draft; a base can only hide what is in it, so hidden inline lines move there."""
    base, lines = draft.base(), draft.loose
    if start > base.messages:
        messages = MessageList(draft.objects, draft.sizes, base, lines)
        base, new = messages.freeze()
        draft.objects.put(new)
        lines = []
    return replace(base, start=start, start_bytes=start_bytes), lines


def _result(repo: Repository, head: Head, splice: Splice, content: Content) -> Base:
    """Return the state right after the operation, before what the same save appended."""
    messages = MessageList(repo.objects, repo.sizes, content.base, content.lines)
    whole_edit = splice.keep < splice.saved and splice.drop < splice.saved
    count = messages.count if whole_edit else messages.count - len(splice.lines)
    return Base(count, 0, messages.chain_at(count), content.base.start)


def publish(
    repo: Repository,
    header: Header,
    lines: list[bytes],
    target: Head | None,
    *,
    attempted: dict[str, Attempt] | None = None,
    attempt: Attempt | None = None,
) -> Head:
    """Write a ref: in place of `target`, which must be as last seen, or under a free key.

    The name's lock must be held. Where it fails, `attempted` takes `attempt` in, under the id that tells whether it got
    through after all.
    """
    with repo.writing() as replica:
        header = replace(header, replica=replica)
        data, line_id = encode_header(header)
        if lines:
            line, line_id = encode_save(Save(line_id, header.updated, lines))
            data += line
        try:
            if target is not None:
                if target.torn:
                    repo.machine.set_aside(session_key(target.name), target.torn)
                key, token = target.key, repo.backend.replace_ref(target.key, target.token, data)
            else:
                key, token = _create(repo, replica, session_key(header.name), data)
        except StoreError:
            if attempted is not None:
                attempted[line_id] = attempt or Attempt()
            raise
    head = Head.of(key, token, parse_ref(data, repo.backend.locate(key)), repo.objects, repo.sizes)
    repo.index.note(head)
    return head


def _create(repo: Repository, replica: str, key: str, data: bytes) -> tuple[RefKey, Token]:
    number = 1
    while True:
        ref_key = RefKey(ref_path(replica, key, number))
        try:
            return ref_key, repo.backend.create_ref(ref_key, data)
        except RefTakenError:
            number += 1


def create(
    repo: Repository,
    name: str,
    content: Content,
    metadata: dict[str, Stamped],
    *,
    created: str | None = None,
    updated: str | None = None,
    parent: Parent | None = None,
    attempted: dict[str, Attempt] | None = None,
) -> Head:
    """Make a session under a free name; where it was deleted before, as a step forward in the same ref.

    Args:
        attempted: what earlier attempts to make this very session have left, and where this one notes itself.

    Raises:
        SessionExistsError: the name is taken.
        AttemptLandedError: it is, by an earlier attempt.
    """
    now = repo.now()
    base = replace(content.base, metadata=metadata)
    header = Header(name, "", created or now, updated or created or now, base, parent)
    with repo.machine.lock(session_key(name)):
        resolved = resolve(repo, name)
        if resolved.head is not None:
            check_landed(repo, resolved.head, attempted)
            raise name_taken(name)
        grave = resolved.tombstone
        if not resolved.past:
            return publish(repo, header, content.lines, None, attempted=attempted)
        # The name was in use: without a generation of its own, a session that begins with the same messages
        # (or with none) would pass for an early copy of the one that was deleted or renamed.
        messages = MessageList(repo.objects, repo.sizes, base, content.lines)
        result = Base(messages.count, 0, messages.chain_at(messages.count), base.start)
        generation = next_generation(grave or resolved.past[0], "create", result)
        generation = unused_generation(generation, resolved.past)
        link = None
        if grave is not None:
            _, new, link = freeze(grave, "create", now, grave.header.commit)
            repo.objects.put(new)
        header = replace(header, generation=generation, commit=link)
        return publish(repo, header, content.lines, grave, attempted=attempted)


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
    repo.objects.put(new)
    content = Content(base, [])
    if lines:
        draft = Draft(repo.objects, repo.sizes, base.spine, MessageList(repo.objects, repo.sizes, base, []).loose())
        draft.extend(lines)
        draft.finish()
        content = Content(*_hide(draft, start, base.start_bytes)) if draft.spine != base.spine else Content(base, lines)
    total = MessageList(repo.objects, repo.sizes, content.base, content.lines)
    parent = Parent(head.name, total.count - start, start, total.chain_at(total.count))
    return create(repo, name, content, metadata, parent=parent, attempted=attempted)


def rename(repo: Repository, old: str, new: str) -> Head | None:
    """Give a session another name, in the same ref; None where `old` is not there.

    Raises:
        SessionExistsError: the new name is taken.
    """
    with ExitStack() as stack:
        for key in sorted({session_key(old), session_key(new)}):
            stack.enter_context(repo.machine.lock(key))
        resolved = resolve(repo, old)
        if resolved.head is None:
            return None
        there = resolve(repo, new)
        if there.head is not None:
            raise name_taken(new)
        return _step(repo, resolved.head, resolved.own, "rename", new, past=there.past)


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
    with repo.machine.lock(session_key(name)):
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
    past: Sequence[Head] = (),
) -> Head:
    """Begin a generation that changes no message, and that is not one of `past`, which had the new name before."""
    now = repo.now()
    frozen, link = _freeze_all(repo, head, operation, now)
    if operation == "delete":
        header = replace(head.header, updated=now, base=Base())
    else:
        former = (*head.header.former_names, head.name)
        header = replace(
            head.header, name=new_name or head.name, former_names=former, updated=head.updated, base=frozen
        )
    generation = unused_generation(next_generation(head, operation, header.base, new_name), past)
    return publish(repo, replace(header, generation=generation, commit=link), [], target)


def merged(repo: Repository, head: Head, metadata: MetadataValues) -> dict[str, Stamped]:
    """Return a head's metadata with changes in it."""
    return {**head.metadata, **_stamped(repo, head, metadata)}


def _stamped(repo: Repository, head: Head, metadata: MetadataValues) -> dict[str, Stamped]:
    """Stamp changes later than anything seen, so that they win over it wherever refs are merged, whatever the clock."""
    if not metadata:
        return {}
    stamp = repo.now()
    if head.metadata:
        newest = max(decode_time(item.stamp) for item in head.metadata.values())
        stamp = max(stamp, encode_time(newest + timedelta(microseconds=1)))
    return {key: Stamped(stamp, value) for key, value in metadata.items()}
