"""From rows of the index to what users are told of each session."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain, compress, islice, repeat
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from ...backends.base import RefKey, Token
from ...errors import SessionError, StoreError
from ...format.names import is_lengthened, key_of_ref, session_key
from ...session.info import Preview, SessionInfo
from ..ancestry.shown import Shown, View
from ..ancestry.sides import sides_of
from ..index.groups import groups
from ..index.listed import Listing
from ..index.rows import KnownRef, Row, ViewRow, row_of
from ..notes import decode_note, encode_note
from ..repository import Repository
from ..reverts import verdict
from .names import read_refs, related, related_to, view_of

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
_NO_PREVIEW = Preview()

_EPOCH = datetime.fromtimestamp(0, UTC)
_SHARE = 1 / 16
"""Of all names: to read a ref takes as long as to list some sessions."""
_EXACT = 2**52
"""Microseconds up to which seconds as a float are exact enough: the year 2112."""


def list_infos(repo: Repository, *, keep: bool = True) -> list[SessionInfo]:
    """Return what is known of every session, newest first, reading only refs that changed since the index was kept.

    Args:
        keep: keep the index for the next process.
    """
    return list_with_refs(repo, keep=keep).infos


class SessionList(NamedTuple):
    """A list of sessions.

    Attributes:
        paths: of the refs that hold them, in the same order; of one that has an error, of one of its refs.
        tokens: of these refs, by path, perhaps with those of others.
    """

    infos: list[SessionInfo]
    paths: list[str]
    tokens: Mapping[str, Token]


def list_with_refs(repo: Repository, *, keep: bool = True) -> SessionList:
    """Do as `list_infos`, and return the refs too."""
    listing = repo.index.listing()
    if listing is not None and not listing.changed:
        columns, few = _decoded(listing.answer)
        infos = _infos_of(columns, few, _Previews(columns[0], listing.answer))
        return SessionList(infos, list(islice(listing.before, len(infos))), listing.tokens)
    listed = _changed(repo, listing) if listing is not None else None
    if listed is None:
        listed = _listed_anew(repo)
    if keep:
        repo.index.keep()
    return listed


class _Told(NamedTuple):
    """What is told of groups of refs, newest first.

    Attributes:
        views: each with what is wrong with it.
        wide: the paths of each group of more than one ref.
        unsure: a path of each group of which what is told can change without its refs.
        reverted: the paths of refs that have less than this machine had saved.
    """

    views: list[tuple[ViewRow, SessionError | None]]
    wide: list[list[str]]
    unsure: set[str]
    reverted: set[str]

    def infos(self) -> list[SessionInfo]:
        infos = _infos_of(*_decoded(_answer([view for view, _ in self.views])))
        for info, (view, error) in zip(infos, self.views, strict=True):
            info.error = error
            info.reverted = _stands_for(view, self.reverted)
            info.preview = _preview(view.row)
        return infos


def _tell(repo: Repository, rows: Iterable[Row]) -> _Told:
    rows = list(rows)
    told = _Told([], [], set(), _reverted(repo, rows))
    told.unsure.update(told.reverted)
    for group in groups(rows):
        found, all_here = _views(repo, group)
        found = _with_previews(repo, group, found)
        told.views.extend(found)
        if not all_here or not all(view.row.is_previewed for view, _ in found):
            told.unsure.add(group[0].path)
        if len(group) > 1:
            told.wide.append([row.path for row in group])
    told.views.sort(key=lambda each: (-(each[0].row.updated or 0), each[0].label))
    return told


def _listed_anew(repo: Repository) -> SessionList:
    repo.index.reader.make_previews()
    rows = repo.index.rows()
    told = _tell(repo, rows)
    previews = (encode_note(_preview(view.row)) for view, _ in told.views)
    answer = b"\n".join((_answer([view for view, _ in told.views]), encode_note(told.wide), *previews))
    paths = [view.row.path for view, _ in told.views]
    repo.index.keep_listing(answer, rows, paths, told.unsure)
    return SessionList(told.infos(), paths, {row.path: row.token for row in rows})


def _changed(repo: Repository, listing: Listing) -> SessionList | None:
    """Return an earlier answer with what is told of refs that changed as it is now; None where all is to be looked at.

    Nothing else can have changed but what the names of these refs, then and now, have to do with.
    """
    columns, few = _decoded(listing.answer)
    names: Sequence[str] = columns[0]
    wide = decode_note(listing.answer.split(b"\n", 2)[1])
    paths = set(listing.changed)
    while True:
        concerned = paths.union(*(group for group in wide if not paths.isdisjoint(group)))
        # Each session has the place of its head, and its name is one that others may make way for.
        gone = set(compress(range(len(names)), map(concerned.__contains__, listing.before)))
        labels = {names[number] for number in gone}
        labels.update(chain.from_iterable((row.name, *row.former_names) for row in repo.index.at(concerned)))
        rows = related_to(filter(None, labels), repo.index.last_named)
        concerned.update(row.path for row in rows)
        if concerned == paths:
            break
        paths = concerned
    for row in rows:
        if row.path not in listing.changed and row.token != listing.tokens.get(row.path):
            # The parts of the index are older than the answer.
            return None
        if not row.readable and session_key(row.name) != row.name:
            # Its key does not tell which names it belongs to.
            return None
    told = _tell(repo, rows)
    infos = _infos_of(columns, few, _Previews(names, listing.answer))
    updated: Sequence[int] = columns[list(_COLUMNS).index("updated_at")]
    stay, found, heads = list(range(len(infos))), infos, list(islice(listing.before, len(infos)))
    for number in sorted(gone, reverse=True):
        del stay[number], found[number], heads[number]
    for info, (view, _) in zip(reversed(told.infos()), reversed(told.views), strict=True):
        place = (-(view.row.updated or 0), view.label)
        at = bisect_left(stay, place, key=lambda number: (-updated[number], names[number]))
        found.insert(at, info)
        heads.insert(at, view.row.path)
    return SessionList(found, heads, listing.tokens)


def _with_previews(
    repo: Repository, rows: Sequence[Row], views: list[tuple[ViewRow, SessionError | None]]
) -> list[tuple[ViewRow, SessionError | None]]:
    """Return what some refs add up to with what a list shows of the messages, which their own rows have."""
    if len(rows) == 1 and rows[0].is_previewed:
        return views
    known = {row.path: row for row in rows}
    found = []
    for view, error in views:
        row = repo.index.previewed(known.get(view.row.path, view.row))
        shown = view.row._replace(first=row.first, last=row.last, role=row.role, is_previewed=row.is_previewed)
        found.append((view._replace(row=shown), error))
    return found


def good_rows(repo: Repository, rows: Iterable[Row]) -> list[Row]:
    """Return the row of the newest state of each session that is listed without an error, of those of all refs."""
    found = chain.from_iterable(_views(repo, group)[0] for group in groups(rows))
    return [view.row for view, error in found if error is None]


def find_info(repo: Repository, name: str) -> SessionInfo | None:
    """Return what is known of one session."""
    # Looking a name up compares no sizes and times; what is shown of it must be of now.
    rows = [repo.index.fresh(row) for row in related(repo.index, name)]
    for view, error in chain.from_iterable(
        _with_previews(repo, group, _views(repo, group)[0]) for group in groups(rows)
    ):
        if view.label == name:
            (info,) = _infos_of(*_decoded(_answer([view])))
            info.error = error
            info.reverted = _stands_for(view, _reverted(repo, rows))
            info.preview = _preview(view.row)
            return info
    return None


def find_named(repo: Repository, prefix: str) -> list[SessionInfo] | None:
    """Return what is known of the sessions whose names begin with a text, newest first; None where a list is quicker.

    Names are looked up without a look at every ref. What has one of them is read again.
    """
    names, total = repo.index.starting(prefix)
    if len(names) > total * _SHARE:
        return None
    # Where others diverged, a session goes by a name that was derived from the one it has.
    names += [prefix[:place] for place, character in enumerate(prefix) if character == "~"]
    found = related_to(filter(None, names), repo.index.last_named)
    rows = [repo.index.fresh(row, as_listed=True) for row in found]
    return [info for info in _tell(repo, rows).infos() if info.name.startswith(prefix)]


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
    return names.union(*((row.name, *row.former_names) for row in rows.values())), _tell(repo, rows.values()).infos()


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
    infos = _infos_of(*_decoded(_answer([ViewRow(row.name, row) for row, _ in ordered])))
    for info, (row, error) in zip(infos, ordered, strict=True):
        info.error, info.preview = error, _preview(row)
    return infos


def _decoded(answer: bytes) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return the columns of an answer, and the rows of what only few have."""
    end = answer.find(b"\n")
    columns, few = orjson.loads(answer if end < 0 else memoryview(answer)[:end])
    return columns, few


class _Previews:
    """The previews of an answer, by the names of its sessions."""

    def __init__(self, names: Sequence[str], answer: bytes) -> None:
        self._names = names
        self._answer = answer

    def __call__(self, name: str) -> Preview:
        line = self._lines.get(name)
        return Preview() if line is None else Preview(*decode_note(line))

    @cached_property
    def _lines(self) -> dict[str, bytes]:
        return dict(zip(self._names, self._answer.split(b"\n")[2:], strict=True))


def _preview(row: Row) -> Preview:
    return Preview(row.first, row.last, row.role)


def _infos_of(
    columns: list[list[Any]], few: list[list[Any]], previews: _Previews | Preview = _NO_PREVIEW
) -> list[SessionInfo]:
    """Return sessions whose metadata is the caller's own."""
    known: dict[str, Iterable[Any]] = dict(zip(_COLUMNS, columns, strict=True), preview=repeat(previews))
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
