"""From rows of the index to what users are told of each session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import orjson

from ..backends.base import RefKey
from ..errors import SessionError
from ..session import SessionInfo
from . import put_back
from .heads import read_refs, related, view_of
from .index import Row, ViewRow, row_of
from .repository import Repository

_EPOCH = datetime.fromtimestamp(0, UTC)
_EXACT = 2**52
"""Microseconds up to which seconds as a float are exact enough: the year 2112."""


def list_infos(repo: Repository) -> list[SessionInfo]:
    """Return what is known of every session, reading only refs that changed since the index was kept."""
    infos: list[SessionInfo] = []
    for rows in _groups(repo.index.rows()):
        infos += _infos(repo, rows)
    repo.index.keep()
    return infos


def find_info(repo: Repository, name: str) -> SessionInfo | None:
    """Return what is known of one session."""
    # Looking a name up compares no sizes and times; what is shown of it must be of now.
    rows = [repo.index.fresh(row) for row in related(repo, name)]
    return next((info for info in _infos(repo, rows) if info.name == name), None) if rows else None


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
        # One list stands under each of its names.
        joined: list[Row] = [row]
        for name in dict.fromkeys((row.name, *row.former_names)):
            group = groups.get(name, [])
            if group is not joined:
                joined += group
            for other in group:
                for known in (other.name, *other.former_names):
                    groups[known] = joined
            groups[name] = joined
    if unreadable:
        names_of_key = {row.key: row.name for group in groups.values() for row in group}
        for row in unreadable:
            groups.setdefault(names_of_key.get(row.key, row.name), []).append(row)
    return {id(group): group for group in groups.values()}.values() if renamed else groups.values()


def _infos(repo: Repository, rows: Sequence[Row]) -> list[SessionInfo]:
    infos = _all_infos(repo, rows)
    for row in rows:
        if row.uneven and _is_reverted(repo, row):
            for info in infos:
                if row.name in (info.name, info.diverged_from):
                    info.reverted = True
    return infos


def _is_reverted(repo: Repository, row: Row) -> bool:
    try:
        return put_back.is_reverted(repo, repo.read(RefKey(row.path)))
    except (KeyError, SessionError):
        return False


def _all_infos(repo: Repository, rows: Sequence[Row]) -> list[SessionInfo]:
    if len(rows) == 1 and not rows[0].problem:
        return [] if rows[0].deleted else [_info(ViewRow(rows[0].name, rows[0]))]
    view = repo.index.view(rows)
    if view is not None:
        return [_info(each) for each in view]
    refs = read_refs(repo, rows)
    resolved = view_of(repo, refs, rows)
    view = [
        ViewRow(
            shown.label,
            row_of(shown.head),
            shown.diverged_from,
            shown.undecided is not None,
            shown.survived_delete,
        )
        for shown in resolved.sessions
    ]
    if resolved.complete and len(refs.heads) == len(rows) and not any(row.problem for row in rows):
        repo.index.keep_view(rows, view)
    infos = [_info(each) for each in view]
    for info, shown in zip(infos, resolved.sessions, strict=True):
        info.error = shown.head.damage or (refs.doubts[0] if refs.doubts else None)
    if not infos and refs.unreadable:
        infos.append(_failed(rows, next(reversed(refs.unreadable.values()))))
    return infos


def _info(view: ViewRow) -> SessionInfo:
    row = view.row
    return SessionInfo(
        view.label,
        row.messages,
        _local(row.created or 0),
        _local(row.updated or 0),
        orjson.loads(row.metadata) if row.metadata != "{}" else {},
        row.size,
        row.parent,
        row.forked_at,
        row.replica or None,
        None,
        view.diverged_from,
        view.undecided,
        view.survived_delete,
    )


def _failed(rows: Sequence[Row], error: SessionError) -> SessionInfo:
    """Describe a session that cannot be loaded by what is still known of it."""
    best = max(rows, key=lambda row: (row.updated or 0, row.path))
    info = _info(ViewRow(best.name, best))
    info.error = error
    return info


def _local(microseconds: int) -> datetime:
    """Return a moment as naive local time."""
    if abs(microseconds) < _EXACT:
        return datetime.fromtimestamp(microseconds / 1_000_000)
    return (_EPOCH + timedelta(microseconds=microseconds)).astimezone().replace(tzinfo=None)
