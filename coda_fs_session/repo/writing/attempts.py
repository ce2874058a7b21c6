"""Saves that failed or were interrupted, and which may have got into the store all the same.

Whether a line is in the file then can only be told by reading; and before the save is done again, others may have gone
on after that line. So each is noted before it is written, and forgotten once the session stands on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from ...backends.base import NO_TOKEN, Backend, RefChangedError
from ...errors import SessionConflictError
from ...format.refs import Ref
from ...session.splice import Splice
from ..ancestry.ancestors import only_renamed, same_life, states_taken_in
from ..content.state import Attempt, Cursor, State
from ..lookup.names import follow
from ..repository import Repository
from ..reverts.put_back import retried


class AttemptLandedError(Exception):
    """An earlier save, for which an error was reported, got into the store after all; it is durable now.

    Attributes:
        head: the state that it led to, against which what is still to be saved must be found anew.
        attempt: what was saved.
    """

    def __init__(self, head: State, attempt: Attempt) -> None:
        super().__init__(head.name)
        self.head = head
        self.attempt = attempt


def check_landed(repo: Repository, current: State, attempted: dict[str, Attempt] | None) -> None:
    """Raise AttemptLandedError if one of the attempts is in a ref."""
    found = _landed(current, attempted) if attempted else None
    if found is not None:
        raise AttemptLandedError(_as_of(_confirm(repo.backend, current, found), found.place), found.attempt)


def check_attempts(repo: Repository, cursor: Cursor) -> None:
    """Raise AttemptLandedError if one of a session's own attempts is in the store now."""

    def check() -> None:
        current = follow(repo, cursor).head if cursor.attempted else None
        if current is not None:
            check_landed(repo, current, cursor.attempted)

    retried(repo, check)


def rest_of(repo: Repository, cursor: Cursor, current: State | None, splice: Splice) -> tuple[State, Splice] | None:
    """Find what is left to save of a change when an attempt at it landed among what others wrote.

    Args:
        cursor: of the state that the change was made against; it is not what the attempt was put on top of.

    Returns:
        `current` and an append to it, None where no attempt landed.

    Raises:
        AttemptLandedError: one did, and nothing that the session does not know came before it.
        SessionConflictError: one did, and the session is not an append to it any more.
    """
    attempted = cursor.attempted
    if current is None or not attempted:
        return None
    found = _landed(current, attempted)
    attempt = found.attempt if found else _sealed(cursor, current)
    if attempt is None:
        return None
    if found and not attempt.merged:
        check_landed(repo, current, attempted)
    if found:
        current = _confirm(repo.backend, current, found)
    sent = len(attempt.lines)
    if not splice.appends or splice.lines[:sent] != list(attempt.lines):
        raise stale(cursor.state, current)
    return current, append_to(current, splice.lines[sent:])


def append_to(current: State, lines: list[bytes]) -> Splice:
    count = current.live_count
    return Splice(0, count, lines, count, count, current.live_bytes + sum(map(len, lines)))


def stale(head: State, current: State, *, refused: bool = False) -> SessionConflictError:
    """Return the error for a change that is not put on top of the present state.

    Args:
        head: the state that it was made against; current: the present one.
        refused: it could be, and an option says that it must not.
    """
    problem, drop = "was changed elsewhere since it was opened", "session.reload()"
    if current.deleted:
        problem, drop = "was deleted elsewhere since it was opened", f"delete_session({head.name!r}, missing_ok=True)"
    elif refused:
        problem += ', and on_conflict = "raise" adds nothing to what it is now'
    else:
        problem += ", and this change does not apply to what it is now"
    return SessionConflictError(
        f"session {head.name!r} {problem}. Nothing was written and nothing is lost: keep your messages under another "
        f"name with create_session(new, branch_from=...), or {drop} to drop your changes",
        expected=head.revision(),
        actual="" if current.deleted else current.revision(),
    )


class _Landed(NamedTuple):
    """An attempt that is in a ref.

    Attributes:
        place: of the line that led to the state right after it.
        renamed: the session was renamed since; then that is the first line.
    """

    attempt: Attempt
    place: int
    renamed: bool = False


def _landed(current: State, attempted: dict[str, Attempt]) -> _Landed | None:
    """Return the last attempt that is in a ref, as a line or as what it held when it was renamed."""
    for place, line_id in reversed(list(enumerate(current.line_ids))):
        if line_id in attempted:
            return _Landed(attempted[line_id], place)
    generation, link, count = current.header.generation, current.header.commit, current.header.base.messages
    # As long as nothing came between two renames: then the first line has what the attempt led to.
    while generation and generation.operation == "rename" and link and count == generation.messages:
        commit = current.messages.objects.commit(link)
        if commit.line in attempted:
            return _Landed(attempted[commit.line], 0, renamed=True)
        if commit.generation == generation:
            break
        generation, link, count = commit.generation, commit.previous, commit.base.messages
    return None


def _sealed(cursor: Cursor, current: State) -> Attempt | None:
    """Return an attempt whose line somebody has sealed since, or merged with what others said, told by its messages."""
    head = cursor.state
    if current.has_last_of(head):
        return None
    for state in _went_on(current, head):
        for attempt in reversed(list(cursor.attempted.values())):
            lines = list(attempt.lines[attempt.earlier :])
            end = attempt.at + len(lines)
            if lines and end <= state.count and list(state.messages.read(attempt.at, end)) == lines:
                return attempt
    return None


def _went_on(current: State, head: State) -> Iterator[State]:
    """Yield the states in which a session went on from a head: the present one, or what a merge took in."""
    if only_renamed(current, head) or goes_on(current, head):
        yield current
    else:
        yield from (state for state in states_taken_in(current) if goes_on(state, head))


def goes_on(current: State, head: State) -> bool:
    """Tell whether a session still begins with what it was, whatever steps it went: a merge adds what others said."""
    return not current.deleted and same_life(current, head) and current.only_adds_to(head)


def _as_of(current: State, place: int) -> State:
    """Return the head as it was after one of its lines."""
    if place == current.save_count:
        return current
    ref = Ref(current.header, tuple(current.saves[:place]), tuple(current.line_ids[: place + 1]), current.size)
    return State.of(current.key, NO_TOKEN, ref, current.messages.objects, current.messages.sizes)


def _confirm(backend: Backend, current: State, landed: _Landed) -> State:
    """Make durable a save that had got into the file although an error was reported for it."""
    if landed.renamed:
        # The rename was durable, with what it renamed. And another replica's file it may be in.
        return current
    snapshot = backend.read_ref(current.key)
    if snapshot.token != current.token:
        raise RefChangedError(current.key)
    token = backend.replace_ref(current.key, current.token, snapshot.data[: current.size])
    return replace(current, token=token, torn=b"")
