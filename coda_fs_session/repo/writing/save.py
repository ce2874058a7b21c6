"""Writing: how each change of a session becomes a line of its ref, or a new ref over new objects.

The order on disk is always the same: objects first, then the ref that names them.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import NamedTuple

from ...backends.base import PlannedError, RecordAheadError, RefChangedError, RefRefusedError
from ...errors import CorruptionError, warn
from ...format.chunks import holds_cut, size_of
from ...format.generations import Operation
from ...format.ids import chain_message
from ...format.marks import Mark, thinned
from ...format.names import derived, session_key
from ...format.records import NO_TAGS, Base, Tags
from ...format.refs import Save, encode_save
from ...session.splice import Splice
from ...storage import not_as_expected
from ..ancestry.ancestors import covers, only_renamed, same_life
from ..content.messages import MessageList, goes_through_purged
from ..content.state import Attempt, Cursor, State
from ..lookup.names import follow, is_own, resolve
from ..repository import Repository
from ..reverts.plans import finish
from ..reverts.put_back import put_back
from .attempts import AttemptLandedError, append_to, check_landed, goes_on, rest_of, stale
from .lifecycle import fork
from .refs import Content, MetadataValues, keep_edits, merged, publish, spliced, stamped
from .step import step

COMPACT_BYTES = 1024 * 1024
"""A ref whose saves have grown past this (by edits and metadata, messages are sealed before) is rewritten."""

COMPACT_SAVES = 64
"""Saves that a ref may be opened with before it is rewritten with its messages in one line, by the saves after that.

To open a session is to verify every line. A program that opens one for every save is to find few.
"""

MOST_SAVES = 256
"""Saves after which a ref is rewritten in any case, which takes as long as ten saves."""


class Saved(NamedTuple):
    """What a save led to.

    Attributes:
        state: the one that has the change in it. Its name differs from the one before where the session was renamed
            meanwhile, or where the change became a branch of its own.
        merged: messages of others came in with it.
    """

    state: State
    merged: bool = False


def append(
    repo: Repository, cursor: Cursor, splice: Splice, metadata: MetadataValues, time: str | None = None
) -> State | None:
    """Save a change as one line of the ref, and return the state that it leads to.

    None where somebody else has written to the ref, or the change is more than a line: then it takes a `save`.

    Args:
        time: what the session is to show as the time of the change; that of this call where None.

    Raises:
        StoreError: nothing was saved, or it cannot be told; saving again never saves twice.
    """
    head = cursor.state
    if cursor.shared is None and is_own(repo.replica, head) and _fits_tail(cursor, head, splice):
        try:
            return _append(repo, cursor, head, splice, metadata, time)
        except (RefChangedError, CorruptionError):
            pass
    return None


def save(
    repo: Repository,
    cursor: Cursor,
    splice: Splice,
    metadata: MetadataValues,
    on_conflict: str,
    expected: str | None = None,
    time: str | None = None,
    tags: Tags = NO_TAGS,
) -> Saved:
    """Save a change on top of the state that it was made against, with other writers kept waiting.

    Args:
        cursor: of that state, which may be stale.
        splice: the change of the messages; metadata: that of the metadata.
        on_conflict: what is done where the session grew meanwhile: "append", "branch" or "raise".
        expected: the revision that it must have.
        time: as for `append`.
        tags: the tags that change.

    Raises:
        SessionConflictError: the session changed meanwhile so that this change does not apply, or is not as expected;
            nothing was written.
        StoreError: nothing was saved, or it cannot be told; saving again never saves twice.
        AttemptLandedError: nothing was saved now.
    """
    head = cursor.state
    rewrites = expected is not None or not is_own(repo.replica, head) or not _fits_tail(cursor, head, splice)
    while True:
        try:
            with ExitStack() as stack:
                # Always the name before the ref, or two processes could wait for each other.
                if rewrites:
                    stack.enter_context(repo.lock(session_key(head.name)))
                current, target = _current(repo, cursor, stack)
                rest = rest_of(repo, cursor, current, splice)
                if rest is not None and target is current:
                    # Made durable just now: it has another token.
                    target = rest[0]
                if expected is not None and (rest is None or not rest[1].empty):
                    expect(repo, cursor, expected)
                outcome = rest or _reconcile(on_conflict, head, current, splice)
                if outcome is not None:
                    on, splice_on = outcome
                    merged = splice_on is not splice
                    if merged and splice_on.empty and not metadata and not tags and time is None:
                        return Saved(on, merged)
                    attempt = _attempt(on, splice, splice_on, metadata)
                    if target is on and _fits_tail(cursor, on, splice_on):
                        return Saved(_append(repo, cursor, on, splice_on, metadata, time, attempt, tags), merged)
                    if rewrites:
                        rewritten = _rewrite(repo, cursor, on, splice_on, metadata, time, target, attempt, tags)
                        return Saved(rewritten, merged)
                    rewrites = True
                    continue
        except PlannedError:
            finish(repo)
            continue
        except RecordAheadError:
            put_back(repo)
            continue
        except RefChangedError:
            continue
        return Saved(_branch_off(repo, cursor, splice, metadata, time, current))


def expect(repo: Repository, cursor: Cursor, expected: str) -> None:
    """Make sure that a session is at a revision.

    What is read here is what is written on top of: a ref that changes from now on refuses the write.

    Raises:
        SessionConflictError: it is at another one, or is not there any more.
    """
    head = follow(repo, cursor).head
    actual = "" if head is None else head.revision()
    if actual != expected:
        raise not_as_expected(cursor.state.name, expected, actual)


def _current(repo: Repository, cursor: Cursor, stack: ExitStack) -> tuple[State | None, State | None]:
    """Read the session's newest state, and the ref of our own that a rewrite would replace (None: make one)."""
    head = cursor.state
    if not is_own(repo.replica, head):
        if head.damage is not None:
            return head, None
        found = follow(repo, cursor)
        if found.tombstone is not None:
            # Deleted meanwhile: nothing of it may come back under the old name.
            return found.tombstone.head, None
        return found.head or head, found.own
    try:
        # Not under the lock, which others wait for.
        repo.compare(cursor)
        stack.enter_context(repo.backend.hold(head.key))
        current = repo.reread(cursor)
    except (RefChangedError, KeyError, CorruptionError):
        # The file is gone, or is none of ours any more. That deletes nothing: what we know goes into a new one.
        return head, None
    if current.damage is not None:
        return head, None
    if current is not head and not covers(current, head) and covers(head, current):
        # An older copy was put over the file (rsync, a restored backup): what we know goes in its place.
        return head, current
    return current, current


def _reconcile(policy: str, head: State, current: State | None, splice: Splice) -> tuple[State, Splice] | None:
    """Decide how a change made against `head` applies to `current`; None: as a branch."""
    if current is None or current is head:
        return head, splice
    # False where another file, which lacks what we saved, has come to stand at the path.
    continues = covers(current, head)
    follows = continues and (only_renamed(current, head) or goes_on(current, head))
    same_messages = (current.start, current.count) == (head.start, head.count) and current.chain == head.chain
    if policy == "raise" and not (follows and same_messages and current.values() == head.values()):
        raise stale(head, current, refused=splice.appends)
    if splice.empty and not current.deleted and same_life(current, head):
        return current, append_to(current, splice.lines)
    if follows and same_messages:
        return current, splice
    appends = splice.appends and not splice.empty
    if not appends:
        raise stale(head, current)
    if follows and policy == "append":
        return current, append_to(current, splice.lines)
    return None


def _branch_off(
    repo: Repository,
    cursor: Cursor,
    splice: Splice,
    metadata: MetadataValues,
    time: str | None,
    current: State | None,
) -> State:
    """Keep a stale append as a session of its own: its label is derived from its first own message."""
    head = cursor.state
    step = chain_message(head.chain, splice.lines[0])
    for name in derived(head.name, step):
        taken = resolve(repo, name).head
        if taken is None:
            break
        try:
            check_landed(repo, taken, cursor.attempted)
        except AttemptLandedError:
            _warn_of_branch(head.name, name, current)
            raise
    if not repo.has(head):
        head.messages.secure()
        head = head.without_purged()
    change = merged(repo, head, metadata)
    child = fork(
        *(repo, head, splice, name),
        parent=head.name,
        metadata=change,
        at=None,
        updated=time,
        attempted=cursor.attempted,
    )
    _warn_of_branch(head.name, name, current)
    return child


def _warn_of_branch(before: str, after: str, current: State | None) -> None:
    how = "deleted" if current is not None and current.deleted else "changed"
    warn(f"session {before!r} was {how} elsewhere since it was opened; what you saved is now the session {after!r}")


def _fits_tail(cursor: Cursor, head: State, splice: Splice) -> bool:
    """Tell whether a change is one more line of the ref: no cut to make, nothing touched that is in objects."""
    if head.torn or head.size > COMPACT_BYTES or (head.save_count % COMPACT_SAVES == 0 and _is_long(cursor, head)):
        return False
    base, messages, sizes = head.header.base, head.messages, head.messages.sizes
    known = messages.objects.purged.chains
    if splice.appends and known and goes_through_purged(head.chain, splice.lines, messages.objects):
        return False
    if splice.appends:
        kept, size, lines = None, messages.tail_bytes, splice.lines
    else:
        inline = messages.lines
        kept = head.start + splice.keep - base.messages
        if splice.drop or kept < 0:
            return False
        size = messages.tail_bytes - size_of(inline[kept:])
        lines = [*splice.lines, *inline[head.start + splice.resume - base.messages :]]
    if base.tail is not None and size - base.tail.bytes <= sizes.deferred:
        # A chunk made now would repeat the tail that the fork shares: not worth it for a few messages.
        if size - base.tail.bytes + size_of(lines) <= sizes.deferred:
            return all(len(line) + 1 < sizes.large for line in lines)
        # The saves have been allowed to pass a cut so far.
        size, lines = base.tail.bytes, [*messages.lines[:kept], *lines]
    return not holds_cut(lines, sizes, after=size)


def _attempt(on: State, splice: Splice, splice_on: Splice, metadata: MetadataValues) -> Attempt:
    if not splice.appends:
        return Attempt(metadata=metadata)
    earlier = len(splice.lines) - len(splice_on.lines)
    return Attempt(splice.lines, earlier, on.count, merged=splice_on is not splice, metadata=metadata)


def _is_long(cursor: Cursor, head: State) -> bool:
    """Tell whether a ref has too many lines, all of which a rewrite makes one: not of edits, which it had to commit."""
    most = COMPACT_SAVES if cursor.came_to >= COMPACT_SAVES else MOST_SAVES
    return head.save_count >= most and all(save.replace is None for save in head.saves)


def _append(
    repo: Repository,
    cursor: Cursor,
    head: State,
    splice: Splice,
    metadata: MetadataValues,
    time: str | None,
    attempt: Attempt | None = None,
    tags: Tags = NO_TAGS,
) -> State:
    """Save as one line: one write and one sync."""
    position = None
    lines = splice.lines
    if not splice.appends:
        position = head.start + splice.keep
        lines = [
            *repo.objects.purged.masked(lines),
            *head.messages.lines[head.start + splice.resume - head.header.base.messages :],
        ]
    new = Save(
        head.last_id, time or repo.now(), lines, position, stamped(repo, head, metadata) if metadata else {}, tags
    )
    data, line_id = encode_save(new)
    # Noted before: whether the line is in the file can only be told by reading it, once this is interrupted.
    if attempt is None:
        # Not by its name: that takes several times as long, and every save makes one.
        attempt = tuple.__new__(Attempt, (lines if position is None else (), 0, head.count, False, metadata))
    # With a time that was given, an earlier attempt may have been this very line.
    earlier = cursor.attempted.get(line_id) if time is not None else None
    cursor.attempted[line_id] = attempt
    try:
        with repo.naming.of_tags(tags) if tags else nullcontext():
            token = repo.backend.append_ref(head.key, head.token, data)
    except RefRefusedError:
        # Nothing of it is in the ref. The same words, where others have saved them, are theirs.
        del cursor.attempted[line_id]
        if earlier is not None:
            cursor.attempted[line_id] = earlier
        raise
    size = head.size + len(data)
    if position is None and not metadata and not tags:
        state = head.appended(new, line_id, size, token)
    else:
        state = head.after((new,), line_id, size, token)
    if cursor.shared is not None:
        before, front = cursor.shared
        front += data
        cursor.shared = (state, front) if before is head else None
    return state


def _rewrite(
    repo: Repository,
    cursor: Cursor,
    head: State,
    splice: Splice,
    metadata: MetadataValues,
    time: str | None,
    target: State | None,
    attempt: Attempt,
    tags: Tags,
) -> State:
    """Save as a new ref: a seal, a new generation, or the first ref of our own for a conversation of another's."""
    now = repo.now()
    if target is not head and (is_own(repo.replica, head) or not repo.has(head)):
        # The file was lost or put back to what it was, and so may be objects that only it named.
        head.messages.secure()
    base, lines = spliced(head, splice)
    content = Content(replace(base, metadata=merged(repo, head, metadata), tags={**head.tags, **tags}), lines)
    header = replace(head.header, updated=time or now)
    operation = _operation(splice)
    if operation is not None:
        result = _result(head, splice, content)
        return step(
            *(repo, head, operation, content, target),
            now=now,
            header=header,
            result=result,
            attempted=cursor.attempted,
            attempt=attempt,
        )
    marks = head.marks()
    if splice.lines:
        marks.append(Mark(head.count + len(splice.lines), header.updated))
    link = keep_edits(repo, head, now)
    header = replace(header, base=content.base, commit=link, marks=thinned(marks))
    return publish(repo, header, lines, target, attempted=cursor.attempted, attempt=attempt)


def _operation(splice: Splice) -> Operation | None:
    """Name the step that needs a generation of its own: whatever is no append."""
    if splice.appends:
        return None
    if splice.drop == splice.saved:
        return "clear"
    return "truncate" if splice.keep == splice.saved else "edit"


def _result(head: State, splice: Splice, content: Content) -> Base:
    """Return the state right after the operation, before what the same save appended."""
    messages = MessageList(head.messages.objects, head.messages.sizes, content.base, content.lines)
    whole_edit = splice.keep < splice.saved and splice.drop < splice.saved
    count = messages.count if whole_edit else messages.count - len(splice.lines)
    return Base(count, 0, messages.chain_at(count), content.base.start)
