"""Putting a whole ref into the store: its messages into chunks, its past into commits, then the file itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ...backends.base import Backend, NewObject, RecordAheadError, RefChangedError, RefKey, RefTakenError, Token
from ...errors import StoreError
from ...format.names import ascii_key, key_folders, ref_paths, session_key
from ...format.records import Base, CommitLink, Stamped
from ...format.refs import Header, Ref, Save, encode_header, encode_save
from ...session.splice import Splice
from ..content.messages import Draft, MessageList
from ..content.state import Attempt, State
from ..lookup.names import related
from ..repository import Repository
from .commits import commit_tail

MetadataValues = dict[str, bytes | None]


class Content(NamedTuple):
    """Messages as they will stand in a new ref: a base in objects, then inline lines."""

    base: Base
    lines: list[bytes]


def publish(
    repo: Repository,
    header: Header,
    lines: list[bytes],
    target: State | None,
    *,
    objects: Sequence[NewObject] = (),
    attempted: dict[str, Attempt] | None = None,
    attempt: Attempt | None = None,
) -> State:
    """Write a ref: in place of `target`, which must be as last seen, or under a free key; `objects` before it.

    The name's lock must be held. `attempted` takes `attempt` in, under the id that tells whether it got through even if
    it failed or was interrupted.
    """
    with repo.writing() as replica:
        header = replace(header, replica=replica)
        data, line_id = encode_header(header)
        ids, saves = [line_id], []
        if lines:
            saves.append(Save(line_id, header.updated, tuple(lines)))
            line, line_id = encode_save(saves[0])
            data += line
            ids.append(line_id)
        if attempted is not None:
            attempted[line_id] = attempt or Attempt()
        parent = header.parent if target is None else None
        with (
            repo.naming.of_branch(parent.name) if parent else nullcontext(),
            repo.backend.together() if objects else nullcontext(),
        ):
            repo.objects.put(objects)
            if target is not None:
                if target.torn:
                    repo.machine.set_aside(ascii_key(session_key(target.name)), target.torn)
                key, token = target.key, repo.backend.replace_ref(target.key, target.token, data)
            else:
                paths = paths_for(repo, replica, header.name)
                key, token = create_free(repo, paths, data, taken=partial(_expect_taken, repo, data))
    head = State.of(key, token, Ref(header, tuple(saves), tuple(ids), len(data)), repo.objects, repo.sizes)
    repo.index.note(head)
    return head


def paths_for(repo: Repository, replica: str, name: str) -> Iterator[Sequence[str]]:
    """Yield, as `create_free` takes them, the paths that a new ref of a name may have; the name's lock must be held."""
    key = session_key(name)
    try:
        # What refs are found by must not depend on the machine.
        if not repo.backend.capabilities.names_by_prefix:
            os.fsencode(key)
    except UnicodeEncodeError:
        key = ascii_key(key)
    return ref_paths(repo.backend.key_folders(key_folders(replica, key)), key)


def lead_to(repo: Repository, name: str, head: State) -> None:
    """Before a session gets a name: let those who look for that name come to its ref, where refs are found by keys.

    A copy of that goes under a key of the name. It is never written to: the session's own ref goes on from what it
    says, under whatever name. So it does no harm where the rename does not come about.
    """
    if any(row.path == head.key.path for row in related(repo.index, name)):
        return
    try:
        data = repo.backend.read_as(head.key, head.token).data[: head.size]
    except KeyError:
        raise RefChangedError(head.key) from None
    paths = paths_for(repo, head.key.replica, name)
    create_free(repo, paths, data, taken=partial(_expect_taken, repo, data))


def create_free(
    repo: Repository,
    paths: Iterable[Sequence[str]],
    data: bytes,
    *,
    taken: Callable[[RefKey, RefTakenError | RecordAheadError], None] = lambda key, error: None,
) -> tuple[RefKey, Token]:
    """Write a ref under the first of these paths that is free, and of which there is no record either.

    Args:
        paths: each with others that must be free for it too, so that no key is ever taken at two places.
        taken: is told of each path that is not, before the next one is tried.
    """
    for places in paths:
        key, *others = map(RefKey, places)
        try:
            for tried in others:
                _expect_free(repo, tried)
            tried = key
            return key, repo.backend.create_ref(key, data)
        except (RefTakenError, RecordAheadError) as error:
            taken(tried, error)
    raise AssertionError("paths do not end")


def _expect_free(repo: Repository, key: RefKey) -> None:
    if repo.backend.ref_token(key) is not None:
        raise RefTakenError(key)
    if repo.machine.record.end(key) is not None:
        raise RecordAheadError(key)


def _expect_taken(repo: Repository, data: bytes, key: RefKey, error: RefTakenError | RecordAheadError) -> None:
    """Raise where a path is taken by what names were looked at without: what makes a session is to decide anew."""
    if isinstance(error, RecordAheadError):
        raise error
    # Ours it can be where making it has failed and yet left it there.
    if repo.index.has_come(key) and not _holds(repo.backend, key, data):
        raise RefChangedError(key) from error


def _holds(backend: Backend, key: RefKey, data: bytes) -> bool:
    try:
        return backend.read_ref(key).data == data
    except (KeyError, StoreError):
        return False


def keep_edits(repo: Repository, head: State, now: str) -> CommitLink | None:
    """Before a seal: commit the states before the first edit of the tail and after the last, told by lines so far."""
    tails = list(head.tails_around_edits())
    if not tails:
        return head.header.commit
    link = head.header.commit
    for tail, edits in ((tails[0], []), (tails[-1], head.tail_edits())):
        _, link, new = commit_tail(repo, head, tail, "seal", now, link, edits)
        head.messages.objects.put(new)
    return link


def spliced(head: State, splice: Splice) -> Content:
    """Apply a change to a head's messages; the objects of the result are written."""
    old, lines = head.messages, splice.lines
    if splice.keep < splice.saved:
        # A program that has a session open since before a purge takes what it shows still for a change.
        old.objects.heed_purges()
        lines = old.objects.purged.masked(lines)
    if splice.drop == splice.saved and not splice.appends:
        draft = Draft(old.objects, old.sizes)
        draft.extend(lines)
        draft.finish()
        return Content(*hide(draft))
    start = head.start + splice.drop
    start_bytes = old.bytes_before(start) if splice.drop else old.base.start_bytes
    draft = old.draft(head.start + splice.keep)
    draft.extend(lines)
    if splice.resume < splice.saved:
        draft.splice(old, head.start + splice.resume)
    draft.finish()
    return Content(*hide(draft, start, start_bytes))


def hide(draft: Draft, start: int = 0, start_bytes: int = 0) -> tuple[Base, list[bytes]]:
    """Return the base and the inline lines of a draft, with its first messages hidden.

    A base can only hide what is in it, so hidden inline lines move there. So do lines in which something was purged:
    who reads an object asks first what was purged, and who reads lines does not.
    """
    base, lines = draft.base(), draft.loose
    if start > base.messages or draft.shows_purged():
        messages = MessageList(draft.objects, draft.sizes, base, lines)
        base, new = messages.in_objects()
        draft.objects.put(new)
        lines = []
    return replace(base, start=start, start_bytes=start_bytes), lines


def merged(repo: Repository, head: State, metadata: MetadataValues) -> dict[str, Stamped]:
    """Return a head's metadata with changes in it."""
    return {**head.metadata, **stamped(repo, head, metadata)}


def stamped(repo: Repository, head: State, metadata: MetadataValues) -> dict[str, Stamped]:
    """Stamp changes later than anything seen, so that they win over it wherever refs are merged, whatever the clock.

    A stamp beyond the horizon loses against any other, so it need not be surpassed.
    """
    if not metadata:
        return {}
    horizon = repo.horizon()
    newest = max((item.stamp for item in head.metadata.values() if item.stamp < horizon), default="")
    stamp = repo.now(after=newest)
    return {key: Stamped(stamp, value) for key, value in metadata.items()}
