"""From rows of the index to what users are told of each session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import repeat

import orjson

from ..backends.base import RefKey
from ..errors import SessionError
from ..session import SessionInfo
from . import put_back
from .heads import read_refs, related, view_of
from .index import Row, ViewRow, row_of
from .repository import Repository
from .sides import sides_of

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
    for group in _groups(rows):
        found, all_here = _views(repo, group)
        views += found
        complete = complete and all_here
    reverted = _reverted(repo, rows)
    views.sort(key=lambda each: (-(each[0].row.updated or 0), each[0].label))
    answer = _answer([view for view, _ in views])
    infos = _infos_of(answer)
    for info, (_, error) in zip(infos, views, strict=True):
        info.error = error
        info.reverted = info.name in reverted or info.diverged_from in reverted
    if complete and not reverted:
        repo.index.keep_listing(answer)
    if keep:
        repo.index.keep()
    return infos


def find_info(repo: Repository, name: str) -> SessionInfo | None:
    """Return what is known of one session."""
    # Looking a name up compares no sizes and times; what is shown of it must be of now.
    rows = [repo.index.fresh(row) for row in related(repo, name)]
    for view, error in _views(repo, rows)[0] if rows else ():
        if view.label == name:
            (info,) = _infos_of(_answer([view]))
            info.error = error
            reverted = _reverted(repo, rows)
            info.reverted = info.name in reverted or info.diverged_from in reverted
            return info
    return None


def _reverted(repo: Repository, rows: Iterable[Row]) -> set[str | None]:
    """Return the names in refs that have less than this machine had saved."""
    names: set[str | None] = set()
    for row in rows:
        if row.uneven and RefKey(row.path).replica == repo.replica:
            with suppress(KeyError, SessionError):
                if put_back.is_reverted(repo, repo.read(RefKey(row.path))):
                    names.add(row.name)
    return names


def _groups(rows: Iterable[Row]) -> Iterable[list[Row]]:
    """Group rows that decide together what is shown: by names in common, now or before renames."""
    groups: dict[str, list[Row]] = {}
    unreadable: list[Row] = []
    renamed: list[Row] = []
    for row in rows:
        if row.former_names:
            renamed.append(row)
        elif not row.readable:
            unreadable.append(row)
        elif row.name:
            group = groups.get(row.name)
            if group is None:
                groups[row.name] = [row]
            else:
                group.append(row)
    for row in renamed:
        # One list stands under each name of its rows.
        joined: list[Row] = [row]
        for name in (row.name, *row.former_names):
            group = groups.get(name)
            if group is not None and group is not joined:
                joined += group
                for other in group:
                    groups.update(dict.fromkeys((other.name, *other.former_names), joined))
            groups[name] = joined
    if unreadable:
        names_of_key = {row.key: row.name for group in groups.values() for row in group}
        for row in unreadable:
            groups.setdefault(names_of_key.get(row.key, row.name), []).append(row)
    return {id(group): group for group in groups.values()}.values() if renamed else groups.values()


def _views(repo: Repository, rows: Sequence[Row]) -> tuple[list[tuple[ViewRow, SessionError | None]], bool]:
    """Return what a group of refs adds up to, and what is wrong with it; False where that can change without them."""
    if len(rows) == 1 and not rows[0].problem:
        return [] if rows[0].deleted else [(ViewRow(rows[0].name, rows[0]), None)], True
    rows = sorted(rows, key=lambda row: row.path)
    known = repo.index.view(rows)
    if known is not None:
        return [(view, None) for view in known], True
    refs = read_refs(repo, rows)
    resolved = view_of(repo, refs, rows)
    sides, all_told = sides_of(resolved.sessions)
    views = [
        ViewRow(
            shown.label,
            row_of(shown.head),
            shown.diverged_from,
            shown.undecided is not None,
            shown.survived_delete,
            *others,
        )
        for shown, others in zip(resolved.sessions, sides, strict=True)
    ]
    complete = resolved.complete and all_told and len(refs.heads) == len(rows) and not any(row.problem for row in rows)
    if complete:
        repo.index.keep_view(rows, views)
    if not views and refs.unreadable:
        # What is still known of it.
        best = max(rows, key=lambda row: (row.updated or 0, row.path))
        return [(ViewRow(best.name, best), next(reversed(refs.unreadable.values())))], False
    doubt = next(iter(refs.doubts.values()), None)
    errors = [shown.head.damage or doubt for shown in resolved.sessions]
    return list(zip(views, errors, strict=True)), complete


def _answer(views: Sequence[ViewRow]) -> bytes:
    """Return sessions as the index keeps them."""
    rows = [view.row for view in views]
    return orjson.dumps(
        [
            [view.label for view in views],
            [row.messages for row in rows],
            [row.created or 0 for row in rows],
            [row.updated or 0 for row in rows],
            [orjson.Fragment(row.metadata) for row in rows],
            [row.size for row in rows],
            [row.parent for row in rows],
            [row.forked_at for row in rows],
            [row.replica or None for row in rows],
            [view.diverged_from for view in views],
            [view.undecided for view in views],
            [view.survived_delete for view in views],
            # Of the few that have some.
            [(number, view.sides, view.diverged_at) for number, view in enumerate(views) if view.sides],
        ]
    )


def _infos_of(answer: bytes) -> list[SessionInfo]:
    """Return sessions whose metadata is the caller's own."""
    # Columns by name and by place, and no more of them: what `map` is given too many of it would end early by.
    labels, messages, created, updated, *described, diverged_from, undecided, survived, sides = orjson.loads(answer)
    metadata, sizes, parents, forked_at, replicas = described
    infos = list(
        map(
            SessionInfo,
            labels,
            messages,
            map(_local, created),
            map(_local, updated),
            metadata,
            sizes,
            parents,
            forked_at,
            replicas,
            repeat(None),
            diverged_from,
            undecided,
            survived,
        )
    )
    for number, others, diverged_at in sides:
        infos[number].sides, infos[number].diverged_at = tuple(others), diverged_at
    return infos


def _local(microseconds: int) -> datetime:
    """Return a moment, counted from 1970-01-01 UTC, as naive local time."""
    if abs(microseconds) < _EXACT:
        return datetime.fromtimestamp(microseconds / 1_000_000)
    return (_EPOCH + timedelta(microseconds=microseconds)).astimezone().replace(tzinfo=None)
