"""From rows of the index to what users are told of each session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

import orjson

from ...backends.base import RefKey
from ...errors import SessionError, StoreError
from ...format.names import is_lengthened, key_of_ref, session_key
from ...session.session import SessionInfo
from ..ancestry.shown import Shown, View
from ..ancestry.sides import sides_of
from ..index.groups import groups
from ..index.rows import KnownRef, Row, ViewRow, row_of
from ..repository import Repository
from ..reverts import verdict
from .names import read_refs, related, view_of

_COLUMNS: dict[str, Callable[[ViewRow], object]] = {
    "name": attrgetter("label"),
    "message_count": attrgetter("row.messages"),
    "created_at": lambda view: view.row.created or 0,
    "updated_at": lambda view: view.row.updated or 0,
    "metadata": lambda view: orjson.Fragment(view.row.metadata),
    "size_bytes": attrgetter("row.size"),
    "parent": attrgetter("row.parent"),
    "forked_at": attrgetter("row.forked_at"),
    "replica": lambda view: view.row.replica or None,
    "diverged_from": attrgetter("diverged_from"),
    "undecided": attrgetter("undecided"),
    "survived_delete": attrgetter("survived_delete"),
}
"""What is kept of every session, by the field of `SessionInfo` that it becomes. A field in no table has its default."""
_OF_FEW = ("sides", "diverged_at")
"""What is kept of the sessions that have some, called alike in both."""
_TIMES = ("created_at", "updated_at")

_EPOCH = datetime.fromtimestamp(0, UTC)
_EXACT = 2**52
"""Microseconds up to which seconds as a float are exact enough: the year 2112."""


def list_infos(repo: Repository, *, keep: bool = True) -> list[SessionInfo]:
    """Return what is known of every session, newest first, reading only refs that changed since the index was kept.

    Args:
        keep: keep the index for the next process.
    """
    answer = repo.index.listing()
    if answer is not None:
        return _infos_of(answer)
    views: list[tuple[ViewRow, SessionError | None]] = []
    complete = True
    rows = repo.index.rows()
    for group in groups(rows):
        found, all_here = _views(repo, group)
        views += found
        complete = complete and all_here
    reverted = _reverted(repo, rows)
    views.sort(key=lambda each: (-(each[0].row.updated or 0), each[0].label))
    answer = _answer([view for view, _ in views])
    infos = _infos_of(answer)
    for info, (view, error) in zip(infos, views, strict=True):
        info.error = error
        info.reverted = _stands_for(view, reverted)
    if complete and not reverted:
        repo.index.keep_listing(answer)
    if keep:
        repo.index.keep()
    return infos


def good_rows(repo: Repository, rows: Iterable[Row]) -> list[Row]:
    """Return the row of the newest state of each session that is listed without an error, of those of all refs."""
    found = chain.from_iterable(_views(repo, group)[0] for group in groups(rows))
    return [view.row for view, error in found if error is None]


def find_info(repo: Repository, name: str) -> SessionInfo | None:
    """Return what is known of one session."""
    # Looking a name up compares no sizes and times; what is shown of it must be of now.
    rows = [repo.index.fresh(row) for row in related(repo.index, name)]
    for view, error in chain.from_iterable(_views(repo, group)[0] for group in groups(rows)):
        if view.label == name:
            (info,) = _infos_of(_answer([view]))
            info.error = error
            info.reverted = _stands_for(view, _reverted(repo, rows))
            return info
    return None


def infos_of_refs(repo: Repository, keys: Iterable[RefKey]) -> tuple[set[str], list[SessionInfo]] | None:
    """Return all names that some refs decide on, and what is known of each session of these names.

    None where the refs do not tell, as those that are gone, or have a file name that belongs to no name in them.

    Raises:
        StoreError: something cannot be read.
    """
    paths: set[str] = set()
    names: set[str] = set()
    for key in keys:
        try:
            header = repo.read(key).header
        except (KeyError, SessionError):
            return None
        known = {header.name, *header.former_names}
        if key_of_ref(key.path) not in {session_key(name) for name in known}:
            return None
        paths.add(key.path)
        names |= known
    rows = {row.path: repo.index.fresh(row) for name in names for row in related(repo.index, name)}
    if not paths <= rows.keys():
        return None
    reverted = _reverted(repo, rows.values())
    views = [each for group in groups(rows.values()) for each in _views(repo, group)[0]]
    infos = _infos_of(_answer([view for view, _ in views]))
    for info, (view, error) in zip(infos, views, strict=True):
        info.error = error
        info.reverted = _stands_for(view, reverted)
    return names.union(*((row.name, *row.former_names) for row in rows.values())), infos


def _reverted(repo: Repository, rows: Iterable[Row]) -> set[str]:
    """Return the paths of refs that have less than this machine had saved."""
    paths: set[str] = set()
    for row in rows:
        if row.differs and RefKey(row.path).replica == repo.replica:
            with suppress(KeyError, SessionError):
                if verdict.is_reverted(repo, repo.read(RefKey(row.path))):
                    paths.add(row.path)
    return paths


def _stands_for(view: ViewRow, paths: Set[str]) -> bool:
    """Tell whether what is shown is one of some refs, or covers one, whichever replica wrote it."""
    return bool(paths) and (view.row.path in paths or any(ref.path in paths for ref in view.refs))


def _views(repo: Repository, rows: Sequence[Row]) -> tuple[list[tuple[ViewRow, SessionError | None]], bool]:
    """Return what a group of refs adds up to, and what is wrong with it; False where that can change without them."""
    if len(rows) == 1 and not rows[0].problem:
        return [] if rows[0].deleted else [(ViewRow(rows[0].name, rows[0]), None)], True
    known = repo.index.view(rows)
    if known is not None:
        return [(view, None) for view in known if not view.row.deleted], True
    refs = read_refs(repo, sorted(rows, key=lambda row: row.path))
    problem: SessionError | None = None
    try:
        resolved = view_of(repo, refs, rows)
    except StoreError as error:
        resolved, problem = View((), (), complete=False), error
    complete = resolved.complete and len(refs.heads) == len(rows) and not any(row.problem for row in rows)
    if not resolved.sessions and refs.unreadable:
        problem = next(reversed(refs.unreadable.values()))
    if problem is not None:
        # What is still known of it.
        best = max(rows, key=lambda row: (row.updated or 0, row.path))
        return [(ViewRow(best.name, best), problem)], False
    sides, all_told = sides_of(resolved.sessions)
    complete = complete and all_told
    views = [_view_row(shown, *others) for shown, others in zip(resolved.sessions, sides, strict=True)]
    # Where a name was taken, it can become free without a change of these refs.
    if complete and not any(is_lengthened(shown.label, shown.head.name) for shown in resolved.sessions):
        repo.index.keep_view(rows, [*views, *map(_view_row, resolved.deleted)])
    doubt = next(iter(refs.doubts.values()), None)
    errors = [shown.head.damage or doubt for shown in resolved.sessions]
    return list(zip(views, errors, strict=True)), complete


def _view_row(shown: Shown, sides: tuple[str, ...] = (), diverged_at: int | None = None) -> ViewRow:
    """Return what the index keeps of a session."""
    covered = (KnownRef(ref.key.path, ref.last_id, ref in shown.merged, ref in shown.same) for ref in shown.covered)
    refs = (KnownRef(shown.head.key.path, shown.head.last_id), *covered)
    return ViewRow(
        shown.label,
        row_of(shown.head),
        shown.diverged_from,
        shown.undecided is not None,
        shown.survived_delete,
        refs,
        sides,
        diverged_at,
    )


def _answer(views: Sequence[ViewRow]) -> bytes:
    """Return sessions as the index keeps them."""
    columns = [list(map(of, views)) for of in _COLUMNS.values()]
    few = [(number, *(getattr(view, name) for name in _OF_FEW)) for number, view in enumerate(views) if view.sides]
    return orjson.dumps([columns, few])


def infos_of_rows(rows: Iterable[tuple[Row, SessionError | None]]) -> list[SessionInfo]:
    """Return what rows tell, each by itself under the name in it, newest first."""
    ordered = sorted(rows, key=lambda each: (-(each[0].updated or 0), each[0].name))
    infos = _infos_of(_answer([ViewRow(row.name, row) for row, _ in ordered]))
    for info, (_, error) in zip(infos, ordered, strict=True):
        info.error = error
    return infos


def _infos_of(answer: bytes) -> list[SessionInfo]:
    """Return sessions whose metadata is the caller's own."""
    columns, few = orjson.loads(answer)
    known: dict[str, Iterable[Any]] = dict(zip(_COLUMNS, columns, strict=True))
    known |= {name: map(_local, known[name]) for name in _TIMES}
    # By place: by name, a long list takes twice as long.
    infos = list(map(SessionInfo, *(known.get(each.name, repeat(each.default)) for each in fields(SessionInfo))))
    for number, sides, diverged_at in few:
        infos[number].sides, infos[number].diverged_at = tuple(sides), diverged_at
    return infos


def _local(microseconds: int) -> datetime:
    """Return a moment, counted from 1970-01-01 UTC, as naive local time."""
    if abs(microseconds) < _EXACT:
        return datetime.fromtimestamp(microseconds / 1_000_000)
    return (_EPOCH + timedelta(microseconds=microseconds)).astimezone().replace(tzinfo=None)
